#!/usr/bin/env python3
"""Runs an echo server and checks that what arrives goes back: echo.py PROGRAM

PROGRAM is given an address with port 0 and says `listening on ADDR` first.
"""

import os
import select
import signal
import socket
import subprocess
import sys

PATIENCE = 20  # seconds for any one thing, where waiting longer means that it never comes
SIZES = [1, 64, 5000, 1 << 20]


def echoed(target, data):
    """Sends all of `data` while receiving, ends the writing side; returns all that came back."""
    back = bytearray()
    with socket.create_connection(target, timeout=PATIENCE) as peer:
        peer.setblocking(False)
        sent = 0
        while True:
            wanted = [peer] if sent < len(data) else []
            readable, writable, _ = select.select([peer], wanted, [], PATIENCE)
            if writable:
                sent += peer.send(data[sent:sent + 65536])
                if sent == len(data):
                    peer.shutdown(socket.SHUT_WR)
            if readable:
                piece = peer.recv(65536)
                if not piece:
                    return bytes(back)
                back += piece
            if not readable and not writable:
                raise TimeoutError(f"{len(back)} of {len(data)} bytes back after {PATIENCE} s")


def main(program):
    with subprocess.Popen([program, "127.0.0.1:0"], stdout=subprocess.PIPE, text=True) as server:
        try:
            line = server.stdout.readline().split()
            if line[:2] != ["listening", "on"]:
                sys.exit(f"{program} said: {line}")
            host, port = line[2].rsplit(":", 1)
            for size in SIZES:
                data = os.urandom(size)
                if echoed((host, int(port)), data) != data:
                    sys.exit(f"{size} bytes did not come back as they were sent")
                print(f"{size} bytes came back")
            if server.poll() is not None:
                sys.exit(f"{program} ended by itself: {server.returncode}")
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(PATIENCE)


if __name__ == "__main__":
    main(*sys.argv[1:])
