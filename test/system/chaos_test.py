#!/usr/bin/env python3
"""Clients that do all that clients do, at random and at once: hinge-serve stays, mixes nothing up,
loses no count and no descriptor. HINGE_SEED repeats a run."""

import os
import random
import socket
import time
import unittest

import serve
from serve import Server, echoed, reset

SEED = int(os.environ.get("HINGE_SEED") or random.randrange(1 << 32))
STEPS = 15000
CROWD = 80
TIGHT = ("--max-connections", "50", "--queue-high", "32KiB", "--queue-low", "8KiB",
         "--send-buffer", "8192", "--first-byte-timeout", "100ms", "--idle-timeout", "200ms",
         "--write-stall-timeout", "150ms", "--drain-timeout", "200ms")
REQUESTS = (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n" + bytes(70000),
            b"GET / HTTP/1.0\r\n\r\n", b"nonsense\r\n\r\n", b"x" * 9000)


class Client:
    """One connection. What it sends is a stream that repeats `block`, from its beginning."""

    def __init__(self, server, dice, block):
        self.dice, self.block = dice, block
        self.peer = server.connect(receive_buffer=dice.choice((None, 4096)))
        self.peer.setblocking(False)
        self.sent = self.received = 0
        self.open = True

    def stream(self, begin, count):
        begin %= len(self.block)
        return (self.block[begin:] + self.block * (count // len(self.block) + 1))[:count]

    def send(self):
        count = self.dice.choice((1, 30, 3000, 100000))
        self.sent += self.peer.send(self.stream(self.sent, count))

    def receive(self, check):
        data = self.peer.recv(self.dice.choice((1, 1000, 100000)))
        if check and data != self.stream(self.received, len(data)):
            raise AssertionError(f"not what was sent, after {self.received} bytes")
        self.received += len(data)
        if not data:
            self.close()

    def close(self):
        self.peer.close()
        self.open = False

    def reset(self):
        reset(self.peer)
        self.open = False

    def step(self, check):
        action = self.dice.choices(
            (self.send, lambda: self.receive(check), self.close, self.reset,
             lambda: self.peer.shutdown(socket.SHUT_WR)), (40, 50, 2, 2, 3))[0]
        try:
            action()
        except BlockingIOError:
            pass
        except OSError:  # a reset or an end, by whomever
            self.close()


class Chaos(unittest.TestCase):
    def run_crowd(self, server, block, check):
        dice = random.Random(SEED)
        clients = []
        for step in range(STEPS):
            if len(clients) < CROWD:
                clients.append(Client(server, dice, block))
            dice.choice(clients).step(check)
            clients = [client for client in clients if client.open]
            if step % 2500 == 0:
                server.statistics()  # accounted for
                time.sleep(0.3)  # for the timeouts
        for client in clients:
            client.close()
        # io_uring gives back what it was sending a turn after the connection's end.
        found = server.until(lambda found: found["open"] == found["queued_bytes"] == 0)
        self.assertGreater(found["accepted"], CROWD)
        return found

    def check(self, protocol, block, alive):
        with Server(*TIGHT, protocol=protocol) as server:
            before = server.descriptors()
            found = self.run_crowd(server, block, check=protocol == "echo")
            self.assertEqual((found["shed"], found["closed"]["error"]), (0, 0))
            # Those that closed in the kernel's queue may come and go yet.
            server.until(lambda found: found["open"] == 0 and server.descriptors() == before)
            self.assertTrue(any(self.lives(server, alive) for _ in range(20)))

    def lives(self, server, alive):
        with server.connect() as peer:
            try:
                return alive(peer)
            except (AssertionError, OSError):  # a timeout may be faster than a busy machine
                return False

    def test_echo(self):
        self.check("echo", random.Random(SEED).randbytes(65521), echoed)

    def test_discard(self):
        self.check("discard", bytes(1000), lambda peer: peer.send(b"hello") == 5)

    def test_http(self):
        def alive(peer):
            peer.sendall(REQUESTS[0])
            return peer.recv(1000).startswith(b"HTTP/1.1 200 OK")
        dice = random.Random(SEED)
        self.check("http", b"".join(dice.choices(REQUESTS, (50, 20, 5, 2, 1, 1), k=100)), alive)

    def test_a_drain_in_the_middle(self):
        for protocol in ("echo", "http"):
            with Server(*TIGHT, protocol=protocol) as server:
                dice = random.Random(SEED)
                clients = [Client(server, dice, REQUESTS[0] * 100) for _ in range(CROWD)]
                for step in range(3000):
                    if step == 500:
                        server.drain()
                    if clients:
                        dice.choice(clients).step(False)
                    clients = [client for client in clients if client.open]
                server.wait()
                for client in clients:
                    client.close()


if __name__ == "__main__":
    print(f"HINGE_SEED={SEED}")
    serve.run_tests()
