#!/usr/bin/env python3
"""hinge-serve with several loops: each accept policy serves everybody, counts each once, and stops
without losing anybody."""

import contextlib
import os
import resource
import socket
import subprocess
import tempfile
import unittest

import serve
from policies import POLICIES, can_do
from serve import Server, run

CROWD = 24  # so many that each of two loops gets two of them


class Policies(unittest.TestCase):
    def test_everybody_is_served_and_counted_once(self):
        for policy in filter(can_do, POLICIES):
            threads = "64" if policy == "thread_per_connection" else "3"
            with self.subTest(policy), Server("--threads", threads, "--policy", policy) as server:
                peers = [server.connect() for _ in range(30)]
                for peer in peers:
                    peer.sendall(b"who?")
                    self.assertEqual(peer.recv(4, socket.MSG_WAITALL), b"who?")
                seen = server.statistics()
                self.assertEqual((seen["accepted"], seen["open"]), (30, 30))
                self.assertEqual(sum(loop["accepted"] for loop in seen["loops"]), 30)
                for peer in peers:
                    peer.close()
                found = server.stop()
                self.assertEqual(found["closed"]["peer_closed"], 30)
                if policy == "dispatch":
                    self.assertEqual(found["fairness"], 1)
                if policy == "automatic":
                    self.assertIn(found["policy"], ("shared_fifo", "shared_exclusive"))
                    self.assertIn("automatic", found["policy_reason"])

    def test_who_waits_and_what_is_queued_is_told_once(self):
        """Of a socket that the loops share, and of several that they have. (By CPU all of this test
        may come to one loop.)"""
        for policy in filter(can_do, set(POLICIES) - {"sharded_cpu"}):
            with self.subTest(policy), contextlib.ExitStack() as stack:
                server = stack.enter_context(Server(
                    "--threads", "2", "--policy", policy, "--max-connections", "2",
                    "--send-buffer", "4096", "--queue-high", "32KiB", "--queue-low", "16KiB"))
                slow = stack.enter_context(server.connect(receive_buffer=4096))
                slow.sendall(bytes(120_000))
                slow.shutdown(socket.SHUT_WR)
                found = server.until(lambda found: found["half_closed"] == 1)
                self.assertGreater(found["queued_bytes"], 0)
                self.assertGreaterEqual(found["oldest_half_closed"], 0)
                self.assertTrue(found["listeners"][0]["accepting"])
                for _ in range(CROWD - 1):
                    stack.enter_context(server.connect())
                alone = policy == "thread_per_connection"  # each with one
                room = 2 if alone else 4
                # Each loop tells its own: one may have looked before another took some.
                found = server.until(lambda found: found["open"] == room and
                                     not found["listeners"][0]["accepting"] and
                                     (found["listeners"][0]["waiting"] or 0) <= CROWD - room)
                self.assertEqual((found["late"], found["half_closed"]), (0, 1))
                self.check_queue(found["listeners"][0], CROWD - room)
                # One thread accepts for all, or each pauses for itself.
                apart = alone or policy == "dispatch"
                self.assertGreaterEqual(found["listeners"][0]["pauses"], 1 if apart else 2)

    def check_queue(self, door, waiting):
        self.assertEqual(door["asked_backlog"], 4096)
        self.assertGreater(door["paused"], 0)
        if not serve.TELLS_QUEUE:
            self.assertIsNone(door["waiting"])
        elif serve.BACKEND == "uring":  # a ring takes some ahead
            self.assertLessEqual(door["waiting"], waiting)
        else:
            self.assertEqual(door["waiting"], waiting)
            self.assertGreaterEqual(door["most_waiting"], waiting / 2)

    def test_an_answer_that_is_under_way_is_not_lost(self):
        for policy in filter(can_do, POLICIES):
            with self.subTest(policy), Server("--threads", "2", "--policy", policy) as server:
                with server.connect() as peer:
                    peer.sendall(b"before")
                    self.assertEqual(peer.recv(6, socket.MSG_WAITALL), b"before")
                    server.process.send_signal(15)
                    peer.sendall(b"behind")
                    self.assertEqual(peer.recv(6, socket.MSG_WAITALL), b"behind")

    def test_what_a_backend_cannot_do(self):
        for policy in POLICIES:
            if can_do(policy) or serve.MASKED:
                continue
            with self.subTest(policy):
                code, said, wrong = run("--listen", "0", "--backend", serve.BACKEND, "--policy",
                                        policy)
                self.assertEqual((code, said), (1, ""))
                self.assertRegex(wrong, f"^hinge-serve: --policy {policy}: not by this --backend "
                                        r"\(open \w+\): EOPNOTSUPP\n$")

    def test_a_unix_socket_is_shared_and_not_sharded(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "socket")
            code, _, wrong = run("--listen", f"unix:{path}", "--backend", serve.BACKEND,
                                 "--threads", "2", "--policy", "sharded")
            self.assertEqual(code, 1)
            self.assertIn("a Unix socket can't be sharded", wrong)
            self.assertFalse(os.path.exists(path))
            with Server("--threads", "2", listen=f"unix:{path}"):
                with socket.socket(socket.AF_UNIX) as peer:
                    peer.connect(path)
                    peer.sendall(b"who?")
                    self.assertEqual(peer.recv(4, socket.MSG_WAITALL), b"who?")
            self.assertFalse(os.path.exists(path))

    def test_too_few_descriptors_are_told(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        done = subprocess.run([serve.PROGRAM, "--listen", "0", "--threads", "4", "--backend",
                               serve.BACKEND], preexec_fn=limit, capture_output=True, text=True,
                              timeout=serve.PATIENCE, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("--max-connections: not given", done.stderr)

    def test_more_threads_than_may_be(self):
        code, _, wrong = run("--listen", "0", "--threads", "1025")
        self.assertEqual(code, 2)
        self.assertIn("--threads", wrong)
        code, _, wrong = run("--listen", "0", "--policy", "round_robin")
        self.assertEqual(code, 2)
        self.assertIn("dispatch", wrong)

    @serve.needs_linux
    def test_pinned_threads_tell_their_cpu(self):
        with Server("--threads", "2", "--pin") as server:
            cpus = sorted(os.sched_getaffinity(0))
            seen = server.statistics()
            self.assertEqual([loop["cpu"] for loop in seen["loops"]],
                             [cpus[i % len(cpus)] for i in range(2)])


if __name__ == "__main__":
    serve.run_tests()
