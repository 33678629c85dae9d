#!/usr/bin/env python3
"""Asks for the page: http_hello.py PROGRAM"""

import http.client
import sys

from served import PATIENCE, Served, connect, expect, read_all


def get(address):
    client = http.client.HTTPConnection(address, timeout=PATIENCE)
    client.request("GET", "/")
    answer = client.getresponse()
    found = answer.status, answer.read()
    client.close()
    return found


def endless_request(address):
    with connect(address) as peer:
        try:
            peer.sendall(b"GET / HTTP/1.1\r\n" + b"Name: value\r\n" * 2000)
            return read_all(peer)
        except (ConnectionResetError, BrokenPipeError):
            return "reset"


def main(program):
    with Served(program, "127.0.0.1:0") as server:
        address = server.address()
        for number in range(3):
            expect(get(address), (200, b"hello, hinge!\n"), f"page {number}")
        with connect(address) as peer:
            for piece in b"GET / HT", b"TP/1.1\r\n\r", b"\n":
                peer.sendall(piece)
            page = read_all(peer)
            expect(page.endswith(b"\r\n\r\nhello, hinge!\n"), True, "a request in pieces")
        expect(endless_request(address), "reset", "a request without an end")
        server.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
