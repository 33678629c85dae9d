#!/usr/bin/env python3
"""bench/results: what it writes into the document is what was measured and valid, and it says what
was void."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(__file__).parents[2]
DOCUMENT = SOURCE / "docs" / "BENCHMARKS.md"


def comparison(work, ratio, flaws=()):
    rows = [{"candidate": name, "reference": "libev", "control": name == "libev again",
             "measure": measure, "reference_median": 10, "median": 10 * ratio, "ratio": ratio,
             "low": ratio - 0.01, "high": ratio + 0.01}
            for name in ("epoll", "uring", "libev again")
            for measure in ("server CPU us", "CPU us of both ends")]
    return {"work": work, "way": "two processes", "own_network": True, "rounds": 50,
            "verdict": {"valid": not flaws, "flaws": list(flaws)},
            "figures": None if flaws else rows, "void_figures": rows if flaws else None,
            "counted": [], "kernel": {}}


class Results(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.document = self.folder / "BENCHMARKS.md"
        shutil.copy(DOCUMENT, self.document)

    def run_results(self, *arguments):
        return subprocess.run([SOURCE / "bench/results", "--document", self.document, *arguments,
                               BUILD, self.folder / "results"], capture_output=True, text=True,
                              timeout=100, check=False)

    def stored(self, part, result):
        folder = self.folder / "results"
        folder.mkdir(exist_ok=True)
        (folder / f"{part}.json").write_text(json.dumps(result), encoding="utf-8")
        (folder / f"{part}.md").write_text(f"    hinge-bench {part}\n\nsaid of {part}\n",
                                           encoding="utf-8")

    def part(self, name):
        """Its lines in the document."""
        text = self.document.read_text(encoding="utf-8")
        return text.split(f"<!-- {name} -->\n")[1].split("<!-- end -->")[0]

    def test_goals_are_of_valid_figures(self):
        flaw = {"kind": "too noisy", "reason": "because"}
        self.stored("peer-libev", {
            "format": "hinge-bench-compare/1", "valid": False, "interrupted": False,
            "asked": {"names": ["libev", "epoll", "uring"]},
            "comparisons": [comparison("ac", 0.8), comparison("crr", 0.123, [flaw])],
            "environment": {"kernel": "Linux 1", "load": "busy", "server epoll": "A|B"}})
        self.stored("peer-libuv", {
            "format": "hinge-bench-compare/1", "valid": True, "interrupted": False,
            "asked": {"names": ["libuv", "epoll", "uring"]},
            "comparisons": [comparison("ac", 0.855), comparison("crr", 0.99)],
            "environment": {"kernel": "Linux 2", "load": "idle"}})
        done = self.run_results("--only", "none")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = [[cell.strip() for cell in line.strip("|").split("|")]
                for line in self.part("goals").strip().splitlines()[2:]]
        found = {(what, on): rest for what, on, *rest in rows}
        self.assertEqual(found["libev's CPU for accept and close", "epoll"],
                         ["0.85", "0.800", "0.790 .. 0.810", "yes"])
        self.assertEqual(found["libev's CPU, with a request", "uring"],
                         ["0.97", "", "", "void: too noisy: because"])
        self.assertEqual(found["libuv's CPU for accept and close", "epoll"][-1], "not certain")
        self.assertEqual(found["libuv's CPU, with a request", "epoll"][-1], "no")
        self.assertEqual(found["asio's CPU for accept and close", "epoll"][-1], "not measured")
        self.assertNotIn("0.123", self.document.read_text(encoding="utf-8"))
        self.assertIn("said of peer-libev\n", self.part("peer-libev"))
        self.assertIn("| kernel | Linux 1 / Linux 2 |\n", self.part("environment"))
        self.assertIn("| server epoll | A\\|B |\n", self.part("environment"))
        self.assertNotIn("busy", self.part("environment"))
        self.assertIn("data-ratio", (self.folder / "results/page.html").read_text(encoding="utf-8"))

    def test_writing_twice_is_writing_once(self):
        self.test_goals_are_of_valid_figures()
        once = self.document.read_text(encoding="utf-8")
        self.run_results("--only", "none")
        self.assertEqual(self.document.read_text(encoding="utf-8"), once)

    def test_a_part_is_measured(self):
        done = self.run_results("--brief", "--only", "accept-64")
        self.assertIn(done.returncode, (0, 4), done.stderr)
        stored = json.loads((self.folder / "results/accept-64.json").read_text(encoding="utf-8"))
        self.assertEqual(stored["valid"], done.returncode == 0)
        text = self.part("accept-64")
        self.assertIn("    hinge-bench compare floor-drain floor-epoll epoll", text)
        self.assertEqual("; not valid: " in text, not stored["valid"])
        self.assertIn(text.strip(), done.stdout)

    def test_half_of_nothing(self):
        """Where no rate is known that is followed there is no tail at half of it."""
        done = self.run_results("--brief", "--only", "tail-epoll")
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn("void: knee-floor-epoll has found no rate", self.part("tail-epoll"))

    def test_refused(self):
        done = self.run_results("--only", "no-such-part")
        self.assertEqual(done.returncode, 2)
        self.assertIn("there are cost, peer-libev", done.stderr)
        without = DOCUMENT.read_text(encoding="utf-8").replace("<!-- close -->\n", "")
        self.document.write_text(without, encoding="utf-8")
        done = self.run_results("--only", "none")
        self.assertEqual(done.returncode, 1)
        self.assertIn("has no place for close", done.stderr)


if __name__ == "__main__":
    BUILD = os.path.dirname(os.path.dirname(sys.argv.pop(1)))
    unittest.main()
