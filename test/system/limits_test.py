#!/usr/bin/env python3
"""hinge-serve at its limits: timeouts, a full table, no descriptor left."""

import contextlib
import re
import socket
import time
import unittest

import serve
from serve import Server, closed, echoed, is_reset, receive_all


class Timeouts(unittest.TestCase):
    """That a timeout comes, and for whom; when, is nobody's criterion."""

    def test_first_byte(self):
        with Server("--first-byte-timeout", "300ms", "--idle-timeout", "0") as server:
            with server.connect() as silent, server.connect() as speaker:
                self.assertTrue(echoed(speaker))
                self.assertEqual(receive_all(silent), b"")
                self.assertTrue(echoed(speaker))
            found = server.stop()
        self.assertEqual(closed(found), {"first_byte_timeout": 1, "peer_closed": 1})

    def test_idle(self):
        with Server("--idle-timeout", "400ms", "--first-byte-timeout", "0") as server:
            with server.connect() as silent, server.connect() as quiet:
                self.assertTrue(echoed(quiet))
                self.assertEqual(receive_all(quiet), b"")
                self.assertEqual(receive_all(silent), b"")
            found = server.stop()
        self.assertEqual(closed(found), {"idle_timeout": 2})

    def test_traffic_keeps_a_connection(self):
        with Server("--idle-timeout", "2s", "--first-byte-timeout", "2s") as server:
            with server.connect() as silent, server.connect() as busy:
                # The silent one's end is the clock.
                silent.settimeout(0.05)
                while True:
                    self.assertTrue(echoed(busy))
                    with contextlib.suppress(TimeoutError):
                        self.assertEqual(silent.recv(1), b"")
                        break
                self.assertTrue(echoed(busy))
            found = server.stop()
        self.assertEqual(sum(closed(found).values()), 2)
        self.assertEqual(found["closed"]["peer_closed"], 1)

    def test_never(self):
        with Server("--idle-timeout", "0", "--first-byte-timeout", "0") as server:
            with server.connect() as peer:
                before = server.statistics()["turns"]
                peer.settimeout(1)
                with self.assertRaises(TimeoutError):
                    peer.recv(1)
                # Nothing woke it in between but the question itself.
                self.assertLessEqual(server.statistics()["turns"] - before, 2)


class HalfClosed(unittest.TestCase):
    def test_it_is_told(self):
        for how in ((), ("--policy", "thread_per_connection")):
            with self.subTest(how), Server(
                    "--half-closed-limit", "200ms", "--send-buffer", "4096", "--queue-high",
                    "32KiB", "--queue-low", "16KiB", *how, stderr=None) as server, \
                    server.connect(receive_buffer=4096) as peer:
                # What isn't read fits into the socket's buffer, and the end behind it.
                peer.sendall(bytes(120_000))
                peer.shutdown(socket.SHUT_WR)
                server.until(lambda _: "takes no answers; 1 connections" in server.said())
                if not how:
                    self.assertGreaterEqual(server.statistics()["oldest_half_closed"], 0.2)


