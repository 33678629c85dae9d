#!/usr/bin/env python3
"""Comes by each of several doors: greeter.py PROGRAM"""

import os
import socket
import subprocess
import sys
import tempfile

from served import PATIENCE, Served, connect, expect, read_all


def has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


READINESS = os.environ.get("HINGE_TEST_READINESS", "epoll")  # the backend of that kind


def name_of(peer):
    if peer.family == socket.AF_UNIX:
        return "unix:"
    host, port = peer.getsockname()[:2]
    return f"[{host}]:{port}" if peer.family == socket.AF_INET6 else f"{host}:{port}"


def greeted(program, doors):
    with Served(program, READINESS, *doors) as server:
        addresses = [server.address() for _ in doors]
        expect(server.line(), f"polling with {READINESS}", "the backend")
        for address in addresses:
            for words in b"", b"good day":
                with connect(address) as peer:
                    peer.sendall(words)
                    wanted = f"hello, {name_of(peer)}, welcome at {address}\n"
                    expect(read_all(peer).decode(), wanted, address)


def main(program):
    with tempfile.TemporaryDirectory(prefix="hinge-greeter-") as folder:
        doors = ["127.0.0.1:0", f"unix:{folder}/door"]
        if "HINGE_TEST_MASKED" not in os.environ:  # see mask/system.hpp
            doors.append(f"unix:@hinge-greeter-{os.getpid()}")
        if has_ipv6():
            doors.append("[::1]:0")
        greeted(program, doors)
        # SIGTERM has killed it, and so its path is still there: the next one removes it.
        expect(os.path.exists(f"{folder}/door"), True, "the path is stale")
        greeted(program, doors)
    refused = subprocess.run([program, "none", "7000"], stderr=subprocess.PIPE, text=True,
                             timeout=PATIENCE, check=False)
    expect((refused.returncode, refused.stderr),
           (1, "backend none: EINVAL: Invalid argument\n"), "a backend that there isn't")


if __name__ == "__main__":
    main(*sys.argv[1:])
