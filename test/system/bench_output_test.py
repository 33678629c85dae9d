#!/usr/bin/env python3
"""What hinge-bench writes besides its table: files for other programs, and a line of progress for
who looks at a terminal."""

import contextlib
import csv
import os
import pathlib
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


def on_a_terminal(*arguments, terminal="xterm", during=lambda pid: None):
    """What a terminal shows of standard error while it measures for a second. `during` is called
    as it shows something."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([bench.BENCH, *arguments, "--warmup", "0", "--duration", "1200ms"],
                               stdout=subprocess.DEVNULL, stderr=theirs,
                               env={**os.environ, "TERM": terminal})
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
            during(process.pid)
    except OSError:
        pass  # as Linux says that nobody writes any more
    process.wait(60)
    os.close(ours)
    return shown.decode()


class Progress(unittest.TestCase):
    def seen(self, *arguments, terminal="xterm"):
        with Server(echo) as server:
            return on_a_terminal("crr", "--target", server.target, "--connections", "2",
                                 *arguments, terminal=terminal)

    def test_a_line_that_is_erased(self):
        shown = self.seen()
        self.assertRegex(shown, r"\r\d+ per second, 0 errors, [01] s left\x1b\[K")
        self.assertTrue(shown.endswith("\r\x1b[K"), shown)
        self.assertNotIn("\n", shown)

    def test_the_line_takes_nothing_from_the_load(self):
        """Less than a hundredth of what a generator takes that loads the raw floor."""
        used = []  # nanoseconds, by the client, which is the first thread, and by the others

        def look(pid):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                all_of = {task.name: int((task / "schedstat").read_text().split()[0])
                          for task in pathlib.Path(f"/proc/{pid}/task").iterdir()}
                used.append((all_of.pop(str(pid)), sum(all_of.values())))
        with bench.Floor("crr") as floor:
            on_a_terminal("crr", "--target", floor.target, during=look)
        # As the line is erased its thread has ended.
        client, line = max(one for one in used if one[1] > 0)
        self.assertGreater(client, 10_000_000)
        self.assertLess(line, client / 100)

    def test_none_where_nobody_looks(self):
        self.assertEqual(self.seen(terminal="dumb"), "")
        self.assertEqual(self.seen("--quiet"), "")
        with Server(echo) as server:
            done = bench.plainly("crr", "--target", server.target, "--warmup", "0", "--duration",
                                 "700ms")
        self.assertEqual(done.stderr, "")


if __name__ == "__main__":
    bench.run_tests()