class FullTable(unittest.TestCase):
    def test_the_next_one_waits_in_the_kernels_queue(self):
        with Server("--max-connections", "3") as server, contextlib.ExitStack() as stack:
            held = [stack.enter_context(server.connect()) for _ in range(3)]
            for peer in held:
                self.assertTrue(echoed(peer))
            waiting = stack.enter_context(server.connect())
            waiting.sendall(b"hello")
            found = server.until(lambda found: found["full_pauses"] > 0)
            self.assertEqual((found["accepted"], found["open"]), (3, 3))
            door = found["listeners"][0]
            self.assertEqual((door["accepting"], door["pauses"]), (False, 1))
            self.assertEqual((found["half_closed"], found["oldest_half_closed"]), (0, None))
            for peer in held:
                self.assertTrue(echoed(peer))
            found = server.statistics()
            self.assertEqual(found["accepted"], 3)
            self.assertGreater(found["listeners"][0]["paused"], door["paused"])
            held[1].close()
            self.assertEqual(serve.receive(waiting, 5), b"hello")
            found = server.statistics()
            self.assertEqual((found["accepted"], found["open"], found["shed"]), (4, 3, 0))

    def test_a_full_table_waits_without_turning(self):
        with Server("--max-connections", "1") as server, contextlib.ExitStack() as stack:
            self.assertTrue(echoed(stack.enter_context(server.connect())))
            for _ in range(10):
                stack.enter_context(server.connect())
            before = server.until(lambda found: found["full_pauses"] > 0)["turns"]
            with self.assertRaises(TimeoutError):
                peer = stack.enter_context(server.connect())
                peer.settimeout(1)
                peer.recv(1)
            self.assertLessEqual(server.statistics()["turns"] - before, 2)

    def test_everybody_is_served_in_the_end(self):
        with Server("--max-connections", "2") as server, contextlib.ExitStack() as stack:
            peers = [stack.enter_context(server.connect()) for _ in range(50)]
            for peer in peers:
                self.assertTrue(echoed(peer))
                peer.close()
            found = server.stop()
        self.assertEqual((found["accepted"], closed(found)), (50, {"peer_closed": 50}))


class Queues(unittest.TestCase):
    def test_all_together_are_bounded(self):
        self.check_all_together(1 << 20)

    def test_all_of_several_loops_are_bounded(self):
        self.check_all_together(2 << 20, "--threads", "2", "--policy", "dispatch")

    def check_all_together(self, limit, *how):
        with Server("--max-queued", str(limit), "--send-buffer", "32KiB", *how) as server:
            with contextlib.ExitStack() as stack:
                peers = [stack.enter_context(server.connect()) for _ in range(limit >> 17)]
                for peer in peers:
                    peer.setblocking(False)

                def refused(found):
                    # They send, and read nothing of what comes back.
                    for peer in peers:
                        with contextlib.suppress(BlockingIOError, ConnectionError):
                            while True:
                                peer.send(bytes(1 << 16))
                    return found["refused_total"] + found["closed"]["queue_full"] > 0

                found = server.until(refused)
                self.assertLessEqual(found["queued_bytes"], limit)
                # Who can't be answered is cut off, and not left with half of it.
                # On a ring also whose bytes were received and can't be held.
                self.assertGreaterEqual(sum(closed(found).values()), found["refused_total"])
                self.assertLessEqual(set(closed(found)), {"local_abort", "queue_full"})
            server.until(lambda found: found["open"] == 0)
            with server.connect() as peer:
                self.assertTrue(echoed(peer))


