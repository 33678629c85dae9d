#!/usr/bin/env python3
"""hinge-serve's echo and discard: nothing is lost, changed, or kept without bound; resets harm
nobody."""

import hashlib
import os
import random
import select
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import serve
from serve import Server, closed, echoed, fill, needs, receive_all, reset

MIB = 1 << 20
SMALL = 4096  # the kernel makes of it the least that it has


class Exchange:
    """Sends `size` random bytes in writes of random sizes, receives in reads of random sizes, and
    keeps nothing but hashes."""

    def __init__(self, peer, size, seed=4711):
        self.peer = peer
        self.left = size
        self.random = random.Random(seed)
        self.sent, self.received = hashlib.sha256(), hashlib.sha256()
        self.count = 0
        self.waiting = b""
        peer.setblocking(False)

    def send(self):
        if not self.waiting:
            self.waiting = self.random.randbytes(min(MIB, self.left))
            self.left -= len(self.waiting)
            self.sent.update(self.waiting)
            self.waiting = memoryview(self.waiting)
        went = self.peer.send(self.waiting[:self.random.choice((1, 100, 5000, 100000))])
        self.waiting = self.waiting[went:]
        if not self.waiting and not self.left:
            self.peer.shutdown(socket.SHUT_WR)

    def run(self):
        """To the end of what comes back; whether it is what was sent, and how much."""
        while True:
            sending = [self.peer] if self.waiting or self.left else []
            readable, writable, _ = select.select([self.peer], sending, [], serve.PATIENCE)
            if not readable and not writable:
                raise AssertionError(f"nothing goes on after {self.count} bytes")
            if writable:
                self.send()
            if readable:
                piece = self.peer.recv(self.random.choice((10, 1000, 100000)))
                if not piece:
                    return self.sent.digest() == self.received.digest(), self.count
                self.received.update(piece)
                self.count += len(piece)


