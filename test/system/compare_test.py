#!/usr/bin/env python3
"""hinge-bench compare, and the servers that hinge-bench starts as processes: what it compares, what
it counts, and what it says when it can't."""

import csv
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import bench
from scripted_server import ECHO, Process

try:
    import jsonschema
except ImportError:
    jsonschema = None

SCHEMA = json.loads((pathlib.Path(__file__).parents[2] / "docs/hinge-bench-compare.schema.json")
                    .read_text(encoding="utf-8"))
PEERS = [word for word in sys.argv[1:] if "/peers/" in word]
# Wide bounds: the machine may be busy.
QUICK = ["--rounds", "20", "--block", "10", "--precision", "50%"]
FULL = "HINGE_TEST_FULL" in os.environ
NO_VALGRIND = {**os.environ, "PATH": "/nonexistent"}


def compare(*arguments, env=NO_VALGRIND):
    """The exit code, the JSON and stderr."""
    done = subprocess.run([bench.BENCH, "compare", *arguments, "--json", "-"], capture_output=True,
                          text=True, timeout=60, check=False, env=env)
    report = json.loads(done.stdout) if done.stdout else None
    if report and jsonschema:
        jsonschema.validate(report, SCHEMA)
    return done.returncode, report, done.stderr


def rows(comparison):
    return comparison["figures"] or comparison["void_figures"]


def has_uring():
    done = bench.plainly("--backend", "list", "--json", "-")
    return any(one["name"] == "uring" and one["usable"]
               for one in json.loads(done.stdout)["candidates"])


