#!/usr/bin/env python3
"""hinge-bench --sweep: what it answers, and that it answers nothing where it can't."""

import csv
import json
import os
import pathlib
import subprocess
import tempfile
import unittest
import warnings

import bench
from bench import READINESS
from scripted_server import Server, one_by_one


class Sweep(unittest.TestCase):
    def swept(self, *arguments):
        done = bench.plainly(*arguments, "--json", "-")
        found = json.loads(done.stdout)
        if bench.jsonschema:
            path = pathlib.Path(bench.__file__).parents[2] / "docs/hinge-bench-sweep.schema.json"
            schema = json.loads(path.read_text(encoding="utf-8"))
            warnings.simplefilter("ignore", DeprecationWarning)  # of what Debian 12 has
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
        # On a busy machine it isn't known whose fault that is.
        self.assertIn(done.returncode, (1, 4), done.stderr)
        self.assertIn("no step has followed: ", done.stderr)
        self.assertEqual((found["highest"], found["answered"]), (None, False))
        if found["steps"][0]["outcome"] == "behind":
            self.assertEqual((done.returncode, found["bound"]), (1, 1000))
            self.assertEqual(len(found["steps"]), 1)
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
        if "the client can do no more" not in found["end"]:
            self.assertEqual((len(rates), rates[-1]), (20, 200))
        self.assertEqual((rates[0], rates), (100, sorted(rates)))
        self.assertEqual([float(row["rate"]) for row in rows], rates)
        for step, row in zip(found["steps"], rows):
            self.assertEqual((step["outcome"], step["report"]["figures"]), ("unknown", None))
            self.assertIn("too short", step["why"])
            self.assertEqual(row["per_second"], "")
        self.assertEqual(done.stderr.count("INVALID: "), len(rates))
        self.assertEqual(len([line for line in lines if line.startswith("| 1")]) +
                         len([line for line in lines if line.startswith("| 200 ")]), len(rates))

    def test_interrupted(self):
        process = subprocess.Popen(
            [bench.BENCH, "crr", "--backend", READINESS, "--sweep", "100..200", "--warmup", "0",
             "--duration", "1h", "--json", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True)
        bench.interrupt(process)
        report, _ = process.communicate(timeout=30)
        found = json.loads(report)
        self.assertEqual((process.returncode, found["end"]), (130, "it was interrupted"))
        self.assertTrue(found["steps"][0]["report"]["interrupted"])


if __name__ == "__main__":
    bench.run_tests()
