"""A program that says `listening on ADDR` and serves, for the tests of the examples."""

import select
import signal
import socket
import subprocess
import sys

PATIENCE = 20  # seconds for any one thing, where waiting longer means that it never comes


class Served:
    """Runs a program; at the end of a `with` it is told to stop by SIGTERM, and waited for."""

    def __init__(self, *command):
        self.name = command[0]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def line(self):
        return self.process.stdout.readline().rstrip("\n")

    def address(self):
        """What follows `listening on`."""
        line = self.line()
        if not line.startswith("listening on "):
            sys.exit(f"{self.name} said: {line}")
        return line.split()[2]

    def stop(self):
        """The exit code after SIGTERM: negative when the signal has killed it."""
        if self.process.poll() is not None:
            sys.exit(f"{self.name} ended by itself: {self.process.returncode}")
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE)
        self.process.stdout.close()


def connect(address):
    """A client of 127.0.0.1:7000, [::1]:7000, unix:/path or unix:@name."""
    if address.startswith("unix:"):
        name = address.removeprefix("unix:")
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(PATIENCE)
        peer.connect("\0" + name[1:] if name.startswith("@") else name)
        return peer
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE)


def read_all(peer):
    """All until the end."""
    found = b""
    while piece := peer.recv(65536):
        found += piece
    return found


def echoed(peer, data):
    """Sends all of `data` while receiving, ends the writing side; returns all that came back."""
    back = bytearray()
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


def expect(found, wanted, what):
    if found != wanted:
        sys.exit(f"{what}: {found!r} instead of {wanted!r}")
    print(f"{what}: as expected", flush=True)