class Comparing(unittest.TestCase):
    def test_against_itself(self):
        for apart in [], ["--apart"]:
            code, report, said = compare("epoll", "epoll", "--uncounted", *QUICK, *apart)
            self.assertIn(code, (0, 4), said)
            self.assertEqual([one["work"] for one in report["comparisons"]], ["ac", "crr"])
            for one in report["comparisons"]:
                self.assertEqual(one["way"], "two processes on one CPU" if apart else "one process")
                self.assertEqual(one["rounds"], 20)
                for row in rows(one):
                    self.assertTrue(row["low"] < 1.5 and row["high"] > 0.67, row)
                self.assertEqual([row["control"] for row in rows(one)], [False] * 2 + [True] * 2)

    def test_counts(self):
        """Which are exact, on any machine."""
        code, report, said = compare("floor-epoll", "floor-drain", "epoll", *QUICK, "--work", "ac")
        self.assertIn(code, (0, 4), said)
        (one,) = report["comparisons"]
        self.assertEqual([row["name"] for row in one["counted"]],
                         ["floor-epoll", "floor-drain", "epoll"])
        for row in one["counted"]:
            self.assertIn("valgrind", row["missing"]["user_instructions"])
            for kind in set(row["missing"]) - {"user_instructions"}:
                self.assertRegex(row["missing"][kind], "CAP_PERFMON|namespace")
        floor, drain, hinge = one["counted"]
        if floor["system_calls"] is not None:
            # A wait, an accept, a close; and an accept that finds nobody.
            # On a busy machine several may wait at a time, and share a wait.
            self.assertAlmostEqual(floor["system_calls"], 3, delta=0.3)
            self.assertAlmostEqual(drain["system_calls"], 4, delta=0.4)
            self.assertAlmostEqual(hinge["system_calls"], 3, delta=0.3)
        if floor["packets"] is not None:
            self.assertEqual(len({round(row["packets"]) for row in one["counted"]}), 1)
            self.assertGreater(floor["bytes"], floor["packets"] * (14 + 20 + 20))

    def test_a_reply_before_the_close(self):
        """Sent in one with the close, or in a packet of its own: two packets less."""
        _, report, _ = compare("epoll", "epoll:send-close", *QUICK, "--work", "ac,crr")
        (one,) = report["comparisons"]  # of what both do
        self.assertEqual(one["work"], "crr")
        together, apart = one["counted"]
        if together["packets"] is None:
            self.skipTest(together["missing"]["packets"])
        self.assertEqual(round(apart["packets"] - together["packets"]), 2)

    def test_instructions(self):
        code, report, said = compare("floor-epoll", "floor-epoll", *QUICK, "--work", "ac",
                                     env=os.environ)
        self.assertIn(code, (0, 4), said)
        for row in report["comparisons"][0]["counted"]:
            if "user_instructions" in row["missing"]:
                self.skipTest(row["missing"]["user_instructions"])
            self.assertTrue(5 < row["user_instructions"] < 2000, row)

    def test_waiting(self):
        """A batch waits, in one process and in two."""
        for more in [], ["--apart"], ["--gone"]:
            code, report, said = compare("floor-epoll", "floor-drain", "--rounds", "20",
                                         "--block", "32", "--precision", "50%", "--waiting", "16",
                                         "--work", "ac", "--uncounted", *more)
            self.assertIn(code, (0, 4), said)
            self.assertEqual(report["comparisons"][0]["rounds"], 20)

    def test_echo(self):
        code, report, said = compare("floor-epoll", "epoll", "--work", "echo", "--rounds", "2",
                                     "--run-duration", "50ms", "--uncounted")
        if "need a CPU each" in said:
            self.skipTest("one CPU")
        self.assertEqual(code, 4, said)
        (one,) = report["comparisons"]
        self.assertIsNone(one["figures"])
        self.assertEqual(one["verdict"]["flaws"][0]["kind"], "too short")
        self.assertEqual({row["measure"] for row in one["void_figures"]},
                         {"server CPU us", "1000 a second"})

    def test_an_open_loop(self):
        """What clients see of who takes 50 ms for each of them."""
        arguments = ("--work", "crr", "--rate", "20", "--rounds", "2", "--run-duration", "300ms",
                     "--uncounted")
        with Process(["time.sleep(.05)", *ECHO]) as slow:
            code, report, said = compare("floor-epoll", f"{slow.target}@{slow.process.pid}",
                                         *arguments)
        if "need a CPU each" in said:
            self.skipTest("one CPU")
        self.assertEqual(code, 4, said)
        self.assertEqual(report["asked"]["rate"], 20)
        (one,) = report["comparisons"]
        self.assertIn("open loop, 20 a second", one["way"])
        found = {row["measure"]: row["median"] for row in rows(one) if not row["control"]}
        self.assertEqual(list(found), ["p99 us", "p99.9 us", "server CPU us"])
        self.assertTrue(50_000 < found["p99 us"] <= found["p99.9 us"], found)
        for excluded in ["--gone"], ["--waiting", "2"]:
            code, _, said = compare("floor-epoll", "epoll", *arguments, *excluded)
            self.assertEqual(code, 2)
            self.assertIn("--rate excludes", said)

    def test_what_each_serves_by(self):
        """Of hinge's own, started or here, and of the peers, in the environment."""
        uring = has_uring()
        names = ["floor-epoll", "epoll", *(["uring"] if uring else [])]
        peers = [os.path.basename(path) for path in PEERS]
        for more in [], ["--apart"], [*peers, "epoll:dispatch"]:
            code, report, said = compare(*names, *more, "--rounds", "1", "--block", "2", "--work",
                                         "ac", "--uncounted")
            self.assertEqual(code, 4, said)
            told = {name: text for name, text in report["environment"].items()
                    if name.startswith("server ")}
            self.assertRegex(told.pop("server epoll"), "^epoll: .*edge-triggered")
            if uring:
                self.assertRegex(told.pop("server uring"),
                                 r"^uring: \d+ submissions, \d+ completions, IORING_SETUP_\S*"
                                 r"R_DISABLED\S*, \d+ receive buffers")
            if more and more != ["--apart"]:
                self.assertRegex(told.pop("server epoll:dispatch"), "^epoll: ")
                for name in peers:
                    self.assertRegex(told.pop(f"server {name}").lower(),
                                     rf"^{name.removesuffix('-one')} \d+\.\d+")
            self.assertEqual(told, {})

    def test_other_formats(self):
        """What is too short has no plain number in any of them."""
        with tempfile.TemporaryDirectory() as folder:
            paths = [os.path.join(folder, name) for name in ("csv", "md")]
            done = bench.plainly("compare", "floor-epoll", "epoll", "--rounds", "2", "--block", "5",
                                 "--uncounted", "--csv", paths[0], "--markdown", paths[1])
            self.assertEqual(done.returncode, 4, done.stderr)
            self.assertIn("INVALID, the figures are void: too short", done.stdout)
            texts = [pathlib.Path(path).read_text(encoding="utf-8") for path in paths]
        for row in csv.DictReader(io.StringIO(texts[0])):
            self.assertEqual((row["value"], row["ratio"]), ("", ""))
            self.assertIn("too short", row["verdict"])
        self.assertIn("not valid: too short", texts[1])
        self.assertNotRegex(texts[1], r"\| [\d.]+ \|")


class Peers(unittest.TestCase):
    def test_each_answers(self):
        for name in [os.path.basename(path) for path in PEERS] + ["epoll", "floor-drain"]:
            for work in "accept", "crr", "echo":
                with self.subTest(name, work=work):
                    code, found, said = bench.run(
                        work, "--peer" if name not in ("epoll", "floor-drain") else "--serve", name,
                        "--connections", "4", "--warmup", "0", "--duration", "60ms")
                    self.assertEqual(code, 0, said)
                    self.assertGreater(found["completed"], 0)
                    self.assertEqual(sum(found["errors"].values()), 0, found["errors"])
                    self.assertGreater(found["server_cpu_us_per_operation"], 0)

    def test_a_network_of_its_own(self):
        """As one that is compared has: others' connections are in nobody's counts."""
        if subprocess.run(["unshare", "--net", "true"], stderr=subprocess.DEVNULL,
                          check=False).returncode != 0:
            self.skipTest("not permitted")
        process = subprocess.Popen([bench.BENCH, "crr", "--serve", "floor-epoll", "--duration",
                                    "20s"], stdout=subprocess.DEVNULL)
        network = lambda who: os.readlink(f"/proc/{who}/ns/net")
        deadline = time.monotonic() + 10
        while network(process.pid) == network("self") and time.monotonic() < deadline:
            time.sleep(0.01)
        found = network(process.pid)
        process.terminate()  # maybe while the server is started: that ends well, too
        self.assertEqual(process.wait(20), 130)
        self.assertNotEqual(found, network("self"))

    def test_compared(self):
        names = [os.path.basename(path) for path in PEERS]
        if not names:
            self.skipTest("no peer in this build")
        code, report, said = compare("floor-epoll", *names, *QUICK)
        self.assertIn(code, (0, 4), said)
        for one in report["comparisons"]:
            self.assertEqual(one["way"], "two processes on one CPU")
            for row in one["counted"]:
                self.assertTrue(row["system_calls"] is None or 2 < row["system_calls"] < 20, row)


