#!/usr/bin/env python3
"""Lets three members chat, one leave, one say too much, and the server end: chat.py PROGRAM"""

import sys

from served import Served, connect, expect, read_all


class Member:
    def __init__(self, address):
        self.peer = connect(address)
        self.lines = self.peer.makefile("rb")

    def say(self, text):
        self.peer.sendall(text)

    def hears(self, wanted, what):
        expect(self.lines.readline(), wanted, what)


def says_too_much(member):
    try:
        member.say(b"x" * 2000)
        return read_all(member.peer)
    except (ConnectionResetError, BrokenPipeError):
        return "reset"


def main(program):
    with Served(program, "127.0.0.1:0") as server:
        address = server.address()
        ann, bob = Member(address), Member(address)
        # Connections are accepted in order: who hears of bob was there before him.
        bob.say(b"I am bob\n")
        ann.hears(b"I am bob\n", "ann hears bob")
        ann.say(b"good day, ")
        ann.say(b"bob\nhow are you?\n")
        bob.hears(b"good day, bob\n", "a line in two pieces")
        bob.hears(b"how are you?\n", "two lines in one piece")

        cat = Member(address)
        cat.say(b"bye again\n")
        ann.hears(b"bye again\n", "ann hears cat")
        bob.hears(b"bye again\n", "bob hears cat")
        cat.lines.close()
        cat.peer.close()
        ann.say(b"who was that?\n")
        bob.hears(b"who was that?\n", "one member has left")

        expect(says_too_much(Member(address)), "reset", "a line without an end")
        bob.say(b"no idea\n")
        ann.hears(b"no idea\n", "after that")

        expect(server.stop(), 0, "exit code")
        expect([ann.lines.read(), bob.lines.read()], [b"bye\n", b"bye\n"], "the last words")


if __name__ == "__main__":
    main(*sys.argv[1:])
