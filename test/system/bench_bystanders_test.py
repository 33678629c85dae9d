#!/usr/bin/env python3
"""hinge-bench's connections beside a load: idle ones, what they cost a server and whether they are
there; and slow ones, beside whom the good ones are told of."""

import collections
import socket
import sys
import tempfile
import time
import unittest

import bench
from bench import READINESS, errors_of, load
from scripted_server import ECHO, Process, Server, echo


class Idle(unittest.TestCase):
    def idle(self, *arguments, program=None):
        return bench.run("idle", "--connections", "200", "--warmup", "0", "--duration", "500ms",
                         *arguments, program=program)

    def test_they_stand_there_and_cost_memory(self):
        with Process((f"memory.append(bytearray(b'x') * {20_000})", *ECHO)) as server:
            code, found, _ = self.idle(*server.known)
        self.assertEqual((code, errors_of(found), found["loop"], found["completed"]),
                         (0, {}, "open", 100))
        beside = found["beside"]
        self.assertEqual((beside["manners"], beside["connections"], beside["present"],
                          beside["ended"]), (["idle"], 200, 200, 0))
        self.assertNotIn("missing clients",
                         [flaw["kind"] for flaw in found["verdict"]["flaws"]])
        if sys.platform != "linux" or bench.MASKED:
            return
        # 20 kB of the list, and a thread's stack.
        self.assertGreater(beside["server_bytes_each"], 20_000)
        self.assertLess(beside["server_bytes_each"], 200_000)
        self.assertGreater(beside["server_cpu_us_each_second"], 0)

    def test_a_leak_is_seen(self):
        """Of 100 kB a connection, in the trickle."""
        for leaks in 0, 100_000:
            with Process((f"memory.append(bytearray(b'x') * {leaks})", *ECHO)) as server:
                _, found, _ = self.idle("--rate", "100", *server.known)
            if not found["server_memory"]:
                self.skipTest("this system doesn't tell a process's memory")
            grown = found["server_memory"]["end"] - found["server_memory"]["prepared"]
            self.assertEqual(found["completed"], 50)
            (self.assertGreater if leaks else self.assertLess)(grown, 4_000_000)

    def test_a_server_that_closes_them(self):
        def once(connection, _):
            connection.sendall(connection.recv(64))
        def soon(connection, _):
            connection.sendall(connection.recv(64))
            connection.settimeout(0.2)
            connection.recv(64)
        for behave in once, soon:
            with Server(behave) as server:
                _, found, _ = self.idle("--target", server.target, "--timeout", "500ms")
            self.assertIn("missing clients", [flaw["kind"] for flaw in found["verdict"]["flaws"]])
            self.assertIsNone(found["figures"])
            self.assertGreater(found["beside"]["ended"] + 200 - found["beside"]["present"], 100)
            self.assertEqual(found["beside"]["made_again"], 0)

    def test_of_its_own_server_and_unix(self):
        for program, backend in (bench.BENCH, READINESS), (bench.BENCH_KQUEUE, "kqueue"):
            code, found, _ = self.idle("--backend", backend, program=program)
            self.assertEqual((code, found["beside"]["present"], found["beside"]["ended"]),
                             (0, 200, 0))
        with tempfile.TemporaryDirectory() as folder:
            with Server(echo, folder + "/socket", socket.AF_UNIX) as server:
                code, found, _ = self.idle("--target", f"unix:{folder}/socket")
                self.assertEqual((code, found["beside"]["present"], server.accepted),
                                 (0, 200, 300))


class Slow(unittest.TestCase):
    def slow(self, server, *arguments, connections="20"):
        return load("slow", server.target, "--connections", connections, "--share", "50%",
                    "--rate", "400", *arguments, warmup="0", duration="500ms")

    def test_the_good_ones_are_told_of(self):
        """Beside ten bad ones of three manners, of whom each is seen."""
        manners = collections.Counter()

        def serve(connection, _):
            connection.settimeout(3)
            first = connection.recv(65536)
            if not first:
                manners["silent"] += 1
                return
            manners["good" if len(first) == 64 else "dribbling" if len(first) < 64 else
                    "deaf"] += 1
            while first:
                connection.sendall(first)
                first = connection.recv(65536)

        with Server(serve) as server:
            code, found, stderr = self.slow(server)
        self.assertEqual((code, stderr, errors_of(found)), (0, "", {}))
        self.assertEqual((found["loop"], found["completed"]), ("open", 200))
        self.assertEqual((found["connections"], found["beside"]["connections"],
                          found["beside"]["present"]), (10, 10, 10))
        time.sleep(0.2)  # for who ends
        self.assertEqual((manners["good"], manners["dribbling"], manners["deaf"]), (200, 3, 3))

    def test_a_server_that_ends_them(self):
        def impatient(connection, _):
            connection.settimeout(0.15)
            data = connection.recv(64)
            while len(data) < 64:
                data += connection.recv(64)
            connection.sendall(data)

        with Server(impatient) as server:
            _, found, _ = self.slow(server, "--manner", "silent")
        self.assertEqual((found["completed"], errors_of(found)), (200, {}))
        self.assertGreaterEqual(found["beside"]["ended"], 10)
        self.assertGreater(found["beside"]["made_again"], 0)

    def test_a_server_that_serves_one_by_one(self):
        """The first bad one has it, and the good ones get nothing."""
        def behave(listener):
            while True:
                try:
                    with listener.accept()[0] as connection:
                        echo(connection)
                except ConnectionError:
                    pass
                except OSError:
                    return
        with Server(None, serve_all=behave) as server:
            code, found, _ = self.slow(server, "--manner", "silent", "--timeout", "200ms")
        self.assertEqual((code, found["completed"]), (1, 0))
        self.assertGreater(found["errors"]["timed_out"], 0)

    def test_of_its_own_server(self):
        for program, backend in (bench.BENCH, READINESS), (bench.BENCH_KQUEUE, "kqueue"):
            code, found, _ = bench.run("slow", "--backend", backend, "--warmup", "0", "--duration",
                                       "300ms", "--connections", "60", program=program)
            self.assertEqual((code, found["completed"], errors_of(found)), (0, 300, {}))
            self.assertEqual((found["connections"], found["beside"]["present"]), (54, 6))


if __name__ == "__main__":
    bench.run_tests()
