#!/usr/bin/env python3
"""hinge-serve turns away whom its rules and limits don't permit, and counts each by its cause."""

import contextlib
import socket
import time
import unittest

import serve
from serve import Server, closed, echoed


def let_in(peer):
    """Whether it is served; closed at once, or reset, is not."""
    try:
        peer.sendall(b"who?")
        return peer.recv(100) == b"who?"
    except OSError:
        return False


class Rules(unittest.TestCase):
    def test_the_longest_prefix_decides(self):
        with Server("--allow", "127.0.0.0/8", "127.1.1.1", "--deny", "127.1.0.0/16",
                    "127.0.0.3") as server:
            for source, permitted in (("127.0.0.1", True), ("127.0.0.2", True),
                                      ("127.0.0.3", False), ("127.1.0.1", False),
                                      ("127.1.1.1", True), ("127.2.0.1", True)):
                with self.subTest(source), server.connect(source=source) as peer:
                    self.assertEqual(let_in(peer), permitted)
            found = server.stop()
        self.assertEqual(found["accepted"], 6)
        self.assertEqual(closed(found), {"peer_closed": 4, "denied": 2})
        self.assertEqual(found["bytes_in"], 16)  # of the four

    def test_whom_no_rule_allows(self):
        with Server("--allow", "127.0.0.2") as server:
            with server.connect(source="127.0.0.1") as peer:
                self.assertFalse(let_in(peer))
            with server.connect(source="127.0.0.2") as peer:
                self.assertTrue(let_in(peer))

    def test_an_end_or_a_reset(self):
        with Server("--deny", "127.0.0.0/8") as server, server.connect(source="127.0.0.1") as peer:
            self.assertEqual(peer.recv(1), b"")
        with Server("--deny", "127.0.0.0/8", "--reset-turned-away") as server:
            with self.assertRaises(ConnectionResetError):  # also before connect() returns
                with server.connect(source="127.0.0.1") as peer:
                    peer.recv(1)

    def test_what_is_no_network(self):
        for arguments, says in (
                (("--deny", "10.0.0.0/33"), '"10.0.0.0/33": prefix length 33 is over 32'),
                (("--allow", "127.0.0.1", "10.0.0.1/8"), "bits behind the prefix are set"),
                (("--allow", "::1", "--deny", "::1/128"), "::1/128: both allowed and denied"),
                (("--source-prefix", "33"), "must be 0 to 32"),
                (("--accept-rate", "0"), "must be 1 to"),
                (("--accept-rate", "5/"), "'5/': must be N or N/BURST"),
                (("--accepts-per-turn", "255"), "must be 1 to 254"),
                (("--source-prefix", "24"), "no --max-per-source and no --source-rate"),
                (("--network-prefix", "24/129"), "must be 0 to 128"),
                (("--network-prefix", "25", "--max-per-source", "1"),
                 "no --max-per-network and no --network-rate"),
                (("--reset-turned-away",), "nobody is turned away"),
                (("--on-exhaustion", "wait"), "must be queue or reset"),
                (("--queue-limit", "64KiB"), "must be at least"),
                (("--max-queued", "512KiB"), "must be at least 1048576")):
            with self.subTest(arguments):
                code, stdout, stderr = serve.run("--listen", "127.0.0.1:0", *arguments)
                self.assertEqual((code, stdout), (2, ""))
                self.assertIn(arguments[0], stderr)
                self.assertIn(says, stderr)


class Limits(unittest.TestCase):
    def test_connections_of_a_source(self):
        with Server("--max-per-source", "3") as server:
            kept = [server.connect(source="127.0.0.2") for _ in range(3)]
            self.assertTrue(all(let_in(peer) for peer in kept))
            with server.connect(source="127.0.0.2") as peer:
                self.assertFalse(let_in(peer))
            with server.connect(source="127.0.0.3") as peer:
                self.assertTrue(let_in(peer))
            kept.pop().close()
            server.until(lambda found: found["open"] == 2)
            kept.append(server.connect(source="127.0.0.2"))
            self.assertTrue(let_in(kept[-1]))
            for peer in kept:
                peer.close()
            found = server.until(lambda found: found["open"] == 0)
        self.assertEqual(closed(found), {"peer_closed": 5, "source_full": 1})

    def test_a_prefix_is_a_source(self):
        with Server("--max-per-source", "1", "--source-prefix", "24") as server:
            sources = "127.0.5.1", "127.0.5.2", "127.0.6.1"
            first, same, other = (server.connect(source=source) for source in sources)
            with first, same, other:
                self.assertEqual([let_in(peer) for peer in (first, same, other)],
                                 [True, False, True])

    def test_a_source_and_its_network(self):
        with contextlib.ExitStack() as stack, \
                Server("--max-per-source", "2", "--max-per-network", "3") as server:
            for source, lets in (("127.0.5.1", True), ("127.0.5.1", True), ("127.0.5.1", False),
                                 ("127.0.5.2", True), ("127.0.5.2", False), ("127.0.5.3", False),
                                 ("127.0.6.1", True)):
                with self.subTest(source):
                    peer = stack.enter_context(server.connect(source=source))
                    self.assertEqual(let_in(peer), lets)
            found = server.statistics()
            self.assertEqual(found["open"], 4)
            self.assertEqual(closed(found), {"source_full": 1, "network_full": 2})

    def test_a_flood_of_one_source_harms_no_other(self):
        with Server("--source-rate", "5/10") as server:
            begin = time.monotonic()
            served = 0
            for _ in range(300):
                with server.connect(source="127.0.0.2") as peer:
                    served += let_in(peer)
            took = time.monotonic() - begin
            with server.connect(source="127.0.0.3") as peer:
                self.assertTrue(echoed(peer))
            found = server.stop()
        self.assertGreaterEqual(served, 10)
        self.assertLessEqual(served, 11 + 5 * took)
        self.assertEqual(found["closed"]["source_rate"], 300 - served)

    def test_connections_of_a_listener(self):
        with Server("--max-per-listener", "2", listen="127.0.0.1:0 127.0.0.1:0") as server:
            kept = [server.connect() for _ in range(2)]
            self.assertTrue(all(let_in(peer) for peer in kept))
            with server.connect() as peer:
                self.assertFalse(let_in(peer))
            host, port = server.addresses[1].rsplit(":", 1)
            with socket.create_connection((host, int(port)), serve.PATIENCE) as peer:
                self.assertTrue(let_in(peer))
            for peer in kept:
                peer.close()

    def test_connections_that_say_nothing(self):
        with Server("--max-pending", "3") as server:
            silent = [server.connect() for _ in range(3)]
            server.until(lambda found: found["open"] == 3)
            with server.connect() as peer:
                self.assertFalse(let_in(peer))
            self.assertTrue(let_in(silent[0]))
            with server.connect() as peer:
                self.assertTrue(let_in(peer))
            for peer in silent:
                peer.close()
            found = server.until(lambda found: found["open"] == 0)
        self.assertEqual(closed(found), {"peer_closed": 4, "pending_full": 1})

    def test_new_connections_of_a_listener(self):
        with Server("--accept-rate", "1/4") as server:
            served = 0
            for i in range(20):
                with server.connect(source=f"127.0.0.{i + 1}") as peer:
                    served += let_in(peer)
            found = server.stop()
        self.assertGreaterEqual(served, 4)
        self.assertEqual(found["closed"]["listener_rate"], 20 - served)
        self.assertGreater(found["closed"]["listener_rate"], 0)


if __name__ == "__main__":
    serve.run_tests()