class Refusing(unittest.TestCase):
    def test_unknown(self):
        code, _, said = compare("epoll", "no-such-server")
        self.assertEqual(code, 2)
        self.assertIn("'no-such-server': must be one of", said)
        self.assertIn("floor-drain", said)

    def test_one_alone(self):
        self.assertEqual(compare("epoll")[0], 2)

    def test_missing_peer(self):
        with tempfile.TemporaryDirectory() as folder:
            code, _, said = compare("epoll", "libuv", env={**NO_VALGRIND,
                                                           "HINGE_BENCH_PEERS": folder})
        self.assertEqual(code, 3)
        self.assertRegex(said, r"libuv: this peer isn't built: .*libuv1-dev")

    def test_work_that_nobody_does(self):
        code, _, said = compare("epoll", "floor-blocking", "--work", "echo")
        self.assertEqual(code, 2)
        self.assertIn("none that all of them do", said)


class Baseline(unittest.TestCase):
    def held(self, change):
        """Compares, and once more against that with all intervals and counts times `change`. Where
        the machine is too busy for a valid ratio the counts decide."""
        arguments = ["floor-epoll", "floor-drain", *QUICK, "--work", "ac"]
        code, report, said = compare(*arguments)
        self.assertIn(code, (0, 4), said)
        for one in report["comparisons"]:
            one["figures"] = rows(one)
            for row in one["figures"]:
                row["high"] *= change
            for row in one["counted"]:
                row.update({kind: value * change for kind, value in row.items()
                            if isinstance(value, float)})
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
            json.dump(report, file)
            file.flush()
            code, _, said = compare(*arguments, "--baseline", file.name)
        return code, said

    def test_worse(self):
        code, said = self.held(0.2)
        self.assertEqual(code, 1, said)
        self.assertRegex(said, r"worse than .*: ac, floor-drain, (server CPU us|system_calls)")

    def test_as_good(self):
        code, said = self.held(3)
        self.assertIn(code, (0, 4), said)
        self.assertNotIn("worse than", said)

    def test_another_file(self):
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
            file.write('{"format": "another"}')
            file.flush()
            code, _, said = compare("floor-epoll", "epoll", *QUICK, "--work", "ac", "--uncounted",
                                    "--baseline", file.name)
        self.assertEqual(code, 2)
        self.assertIn("isn't of the format", said)


class Interrupted(unittest.TestCase):
    def test_partial_result(self):
        process = subprocess.Popen([bench.BENCH, "compare", "epoll", "floor-epoll", "--precision",
                                    "0.01%", "--longest", "50s", "--block", "20", "--json", "-"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 130, said)
        report = json.loads(out)
        self.assertTrue(report["interrupted"])
        self.assertGreater(report["comparisons"][0]["rounds"], 0)
        self.assertEqual(len(report["comparisons"]), 1)


@unittest.skipUnless(FULL, "needs a machine of its own, and minutes")
class Sharpness(unittest.TestCase):
    """In one process, in 20 seconds at most."""

    def ratio(self, candidate, precision, seed):
        code, report, said = compare("epoll", candidate, "--work", "ac", "--uncounted",
                                     "--precision", precision, "--longest", "20s", "--seed",
                                     str(seed))
        self.assertIn(code, (0, 4), said)
        (row,) = [row for row in rows(report["comparisons"][0])
                  if row["measure"] == "server CPU us" and not row["control"]]
        print(f"{candidate}: {row['low']:.4f} .. {row['high']:.4f}", file=sys.stderr)
        return row["low"], row["high"]

    def test_the_same_is_the_same(self):
        """95 % of such intervals contain 1: two of three."""
        good = 0
        for seed in range(3):
            low, high = self.ratio("epoll", "1.5%", seed)
            good += low <= 1 <= high and (high - low) / 2 <= 0.015
        self.assertGreaterEqual(good, 2)

    def test_a_needless_call_is_found(self):
        found = sum(self.ratio("epoll:needless-option", "0.5%", seed)[0] > 1 for seed in range(10))
        self.assertGreaterEqual(found, 9)


if __name__ == "__main__":
    sys.argv = [word for word in sys.argv if word not in PEERS]
    bench.run_tests()
