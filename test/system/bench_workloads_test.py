#!/usr/bin/env python3
"""hinge-bench's workloads beyond one connection at a time: what they do to a server, and that each
notices a server that isn't what it should be."""

import collections
import os
import resource
import socket
import subprocess
import tempfile
import unittest

import bench
from bench import READINESS, errors_of, load
from scripted_server import ECHO, Process, Server


class Churn(unittest.TestCase):
    def lives(self, *arguments, target=None, family=socket.AF_INET):
        """What hinge-bench tells, and how many exchanges each connection had."""
        exchanges = collections.Counter()

        def serve(connection, index):
            while data := connection.recv(64):
                exchanges[index] += 1
                connection.sendall(data)

        name = target.removeprefix("unix:") if target else ("127.0.0.1", 0)
        with Server(serve, name, family) as server:
            code, found, stderr = load("churn", target or server.target, "--connections", "4",
                                       *arguments, warmup="0", duration="500ms")
            self.assertEqual((code, stderr, errors_of(found)), (0, "", {}))
        return found, exchanges

    def test_lives_are_of_the_range_and_mixed(self):
        found, exchanges = self.lives("--lifetime", "1..8", "--rate", "400")
        self.assertEqual((found["loop"], found["completed"]), ("open", 200))
        self.assertEqual(sum(exchanges.values()), 200)
        self.assertEqual(found["connections_made"], len(exchanges))
        self.assertLessEqual(max(exchanges.values()), 8)
        self.assertGreater(len(set(exchanges.values())), 2)

    def test_all_alike(self):
        found, exchanges = self.lives("--lifetime", "3..3", "--rate", "400", "--threads", "2")
        lives = collections.Counter(exchanges.values())
        self.assertGreaterEqual(lives.pop(3), 200 // 3 - 4)
        self.assertLessEqual(sum(lives.values()), 4)  # cut off by the end
        self.assertEqual(found["completed"], sum(exchanges.values()))

    def test_closed(self):
        found, exchanges = self.lives("--closed")
        self.assertEqual((found["loop"], found["rate"]), ("closed", None))
        self.assertGreaterEqual(sum(exchanges.values()), found["completed"])
        self.assertLess(len(exchanges), found["completed"])

    def test_unix_sockets(self):
        with tempfile.TemporaryDirectory() as folder:
            found, _ = self.lives("--rate", "400", target=f"unix:{folder}/socket",
                                  family=socket.AF_UNIX)
        self.assertEqual(found["completed"], 200)

    def test_a_server_of_its_own(self):
        for program, backend in (bench.BENCH, READINESS), (bench.BENCH_KQUEUE, "kqueue"):
            code, found, _ = bench.run("churn", "--backend", backend, "--rate", "1k", "--warmup",
                                       "0", "--duration", "300ms", program=program)
            self.assertEqual((code, found["completed"], errors_of(found)), (0, 300, {}))

    def test_a_server_that_ends_lives_early(self):
        def once(connection, _):
            connection.sendall(connection.recv(64))
        with Server(once) as server:
            _, found, _ = load("churn", server.target, "--connections", "4", "--lifetime",
                               "5..5", "--rate", "400", warmup="0", duration="500ms")
            self.assertGreater(errors_of(found).get("early_end", 0) +
                               errors_of(found).get("reset", 0), 10)
            _, found, _ = load("churn", server.target, "--connections", "4", "--lifetime",
                               "1..1", "--rate", "400", warmup="0", duration="500ms")
            self.assertEqual((found["completed"], errors_of(found)), (200, {}))


class Burst(unittest.TestCase):
    def burst(self, *arguments, size="20", program=None):
        return bench.run("burst", "--connections", size, "--warmup", "0", "--duration", "500ms",
                         *arguments, program=program)

    def check(self, found, size=20):
        self.assertEqual(errors_of(found), {})
        drained = found["burst"]
        self.assertGreater(drained["rounds"], 1)
        self.assertEqual(found["completed"], size * drained["rounds"])
        self.assertEqual(drained["least_waiting"], size, found["verdict"])
        self.assertLess(found["measured_s"], 1)
        self.assertLessEqual(drained["drain_ns_interval"][0], drained["drain_ns"])

    def test_a_process_is_held_and_goes_on(self):
        with Process(ECHO) as server:
            code, found, stderr = self.burst(*server.known)
            self.assertEqual((code, stderr), (0, ""))
            self.check(found)
            self.assertNotEqual(server.state(), "T")

    def test_the_slower_server_drains_slower(self):
        """By two milliseconds for each, one after the other."""
        slow = ("with lock:", "    time.sleep(0.002)", *ECHO)
        with Process(slow) as server:
            _, found, _ = self.burst(*server.known)
        self.check(found)
        self.assertGreaterEqual(found["burst"]["drain_ns"], 40e6)
        self.assertGreaterEqual(found["service_ns"]["max"], 40e6)

    def test_another_process_than_the_servers(self):
        """Who isn't held answers before."""
        other = subprocess.Popen(["sleep", "60"])
        with bench.Floor("crr") as floor:
            _, found, _ = self.burst("--target", floor.target, "--server-pid", str(other.pid),
                                     size="100")
        with open(f"/proc/{other.pid}/stat", encoding="utf-8") as file:
            self.assertEqual(file.read().split()[2], "S")
        other.kill()
        other.wait()
        worst = found["verdict"]["flaws"][0]
        self.assertEqual(worst["kind"], "overflowed queue")
        self.assertIn("waited in it as the server went on", worst["reason"])

    def test_nobodys_process(self):
        gone = subprocess.Popen(["true"])
        gone.wait()
        code, found, stderr = self.burst("--target", "7000", "--server-pid", str(gone.pid))
        self.assertEqual((code, found), (3, None))
        self.assertIn("it can't be stopped: No such process", stderr)

    def test_of_its_own_server(self):
        for program, backend in (bench.BENCH, READINESS), (bench.BENCH_KQUEUE, "kqueue"):
            code, found, _ = self.burst("--backend", backend, program=program)
            self.assertEqual(code, 0)
            self.check(found)

    def test_unix_sockets(self):
        """All fit into the queue; and where they don't, it is told."""
        for size, fits in ("20", True), ("700", False):
            with tempfile.TemporaryDirectory() as folder:
                with Process(ECHO, folder + "/socket") as server:
                    _, found, _ = self.burst(*server.known, "--timeout", "2s", size=size)
            kinds = [flaw["kind"] for flaw in found["verdict"]["flaws"]]
            self.assertEqual("overflowed queue" not in kinds, fits, found["verdict"])

    def test_interrupted_the_server_goes_on(self):
        with Process(ECHO) as server:
            process = subprocess.Popen(
                [bench.BENCH, "burst", *server.known, "--duration", "1h", "--warmup", "0"],
                stdout=subprocess.DEVNULL)
            bench.interrupt(process)
            self.assertEqual(process.wait(30), 130)
            self.assertNotEqual(server.state(), "T")


class Refusals(unittest.TestCase):
    def refused(self, *arguments, says):
        code, found, stderr = bench.run(*arguments, "--target", "7000")
        self.assertEqual((code, found), (2, None), arguments)
        self.assertIn(says, stderr)

    def test_bad_arguments(self):
        for text, says in (("5", "must be a range"), ("9..5", "begins above its end"),
                           ("0..5", "must be 1 to"), ("1..", "is empty")):
            self.refused("churn", "--lifetime", text, says=says)
            self.refused("crr", "--sweep", text, says=says)
        self.refused("crr", "--lifetime", "1..5", says="--lifetime")
        self.refused("crr", "--sweep", "1k..2k", "--hdr", "-", says="not of a sweep")
        self.refused("crr", "--sweep", "1k..1k", says="is one rate")
        self.refused("crr", "--sweep", "1k..2k", "--rate", "1k", says="--sweep excludes --rate")
        self.refused("churn", "--closed", "--rate", "1k", says="--closed excludes --rate")
        self.refused("churn", "--closed", "--sweep", "1..2", says="--closed excludes --rate")
        self.refused("crr", "--closed", says="--closed")
        for workload in "restart", "idle", "burst":
            self.refused(workload, "--sweep", "1..2", says="--sweep")
        self.refused("burst", says="--server-pid: say whose process")
        self.refused("burst", "--server-pid", "1", "--rate", "5", says="a burst has none")
        self.refused("burst", "--server-pid", "1", "--threads", "2", says="--threads: one")
        self.refused("slow", "--share", "0.5", says="must be a percentage")
        self.refused("slow", "--share", "100%", says="must be 1 to 99")
        self.refused("slow", "--manner", "rude", says="silent, dribbling, deaf or mixed")
        self.refused("slow", "--connections", "1", says="one each at least")

    def unfit(self, *arguments, limit=None, says):
        before = lambda: limit and resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        code, found, stderr = bench.run(*arguments, before=before)
        self.assertEqual((code, found), (3, None))
        self.assertIn(says, stderr)

    def test_too_few_descriptors(self):
        """All connections are counted, and those of a server here."""
        self.unfit("idle", "--target", "7000", "--connections", "1k", limit=400,
                   says="1064 connections: ")
        self.unfit("slow", "--target", "7000", "--connections", "1k", limit=400,
                   says="1000 connections: ")
        self.unfit("idle", "--backend", READINESS, "--connections", "200", limit=500,
                   says="264 connections: ")

    @unittest.skipUnless(os.path.exists("/proc/sys/net/core/somaxconn"), "Linux's")
    def test_a_burst_that_no_queue_takes(self):
        with open("/proc/sys/net/core/somaxconn", encoding="utf-8") as file:
            most = int(file.read())
        if most > 8000:
            self.skipTest("more than descriptors")
        self.unfit("burst", "--backend", READINESS, "--connections", str(most + 1),
                   says=f"a listener's queue holds {most} at most")


if __name__ == "__main__":
    bench.run_tests()