class NoDescriptors(unittest.TestCase):
    LIMIT = 64

    def server(self, *more):
        return Server("--max-connections", "1000", "--first-byte-timeout", "0", *more,
                      descriptors=self.LIMIT)

    def crowd(self, server, stack):
        """More clients than descriptors; those that are served, and those that wait."""
        before = server.statistics()["accept_exhausted"]
        peers = [stack.enter_context(server.connect()) for _ in range(self.LIMIT + 20)]
        count = server.until(lambda found: found["accept_exhausted"] > before)["open"]
        self.assertGreater(count, self.LIMIT // 2)
        self.assertLess(count, self.LIMIT)
        for peer in peers[:count]:
            self.assertTrue(echoed(peer))
        return peers[:count], peers[count:]

    @staticmethod
    def reached(server, stack):
        """A client, or None when it was reset before connect() returned."""
        with contextlib.suppress(ConnectionResetError):
            return stack.enter_context(server.connect())

    @staticmethod
    def said(server, does="waiting", ends="?"):
        """The beginning; and perhaps the end, which is told after two seconds without one."""
        accept = re.escape(f"hinge-serve: accept {server.addresses[0]}: ")
        return re.compile(
            f"{accept}EMFILE: Too many open files; {does} until there is room\n"
            f"({accept}works again, [0-9]+[.][0-9]{{3}} s after the first of [0-9]+ failures; "
            f"ended by a descriptor closed in this thread\n){ends}")

    def test_it_neither_spins_nor_ends(self):
        with self.server() as server, contextlib.ExitStack() as stack:
            server.expected_stderr = self.said(server)
            _, waiting = self.crowd(server, stack)
            before = server.statistics()
            waiting[0].settimeout(2)
            with self.assertRaises(TimeoutError):
                waiting[0].recv(1)
            found = server.statistics()
            # A back-off of 100 ms that doubles to 1 s; a spin is a million.
            self.assertLess(found["turns"] - before["turns"], 50)
            self.assertLess(found["accept_exhausted"] - before["accept_exhausted"], 50)
            self.assertEqual(found["accept_episodes"], 1)

    def test_a_close_lets_the_next_one_in(self):
        with self.server() as server, contextlib.ExitStack() as stack:
            server.expected_stderr = self.said(server)
            served, waiting = self.crowd(server, stack)
            for leaving, next_one in zip(served, waiting):
                leaving.close()
                self.assertTrue(echoed(next_one))
            for peer in served[len(waiting):] + waiting:
                peer.close()
            with server.connect() as peer:
                self.assertTrue(echoed(peer))
            found = server.stop()
        self.assertEqual(found["accepted"], self.LIMIT + 21)
        self.assertEqual(closed(found), {"peer_closed": self.LIMIT + 21})

    def test_it_is_told_once_a_minute(self):
        with self.server() as server:
            server.expected_stderr = self.said(server)
            for count in (self.LIMIT + 20, 2 * (self.LIMIT + 20)):
                with contextlib.ExitStack() as stack:
                    self.crowd(server, stack)
                server.until(lambda found: (found["accepted"], found["open"]) == (count, 0))

    def test_its_end_is_told_as_often(self):
        with self.server() as server:
            server.expected_stderr = self.said(server, ends="")
            for episode in 1, 2:
                with contextlib.ExitStack() as stack:
                    self.crowd(server, stack)
                    found = server.until(lambda found: found["accept_episodes"] == episode)
                    self.assertFalse(found["listeners"][0]["accepting"])
                server.until(lambda found: found["open"] == 0)
                end = time.monotonic() + serve.PATIENCE
                while "works again" not in server.said():
                    self.assertLess(time.monotonic(), end)
                    time.sleep(0.05)
            # The second one is none of those that are told, and would have been over by then.
            time.sleep(3)
            self.assertEqual(server.statistics()["accept_episodes"], 2)

    def test_who_comes_too_many_is_reset(self):
        with self.server("--on-exhaustion", "reset") as server, contextlib.ExitStack() as stack:
            server.expected_stderr = self.said(server, "resetting connections")
            peers = [self.reached(server, stack) for _ in range(self.LIMIT + 20)]
            before = server.until(lambda found: found["accepted"] == len(peers))
            served, shed = peers[:before["open"]], peers[before["open"]:]
            self.assertGreaterEqual(len(shed), 20)
            self.assertEqual((before["shed_exhausted"], before["shed"]), (len(shed), len(shed)))
            self.assertTrue(all(peer is None or is_reset(peer) for peer in shed))
            self.assertTrue(all(echoed(peer) for peer in served))
            # Nobody waits, and nothing turns for nobody.
            before = server.statistics()
            served[0].settimeout(1)
            with self.assertRaises(TimeoutError):
                served[0].recv(1)
            self.assertLess(server.statistics()["turns"] - before["turns"], 10)
            served[0].close()
            server.until(lambda found: found["open"] == len(served) - 1)
            with server.connect() as peer:
                self.assertTrue(echoed(peer))

    def test_it_can_be_stopped(self):
        with self.server() as server, contextlib.ExitStack() as stack:
            server.expected_stderr = self.said(server)
            served, waiting = self.crowd(server, stack)
            server.send_signal(serve.signal.SIGTERM)
            # What still waits for accept goes with its listener.
            self.assertTrue(all(is_reset(peer) for peer in waiting))
            for peer in served:
                peer.close()
            self.assertEqual(server.wait()["closed"]["peer_closed"], len(served))


if __name__ == "__main__":
    serve.run_tests()
