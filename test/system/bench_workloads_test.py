#!/usr/bin/env python3
"""hinge-bench's workloads beyond one connection at a time: what they do to a server, and that each
notices a server that isn't what it should be."""

import collections
import csv
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import bench
from bench import READINESS, load
from scripted_server import Server, echo


def errors_of(found):
    return {kind: count for kind, count in found["errors"].items() if count}


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


def one_by_one(pause):
    """A server that takes `pause` for each connection, whoever waits: 1 / pause a second."""
    def behave(listener):
        while True:
            try:
                with listener.accept()[0] as connection:
                    time.sleep(pause)
                    connection.sendall(connection.recv(64))
            except ConnectionError:
                pass
            except OSError:
                return
    return behave


class Sweep(unittest.TestCase):
    def swept(self, *arguments):
        done = bench.plainly(*arguments, "--json", "-")
        found = json.loads(done.stdout)
        if bench.jsonschema:
            path = pathlib.Path(bench.__file__).parents[2] / "docs/hinge-bench-sweep.schema.json"
            schema = json.loads(path.read_text(encoding="utf-8"))
            resolver = bench.jsonschema.RefResolver("", schema, store={
                "hinge-bench.schema.json": bench.SCHEMA})
            bench.jsonschema.validate(found, schema, resolver=resolver)
            self.assertEqual(list(found), schema["required"])
        return done, found

    def test_a_server_that_does_not_follow(self):
        """200 a second at best, of 1000 at least."""
        with Server(None, serve_all=one_by_one(0.005)) as server:
            done, found = self.swept("crr", "--target", server.target, "--sweep", "1k..4k",
                                     "--warmup", "0", "--duration", "1s", "--timeout", "200ms")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("hinge-bench: no step has followed: at 1000 ", done.stderr)
        self.assertEqual((found["highest"], found["bound"], found["answered"]),
                         (None, 1000, False))
        (step,) = found["steps"]
        self.assertEqual(step["outcome"], "behind")
        self.assertNotIn("knee", done.stderr)

    def test_nobody_there(self):
        done, found = self.swept("crr", "--target", "unix:/nowhere/socket", "--sweep", "1k..4k")
        self.assertEqual((done.returncode, found["end"], len(found["steps"])),
                         (1, "nothing answers", 1))

    def test_steps_that_are_not_valid_are_no_answer(self):
        """Each is too short: it is told, and no figure with it."""
        with tempfile.TemporaryDirectory() as folder:
            path = lambda name: os.path.join(folder, name)
            done, found = self.swept("echo", "--backend", READINESS, "--sweep", "100..200",
                                     "--warmup", "0", "--duration", "50ms", "--csv", path("csv"),
                                     "--markdown", path("md"))
            with open(path("csv"), encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            with open(path("md"), encoding="utf-8") as file:
                lines = file.read().splitlines()
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertFalse(found["answered"])
        rates = [step["report"]["asked"]["rate"] for step in found["steps"]]
        self.assertEqual((len(rates), rates[0], rates[-1]), (20, 100, 200))
        self.assertEqual(rates, sorted(rates))
        self.assertEqual([float(row["rate"]) for row in rows], rates)
        for step, row in zip(found["steps"], rows):
            self.assertEqual((step["outcome"], step["report"]["figures"]), ("unknown", None))
            self.assertIn("too short", step["why"])
            self.assertEqual(row["per_second"], "")
        self.assertEqual(done.stderr.count("INVALID: "), 20)
        self.assertEqual(len([line for line in lines if "too short" in line]), 20)

    def test_interrupted(self):
        process = subprocess.Popen(
            [bench.BENCH, "crr", "--backend", READINESS, "--sweep", "100..200", "--warmup", "0",
             "--duration", "1h", "--json", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        report, _ = process.communicate(timeout=30)
        found = json.loads(report)
        self.assertEqual((process.returncode, found["end"]), (130, "it was interrupted"))
        self.assertTrue(found["steps"][0]["report"]["interrupted"])


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
        self.refused("crr", "--sweep", "1k..1k", says="is one rate")
        self.refused("crr", "--sweep", "1k..2k", "--rate", "1k", says="--sweep excludes --rate")
        self.refused("churn", "--closed", "--rate", "1k", says="--closed excludes --rate")
        self.refused("churn", "--closed", "--sweep", "1..2", says="--closed excludes --rate")
        self.refused("crr", "--closed", says="--closed")
        self.refused("restart", "--command", "true", "--sweep", "1..2", says="--sweep")


if __name__ == "__main__":
    bench.run_tests()
