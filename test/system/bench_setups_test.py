#!/usr/bin/env python3
"""Set-ups that measure something else than what they seem to: hinge-bench refuses each, or says in
its verdict what is wrong."""

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import threading
import time
import unittest

import bench
from bench import READINESS, Floor
from scripted_server import Server, echo, first_well, one_by_one, silent

VOID = 4
UNFIT = 3
USAGE = 2
MISSED = 1


class BadSetUps(unittest.TestCase):
    def said(self, *arguments, before=None, program=()):
        """The exit code, the kinds of flaws, and what was told on standard error."""
        done = subprocess.run([*program, bench.BENCH, *arguments, "--json", "-"],
                              capture_output=True, text=True, timeout=60, preexec_fn=before,
                              check=False)
        flaws = []
        if done.stdout:
            report = json.loads(done.stdout)
            flaws = [flaw["kind"] for flaw in report["verdict"]["flaws"]]
            self.assertEqual(report["figures"] is None, bool(flaws))
        return done.returncode, flaws, done.stderr

    def void(self, kind, *arguments, **more):
        code, flaws, stderr = self.said(*arguments, **more)
        self.assertEqual(code, VOID, stderr)
        self.assertTrue(set(kind.split(" or ")) & set(flaws), (kind, flaws))

    def refused(self, expected, says, *arguments, **more):
        code, flaws, stderr = self.said(*arguments, **more)
        self.assertEqual((code, flaws), (expected, []), stderr)
        self.assertIn(says, stderr)

    def test_a_backlog_of_4(self):
        with Server(None, serve_all=one_by_one(0.002), backlog=4) as server:
            self.void("overflowed queue", "crr", "--target", server.target, "--warmup", "0",
                      "--duration", "300ms")

    def test_100_ms(self):
        with Server(echo) as server:
            self.void("too short", "crr", "--target", server.target, "--duration", "100ms")

    def test_ten_operations(self):
        with Server(echo) as server:
            self.void("too short", "crr", "--target", server.target, "--rate", "10", "--warmup",
                      "0", "--duration", "1s")

    @unittest.skipUnless(hasattr(os, "sched_setaffinity"), "Linux's")
    def test_on_the_servers_cpu(self):
        """Both are ready to run all the time, and each runs half of it."""
        cpu = min(os.sched_getaffinity(0))
        with Floor("crr") as floor:
            os.sched_setaffinity(floor.process.pid, {cpu})
            self.void("throttled or saturated client", "crr", "--target", floor.target,
                      "--server-pid", str(floor.process.pid), "--warmup", "0", "--duration",
                      "1s", before=lambda: os.sched_setaffinity(0, {cpu}))

    @unittest.skipUnless(hasattr(os, "sched_setaffinity"), "Linux's")
    def test_beside_who_takes_the_cpu(self):
        cpu = min(os.sched_getaffinity(0))
        pinned = lambda: os.sched_setaffinity(0, {cpu})
        with Floor("crr") as floor, contextlib.ExitStack() as after:
            for _ in range(2):
                hog = subprocess.Popen(["sh", "-c", "while :; do :; done"], preexec_fn=pinned)
                after.callback(hog.wait)
                after.callback(hog.kill)
            self.void("throttled or saturated client", "crr", "--target", floor.target,
                      "--warmup", "0", "--duration", "1s", before=pinned)

    def test_more_than_the_client_can(self):
        with Floor("crr") as floor:
            self.void("saturated client or unfinished or throttled", "crr", "--target",
                      floor.target, "--rate", "1M", "--threads", "1", "--warmup", "0",
                      "--duration", "200ms", "--timeout", "300ms")

    def test_a_server_that_does_not_end(self):
        with Server(first_well(silent)) as server:
            self.void("unfinished", "crr", "--target", server.target, "--rate", "500",
                      "--connections", "2", "--timeout", "100ms", "--warmup", "0", "--duration",
                      "300ms")

    def test_a_server_that_stands_still_half_of_the_time(self):
        """Of 20 parts some have all, and others nothing."""
        with Floor("crr") as floor:
            over = threading.Event()

            def stop_and_go():
                for which in 200 * (signal.SIGSTOP, signal.SIGCONT):
                    floor.process.send_signal(which)
                    if over.wait(0.15):
                        break
                floor.process.send_signal(signal.SIGCONT)
            thread = threading.Thread(target=stop_and_go)
            thread.start()
            self.void("too noisy", "crr", "--target", floor.target, "--warmup", "0",
                      "--duration", "1200ms")
            over.set()
            thread.join()

    def test_idle_connections_that_are_closed(self):
        with Server(lambda connection, _: connection.sendall(connection.recv(64))) as server:
            self.void("missing clients", "idle", "--target", server.target, "--connections", "20",
                      "--timeout", "300ms", "--warmup", "0", "--duration", "100ms")

    def test_a_burst_for_the_wrong_process(self):
        with Floor("crr") as floor, subprocess.Popen(["sleep", "60"]) as other:
            try:
                self.void("overflowed queue", "burst", "--target", floor.target, "--server-pid",
                          str(other.pid), "--warmup", "0", "--duration", "100ms")
            finally:
                other.kill()

    def test_too_few_descriptors(self):
        few = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
        for workload in "crr", "idle", "slow", "burst":
            self.refused(UNFIT, "descriptors are needed", workload, "--target", "7000",
                         "--connections", "100", "--server-pid", "1", before=few)

    def test_too_few_ports(self):
        narrow = "echo 50000 50009 > /proc/sys/net/ipv4/ip_local_port_range && exec \"$@\""
        program = ("unshare", "-rn", "sh", "-c", narrow, "-")
        tried = subprocess.run([*program, "true"], capture_output=True, text=True, check=False)
        if tried.returncode != 0:
            self.skipTest("no network namespace: " + tried.stderr.strip())
        for workload, more in ("crr", ()), ("idle", ()), ("slow", ()), ("burst", ("--server-pid",
                                                                                  "1")):
            self.refused(UNFIT, "need as many local ports, and there are 10", workload,
                         "--target", "[::1]:7000", "--connections", "20", *more, program=program)

    def test_nobody_there(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = str(unused.getsockname()[1])
            for workload in "crr", "echo", "churn", "idle", "slow":
                code, _, stderr = self.said(workload, "--target", port, "--warmup", "0",
                                            "--duration", "10s", "--timeout", "200ms")
                self.assertEqual(code, MISSED)
                self.assertIn("nothing answers", stderr)

    def test_what_does_not_go_together(self):
        target = ("--target", "7000")
        self.refused(USAGE, "port 0", "crr", "--target", "127.0.0.1:0")
        self.refused(USAGE, "whose process to stop", "burst", *target)
        self.refused(USAGE, "--closed excludes", "slow", *target, "--closed", "--rate", "5")
        self.refused(USAGE, "of an open loop", "crr", *target, "--arrivals", "poisson")
        self.refused(USAGE, "a server runs here, or elsewhere", "crr", *target,
                     "--backend", READINESS)


if __name__ == "__main__":
    bench.run_tests()
