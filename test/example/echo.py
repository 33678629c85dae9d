#!/usr/bin/env python3
"""Runs an echo server and checks that what arrives goes back: echo.py PROGRAM"""

import os
import sys

from served import Served, connect, echoed

SIZES = [1, 64, 5000, 1 << 20]


def main(program):
    with Served(program, "127.0.0.1:0") as server:
        address = server.address()
        for size in SIZES:
            data = os.urandom(size)
            with connect(address) as peer:
                if echoed(peer, data) != data:
                    sys.exit(f"{size} bytes did not come back as they were sent")
            print(f"{size} bytes came back")
        server.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
