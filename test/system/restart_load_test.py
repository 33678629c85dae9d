#!/usr/bin/env python3
"""hinge-bench's workload restart: a command is run in the middle of a load, and the lost are
counted."""

import os
import signal
import tempfile
import unittest

import bench
from bench import load
from scripted_server import Server, echo, reset


class Restart(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.note = os.path.join(folder.name, "note")

    def restart(self, server, command, *arguments, **how):
        return load("restart", server.target, "--rate", "200", "--command", command, *arguments,
                    **{"warmup": "0", "duration": "500ms", **how})

    def test_nobody_is_lost(self):
        with Server(echo) as server:
            code, found, said = self.restart(server, f"echo told; echo x >>{self.note}", "--times",
                                             "3")
        self.assertEqual((code, said), (0, "told\n" * 3))
        self.assertEqual((found["workload"], found["loop"]), ("restart", "open"))
        self.assertEqual(found["completed"], 100)
        self.assertEqual(found["restart"]["lost"], 0)
        self.assertEqual([one["exit_code"] for one in found["restart"]["runs"]], [0] * 3)
        begun = [one["at_s"] for one in found["restart"]["runs"]]
        for at, planned in zip(begun, (0.125, 0.25, 0.375)):
            self.assertGreaterEqual(at, planned)
        with open(self.note, encoding="ascii") as file:
            self.assertEqual(file.read(), "x\n" * 3)

    def test_the_lost_are_counted(self):
        """From the command on each client is reset."""
        def serve(connection, _):
            (reset if os.path.exists(self.note) else echo)(connection)
        with Server(serve) as server:
            code, found, _ = self.restart(server, f"touch {self.note}")
        self.assertEqual(code, 1)
        self.assertGreater(found["errors"]["reset"], 0)
        self.assertEqual(found["restart"]["lost"], sum(found["errors"].values()))
        self.assertEqual(found["completed"] + found["restart"]["lost"], 100)

    def test_a_command_that_fails(self):
        for command, exit_code in ("exit 3", 3), ("kill -TERM $$", 143), ("/nowhere/x", 127):
            with Server(echo) as server:
                code, found, _ = self.restart(server, command, duration="200ms")
            self.assertEqual((code, found["restart"]["lost"]), (1, 0))
            self.assertEqual(found["restart"]["runs"][0]["exit_code"], exit_code)

    def test_a_command_that_does_not_end(self):
        with Server(echo) as server:
            code, found, _ = self.restart(server, f"echo $$ >{self.note}; exec sleep 1000 2>&- >&-",
                                          "--timeout", "300ms", "--times", "2")
        with open(self.note, encoding="ascii") as file:
            os.kill(int(file.read()), signal.SIGKILL)
        self.assertEqual((code, found["completed"]), (1, 100))
        self.assertEqual([one["exit_code"] for one in found["restart"]["runs"]], [None])

    def test_one_that_comes_too_late_is_not_begun(self):
        """Nothing answers: the load is over at once."""
        code, found, _ = load("restart", "unix:/nowhere/socket", "--rate", "1k", "--command",
                              f"touch {self.note}", duration="1h", warmup="0")
        self.assertEqual((code, found["restart"]["runs"]), (1, []))
        self.assertFalse(os.path.exists(self.note))


if __name__ == "__main__":
    bench.run_tests()
