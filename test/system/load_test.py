#!/usr/bin/env python3
"""hinge-serve under wrk and ab: every request is answered, and every connection accounted for."""

import re
import subprocess
import unittest

import serve
from serve import Server, needs


def output(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * serve.PATIENCE)
    if done.returncode != 0:
        raise AssertionError(f"{command[0]} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def number_after(name, text):
    """The number of the line `name`; None without it."""
    found = re.search(re.escape(name) + r"\s*:?\s*(\d+)", text)
    return int(found[1]) if found else None


class Load(unittest.TestCase):
    @needs("wrk")
    def test_wrk(self):
        with Server(protocol="http") as server:
            said = output("wrk", "-t1", "-c50", "-d1s", server.url)
            self.assertNotIn("Socket errors", said)
            self.assertNotIn("Non-2xx", said)
            self.assertGreater(int(re.search(r"(\d+) requests in", said)[1]), 0)
            found = server.stop()
        self.assertGreaterEqual(found["accepted"], 50)
        self.assertEqual(found["closed"]["error"], 0)

    def ab(self, *arguments, accepted):
        with Server(protocol="http") as server:
            said = output("ab", "-q", "-n", "3000", "-c", "20", *arguments, server.url)
            self.assertEqual(number_after("Complete requests", said), 3000)
            self.assertEqual(number_after("Failed requests", said), 0)
            self.assertIsNone(number_after("Non-2xx responses", said))
            found = server.stop()
        kept = number_after("Keep-Alive requests", said)
        self.assertEqual(kept, 3000 if "-k" in arguments else None)
        self.assertTrue(accepted(found["accepted"]), found)

    @needs("ab")
    def test_ab(self):
        # ab may have a few connections under way when it has got all its answers.
        self.ab(accepted=lambda count: 3000 <= count <= 3020)

    @needs("ab")
    def test_ab_with_kept_connections(self):
        self.ab("-k", accepted=lambda count: count <= 40)

    @needs("ab")
    def test_ab_with_head(self):
        self.ab("-i", accepted=lambda count: count >= 3000)


if __name__ == "__main__":
    serve.run_tests()
