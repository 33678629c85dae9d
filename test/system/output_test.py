#!/usr/bin/env python3
"""hinge-serve whose statistics nobody reads: it neither ends nor waits, and says so."""

import fcntl
import os
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import serve
from serve import PATIENCE, echoed


class Unread(unittest.TestCase):
    def setUp(self):
        self.reading, writing = os.pipe()
        self.stderr = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [serve.PROGRAM, "--listen", "127.0.0.1:0", "--backend", serve.BACKEND],
            stdout=writing, stderr=self.stderr)
        os.close(writing)
        with os.fdopen(os.dup(self.reading)) as lines:
            self.port = int(lines.readline().split()[2].rsplit(":", 1)[1])

    def tearDown(self):
        self.process.kill()
        self.process.wait()
        self.stderr.close()

    def said(self):
        self.stderr.seek(0)
        return self.stderr.read()

    def until_said(self, text):
        end = time.monotonic() + PATIENCE
        while text not in self.said():
            self.assertIsNone(self.process.poll(), "it has ended")
            self.assertLess(time.monotonic(), end, self.said())
            self.process.send_signal(signal.SIGUSR1)
            time.sleep(0.005)

    def still_serves(self):
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as peer:
            self.assertTrue(echoed(peer))
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(PATIENCE), 0)

    def test_the_reader_has_gone(self):
        os.close(self.reading)
        self.until_said("standard output: EPIPE: Broken pipe\n")
        self.still_serves()

    def test_the_reader_sleeps(self):
        self.until_said("standard output is full: a line is dropped\n")
        self.still_serves()
        flags = fcntl.fcntl(self.reading, fcntl.F_GETFL)
        fcntl.fcntl(self.reading, fcntl.F_SETFL, flags | os.O_NONBLOCK)
        with os.fdopen(self.reading) as lines:
            for line in lines.read().splitlines():
                serve.accounted(serve.json.loads(line))  # whole ones


if __name__ == "__main__":
    serve.run_tests()
