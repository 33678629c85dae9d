#!/usr/bin/env python3
"""What hinge-bench writes besides its table: files for other programs, and a line of progress for
who looks at a terminal."""

import csv
import os
import pty
import subprocess
import tempfile
import unittest

import bench
from scripted_server import Server, echo


class Files(unittest.TestCase):
    def test_each_is_written(self):
        """A run that is too short: each says so in its way, and none has a plain figure."""
        with Server(echo) as server, tempfile.TemporaryDirectory() as folder:
            path = lambda name: os.path.join(folder, name)
            done = bench.plainly("crr", "--target", server.target, "--warmup", "0", "--duration",
                                 "100ms", "--csv", path("csv"), "--markdown", path("md"), "--hdr",
                                 path("hdr"))
            self.assertEqual(done.returncode, 4)
            self.assertIn("INVALID", done.stdout)
            with open(path("csv"), encoding="utf-8", newline="") as file:
                (row,) = csv.DictReader(file)
            self.assertEqual((row["workload"], row["per_second"]), ("crr", ""))
            self.assertIn("too short: ", row["verdict"])
            with open(path("md"), encoding="utf-8") as file:
                self.assertIn("| workload | crr |\n", file.read())
            self.assertFalse(os.path.exists(path("hdr")))
            self.assertIn("not written, as the figures aren't valid", done.stderr)

    def test_percentiles_of_a_restart(self):
        """Which is a count, and always valid."""
        with Server(echo) as server:
            done = bench.plainly("restart", "--target", server.target, "--rate", "200", "--command",
                                 "true", "--warmup", "0", "--duration", "200ms", "--hdr", "-")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = [line.split() for line in done.stdout.splitlines() if line and line[0] != "#"]
        self.assertEqual(rows[0], ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"])
        self.assertEqual(rows[-1][1:], ["1.000000000000", "40"])
        self.assertIn("latency", done.stderr)


class Progress(unittest.TestCase):
    def seen(self, *arguments, terminal="xterm"):
        """What a terminal shows of standard error while it measures for a second."""
        ours, theirs = pty.openpty()
        with Server(echo) as server:
            process = subprocess.Popen(
                [bench.BENCH, "crr", "--target", server.target, "--connections", "2", "--warmup",
                 "0", "--duration", "1200ms", *arguments], stdout=subprocess.DEVNULL, stderr=theirs,
                env={**os.environ, "TERM": terminal})
            os.close(theirs)
            shown = b""
            try:
                while piece := os.read(ours, 4096):
                    shown += piece
            except OSError:
                pass  # as Linux says that nobody writes any more
            process.wait(60)
            os.close(ours)
        return shown.decode()

    def test_a_line_that_is_erased(self):
        shown = self.seen()
        self.assertRegex(shown, r"\r\d+ per second, 0 errors, [01] s left\x1b\[K")
        self.assertTrue(shown.endswith("\r\x1b[K"), shown)
        self.assertNotIn("\n", shown)

    def test_none_where_nobody_looks(self):
        self.assertEqual(self.seen(terminal="dumb"), "")
        self.assertEqual(self.seen("--quiet"), "")
        with Server(echo) as server:
            done = bench.plainly("crr", "--target", server.target, "--warmup", "0", "--duration",
                                 "700ms")
        self.assertEqual(done.stderr, "")


if __name__ == "__main__":
    bench.run_tests()
