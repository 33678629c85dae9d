#!/usr/bin/env python3
"""hinge-serve --metrics, with curl, and with parsers of Prometheus where they are."""

import contextlib
import re
import shutil
import signal
import subprocess
import unittest

import serve
from serve import Server, echoed, needs

PARSE = """import sys
from prometheus_client.parser import text_string_to_metric_families as parse
print(sum(len(family.samples) for family in parse(sys.stdin.read())))"""


def parsers():
    """Commands that read the text on their stdin, and fail when it isn't right."""
    found = [["promtool", "check", "metrics"]] if shutil.which("promtool") else []
    # Debian's module is for Debian's Python.
    for python in filter(None, (shutil.which("python3", path="/usr/bin"), shutil.which("python3"))):
        tried = subprocess.run([python, "-c", "import prometheus_client"], capture_output=True,
                               check=False)
        if tried.returncode == 0:
            return found + [[python, "-c", PARSE]]
    return found


@needs("curl")
class Metrics(unittest.TestCase):
    def server(self, *arguments, **settings):
        return Server(*arguments, "--metrics", "127.0.0.1:0", **settings)

    def fetch(self, server, path="/metrics", *arguments):
        if not hasattr(server, "metrics"):
            server.metrics = server._line().split()[2]
        done = subprocess.run(["curl", "--silent", "--show-error", "--max-time",
                               str(serve.PATIENCE), "--write-out", "\n%{http_code}", *arguments,
                               f"http://{server.metrics}{path}"], capture_output=True, text=True,
                              check=True)
        text, code = done.stdout.rsplit("\n", 1)
        return text, int(code)

    def figures(self, server):
        text, code = self.fetch(server)
        self.assertEqual(code, 200)
        return {name: float(value)
                for name, value in re.findall(r"^(hinge\S+) (\S+)$", text, re.MULTILINE)}

    def test_a_parser_reads_it(self):
        known = parsers()
        if not known:
            self.skipTest("neither promtool nor Python's prometheus_client is installed")
        with self.server("--max-per-source", "5") as server:
            text, _ = self.fetch(server)
        for parser in known:
            for given, good in (text, True), (text.replace('"} ', '} ', 1), False):
                done = subprocess.run(parser, input=given, capture_output=True, text=True,
                                      check=False)
                said = done.stdout + done.stderr
                self.assertEqual(done.returncode == 0, good, said)
            print(parser[0], end=" ", flush=True)

    def test_what_it_tells(self):
        for protocol in "echo", "discard", "http":
            with self.subTest(protocol), self.server(protocol=protocol) as server:
                self.fetch(server)
                with server.connect() as peer:
                    peer.sendall(b"hello")
                    server.until(lambda found: found["bytes_in"] == 5)
                    found = self.figures(server)
                    address = server.addresses[0]
                    own = f'{{listener="0",address="{address}"}}'
                    self.assertEqual(found["hinge_connections"], 1)  # without the one that asks
                    self.assertEqual(found["hinge_accepted_total"], 1)
                    self.assertEqual(found["hinge_listener_accepted_total" + own], 1)
                    self.assertEqual(found["hinge_listener_accepting" + own], 1)
                    self.assertGreater(found["hinge_working_seconds_total"], 0)
                    closed = sum(value for name, value in found.items()
                                 if name.startswith("hinge_closed_total"))
                    self.assertEqual(found["hinge_accepted_total"],
                                     found["hinge_connections"] + closed +
                                     found["hinge_shed_total"])

    def test_the_service_is_as_without(self):
        with self.server() as server:
            self.fetch(server)
            with server.connect() as peer:
                self.assertTrue(echoed(peer, b"GET /metrics HTTP/1.1\r\n"))

    def test_other_targets(self):
        with self.server() as server:
            self.assertEqual(self.fetch(server, "/")[1], 404)
            self.assertEqual(self.fetch(server, "/metrics?x=1")[1], 200)
            self.assertEqual(self.fetch(server, "/metrics", "--head")[1], 200)
            self.assertEqual(self.fetch(server, "/metrics", "--request", "POST")[1], 405)

    def test_it_is_not_limited_as_the_service_is(self):
        with self.server("--deny", "127.0.0.0/8") as server:
            self.assertIn("hinge_accepted_total", self.fetch(server)[0])

    def check_in_a_crowd(self, *arguments, descriptors, places):
        """Each place is taken, and a hundred wait."""
        with contextlib.ExitStack() as stack, \
                self.server(*arguments, descriptors=descriptors) as server:
            for _ in range(places + 100):
                stack.enter_context(server.connect())
            self.fetch(server)
            server.until(lambda found: found["open"] == places and found["full_pauses"] > 0)
            found = self.figures(server)
            self.assertEqual(found["hinge_connections"], places)
            self.assertEqual(found["hinge_connections_limit"], places)
            self.assertEqual(found["hinge_accept_exhausted_total"], 0)

    def test_it_answers_when_every_place_is_taken(self):
        self.check_in_a_crowd("--max-connections", "8", descriptors=1024, places=8)

    def test_it_answers_when_no_descriptor_is_left_for_others(self):
        if serve.BACKEND == "uring":
            self.skipTest("a ring has descriptors of those who wait, too")
        self.check_in_a_crowd(descriptors=256, places=192)

    def test_descriptors_are_kept_for_it(self):
        with self.assertRaisesRegex(AssertionError, "64 are kept for it"):
            self.server("--max-connections", "193", descriptors=256).kill()

    def test_it_answers_while_the_server_drains(self):
        with self.server("--drain-timeout", "30s") as server:
            self.fetch(server)
            with server.connect() as peer:
                self.assertTrue(echoed(peer))
                server.drain()
                self.assertEqual(self.figures(server)["hinge_stopping"], 1)
            server.wait()

    def test_not_of_several_loops(self):
        code, _, said = serve.run("--listen", "127.0.0.1:0", "--threads", "2", "--metrics", "0")
        self.assertEqual(code, 2)
        self.assertIn("--metrics: of one loop", said)

    def test_it_ends_with_the_server(self):
        with self.server() as server:
            self.fetch(server)
            server.stop(signal.SIGTERM)


if __name__ == "__main__":
    serve.run_tests()