class Echo(unittest.TestCase):
    def test_64_mib_through_tiny_buffers(self):
        with Server("--send-buffer", str(SMALL), "--receive-buffer", str(SMALL), "--queue-high",
                    "64KiB", "--queue-low", "16KiB") as server:
            with server.connect(send_buffer=SMALL, receive_buffer=SMALL) as peer:
                self.assertEqual(Exchange(peer, 64 * MIB).run(), (True, 64 * MIB))
            found = server.stop()
        self.assertEqual((found["bytes_in"], found["bytes_out"]), (64 * MIB, 64 * MIB))
        self.assertEqual(closed(found), {"peer_closed": 1})

    def test_64_mib_as_fast_as_it_goes(self):
        with Server() as server:
            with server.connect() as peer:
                self.assertEqual(Exchange(peer, 64 * MIB).run(), (True, 64 * MIB))

    def test_a_unix_socket_carries_as_well(self):
        with tempfile.TemporaryDirectory() as folder, Server(listen=f"unix:{folder}/socket"):
            with socket.socket(socket.AF_UNIX) as peer:
                peer.connect(f"{folder}/socket")
                self.assertEqual(Exchange(peer, 16 * MIB).run(), (True, 16 * MIB))

    @needs("socat")
    def test_socat_gets_everything_back_after_its_end(self):
        data = os.urandom(3 * MIB)
        with Server() as server:
            done = subprocess.run(
                ["socat", "-t", str(serve.PATIENCE), "-", f"TCP:{server.addresses[0]}"],
                input=data, capture_output=True, timeout=2 * serve.PATIENCE)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertEqual(hashlib.sha256(done.stdout).digest(), hashlib.sha256(data).digest())
            self.assertEqual(closed(server.stop()), {"peer_closed": 1})

    def test_memory_is_bounded_when_nobody_reads(self):
        high = 256 << 10
        with Server("--queue-high", str(high), "--send-buffer", str(SMALL)) as server:
            with server.connect(receive_buffer=SMALL) as peer:
                piece = os.urandom(MIB)
                sent, found = fill(server, peer, piece)
                # Paused above the high mark; until the low one the socket may take some of it.
                self.assertGreater(found["read_pauses"], 0)
                self.assertGreater(found["queued_bytes"], 64 << 10)
                self.assertLessEqual(found["queued_bytes"], high + (64 << 10))
                self.assertEqual(found["refused_sends"], 0)
                # Another connection doesn't notice.
                with server.connect() as other:
                    self.assertTrue(echoed(other))
                peer.shutdown(socket.SHUT_WR)
                expected = (piece * (sent // MIB + 1))[:sent]
                self.assertTrue(receive_all(peer) == expected)

    def test_a_stalled_reader_is_cut_off(self):
        with Server("--write-stall-timeout", "300ms", "--send-buffer", str(SMALL)) as server:
            with server.connect(receive_buffer=SMALL) as peer:
                fill(server, peer, bytes(MIB))
                found = server.until(lambda found: found["open"] == 0)
        self.assertEqual(closed(found), {"write_stall": 1})
        self.assertEqual(found["queued_bytes"], 0)

    @serve.needs_linux  # elsewhere the kernel's buffer hides who reads slowly
    def test_a_slow_reader_is_not_stalled(self):
        """Room for more, of which the kernel tells, comes when a third of its buffer is read."""
        with Server("--write-stall-timeout", "1s", "--send-buffer", str(4 * MIB)) as server:
            with server.connect(receive_buffer=SMALL) as peer:
                fill(server, peer, bytes(MIB))
                for _ in range(25):
                    self.assertTrue(peer.recv(4096))
                    time.sleep(0.1)
                self.assertEqual(server.statistics()["open"], 1)
                found = server.until(lambda found: found["open"] == 0)
        self.assertEqual(closed(found), {"write_stall": 1})

    def test_discard(self):
        with Server(protocol="discard") as server:
            with server.connect() as peer:
                peer.sendall(bytes(10 * MIB))
                peer.shutdown(socket.SHUT_WR)
                self.assertEqual(receive_all(peer), b"")
            found = server.stop()
        self.assertEqual((found["bytes_in"], found["bytes_out"]), (10 * MIB, 0))
        self.assertEqual(closed(found), {"peer_closed": 1})


class Resets(unittest.TestCase):
    def test_resets_under_writes_raise_no_sigpipe(self):
        with Server("--send-buffer", str(SMALL)) as server:
            with server.connect() as peer:
                self.assertTrue(echoed(peer))  # so that it has started all of its threads
            with open(f"/proc/{server.process.pid}/status", encoding="ascii") as file:
                status = dict(line.split(":\t") for line in file if ":\t" in line)
            # Neither ignored nor blocked: one would end the server.
            for kind in ("SigIgn", "SigBlk"):
                self.assertFalse(int(status[kind], 16) >> (signal.SIGPIPE - 1) & 1)
            for i in range(100):
                peer = server.connect(receive_buffer=SMALL)
                peer.setblocking(False)
                try:
                    while peer.send(bytes(1 << 16)):
                        pass
                except BlockingIOError:
                    pass
                if i % 2 == 0:
                    reset(peer)
                else:
                    peer.close()  # what it has not read becomes a reset too
            with server.connect() as peer:
                self.assertTrue(echoed(peer))
            found = server.stop()
        self.assertEqual(closed(found), {"peer_reset": 100, "peer_closed": 2})

    def test_clients_that_reset_before_they_are_accepted(self):
        with Server() as server:
            server.send_signal(signal.SIGSTOP)
            for _ in range(50):
                reset(server.connect())
            server.send_signal(signal.SIGCONT)
            with server.connect() as peer:
                self.assertTrue(echoed(peer))
            found = server.stop()
        self.assertEqual(found["closed"]["peer_closed"], 1)
        self.assertEqual(found["closed"]["peer_reset"] + found["shed"], found["accepted"] - 1)

    def test_an_idle_connection_is_reset(self):
        with Server() as server:
            peer = server.connect()
            self.assertTrue(echoed(peer))
            reset(peer)
            self.assertEqual(closed(server.until(lambda found: found["open"] == 0)),
                             {"peer_reset": 1})


if __name__ == "__main__":
    serve.run_tests()
