#!/usr/bin/env python3
"""hinge-bench's open loop: the load comes by the clock, whatever the server does, and all of it is
accounted for."""

import time
import unittest

import bench
from bench import load
from scripted_server import Server, echo, first_well, reset, silent


class OpenLoop(unittest.TestCase):
    def accounted(self, outcome, offered):
        code, found, stderr = outcome
        self.assertEqual((code, stderr), (0, ""))
        ended = found["completed"] + sum(found["errors"].values())
        self.assertEqual(ended + found["unfinished"], offered, found)
        self.assertEqual((found["loop"], found["rate"] * 0.5), ("open", offered))
        return found

    def test_the_schedule_is_kept(self):
        for threads in "1", "3":
            with Server(echo) as server:
                found = self.accounted(load("crr", server.target, "--rate", "400", "--threads",
                                            threads, warmup="0", duration="500ms"), 200)
                self.assertEqual(found["completed"], 200)
                self.assertEqual(found["arrivals"], "constant")
                self.assertEqual(server.accepted, 200)
            # Waiting can only add.
            for name in "p50", "max":
                self.assertGreaterEqual(found["latency_ns"][name], found["service_ns"][name])

    def test_kept_connections(self):
        with Server(echo) as server:
            found = self.accounted(load("echo", server.target, "--rate", "400", "--connections",
                                        "5", duration="500ms"), 200)
            self.assertEqual((found["completed"], server.accepted), (200, 5))

    def test_random_arrivals(self):
        with Server(echo) as server:
            code, found, _ = load("crr", server.target, "--rate", "1k", "--arrivals", "poisson",
                                  warmup="0", duration="500ms")
        self.assertEqual((code, found["arrivals"]), (0, "poisson"))
        # 500 expected, with a deviation of 22; the seed is the same each time.
        self.assertTrue(400 < found["completed"] < 600 and found["completed"] != 500, found)

    def test_a_pause_is_in_the_latency(self):
        """One connection at a time; the 11th operation takes half a second, and those that were to
        begin meanwhile wait. Each of them is slow to who came then, and one to the server."""
        def serve(connection, index):
            time.sleep(0.5 if index == 10 else 0)
            echo(connection)
        with Server(serve) as server:
            found = self.accounted(load("crr", server.target, "--rate", "100", "--connections",
                                        "1", warmup="0", duration="500ms"), 50)
        self.assertEqual(found["completed"], 50)
        self.assertGreater(found["latency_ns"]["p50"], 100_000_000)
        self.assertLess(found["service_ns"]["p50"], found["latency_ns"]["p50"])
        self.assertGreaterEqual(found["service_ns"]["max"], 500_000_000)
        self.assertLess(found["client_lag_ns"]["p50"], found["latency_ns"]["p50"])

    def test_a_pause_of_100_ms_is_in_the_latency_and_hardly_in_the_service(self):
        """Of 500 operations 50 were to begin in it; the server was slow to one. 5 are above the
        99th percentile."""
        def serve(connection, index):
            time.sleep(0.1 if index == 100 else 0)
            echo(connection)
        with Server(serve) as server:
            _, found, _ = load("crr", server.target, "--rate", "500", "--connections", "1",
                               warmup="0", duration="1s")
        self.assertEqual(found["completed"], 500)
        self.assertGreater(found["latency_ns"]["p99"], 75_000_000)
        self.assertGreater(found["service_ns"]["max"], 100_000_000)
        self.assertLess(found["service_ns"]["p99"], 50_000_000)

    def test_what_never_ends_is_told(self):
        with Server(first_well(silent)) as server:
            found = self.accounted(load("crr", server.target, "--rate", "100", "--connections",
                                        "2", "--timeout", "200ms", warmup="0",
                                        duration="500ms"), 50)
        self.assertGreater(found["errors"]["timed_out"], 0)
        self.assertGreater(found["unfinished"], 0)

    def test_failures_dont_rest(self):
        with Server(first_well(reset)) as server:
            found = self.accounted(load("crr", server.target, "--rate", "400", "--connections",
                                        "2", warmup="0", duration="500ms"), 200)
        self.assertEqual((found["completed"], found["errors"]["reset"]), (1, 199))

    def test_nobody_there(self):
        code, found, stderr = load("crr", "unix:/nowhere/socket", "--rate", "1k", duration="1h",
                                   warmup="0")
        self.assertEqual((code, found["completed"]), (1, 0))
        self.assertIn("nothing answers", stderr)


if __name__ == "__main__":
    bench.run_tests()
