#!/usr/bin/env python3
"""Connections over three loops, all served, all counted: echo_threads.py PROGRAM"""

import sys

from served import Served, connect, echoed, expect

THREADS = 3
CONNECTIONS = 48


def main(program):
    with Served(program, "127.0.0.1:0", str(THREADS)) as server:
        address = server.address()
        peers = [connect(address) for _ in range(CONNECTIONS)]
        words = [b"word %d" % number for number in range(CONNECTIONS)]
        expect([echoed(peer, word) for peer, word in zip(peers, words)], words, "echoes")
        expect(server.stop(), 0, "exit code")
        counts = [server.line().split() for _ in range(THREADS)]
        expect([said for said, _ in counts], ["accepted"] * THREADS, "a line for each loop")
        expect(sum(int(count) for _, count in counts), CONNECTIONS, "accepted by all loops")


if __name__ == "__main__":
    main(*sys.argv[1:])
