#!/usr/bin/env python3
"""hinge-serve --metrics, with curl, and with parsers of Prometheus where they are."""

import contextlib
import re
import shutil
import signal
import subprocess
import time
import unittest

import serve
from policies import POLICIES, can_do
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


def summed(found, family, but=None):
    """Over all labels, without a loop of that name."""
    return sum(value for name, value in found.items()
               if name.partition("{")[0] == family and f'loop="{but}"' not in name)


def by_loop(found, family):
    """Of each loop; where it has other labels, too, their sum."""
    each = {}
    for name, value in found.items():
        label = re.fullmatch(family + r'\{loop="(\w+)".*\}', name)
        if label:
            each[label[1]] = each.get(label[1], 0) + value
    return each


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
        texts = []
        for loops in [], ["--threads", "2"], ["--policy", "dispatch"]:
            with self.server("--source-rate", "50", *loops) as server:
                texts.append(self.fetch(server)[0])
        wrong = texts[0].replace('"} ', '} ', 1)
        for parser in known:
            for given in *texts, wrong:
                done = subprocess.run(parser, input=given, capture_output=True, text=True,
                                      check=False)
                said = done.stdout + done.stderr
                self.assertEqual(done.returncode == 0, given is not wrong, said)
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
        with self.server(*arguments, descriptors=descriptors) as server, \
                contextlib.ExitStack() as stack:
            for _ in range(places + 100):
                stack.enter_context(server.connect())
            self.fetch(server)
            server.until(lambda found: found["open"] == places and found["full_pauses"] > 0)
            found = self.figures(server)
            self.assertEqual(summed(found, "hinge_connections"), places)
            self.assertEqual(summed(found, "hinge_connections_limit"), places)
            self.assertEqual(summed(found, "hinge_accept_exhausted_total"), 0)

    def test_it_answers_when_every_place_is_taken(self):
        self.check_in_a_crowd("--max-connections", "8", descriptors=1024, places=8)
        self.check_in_a_crowd("--threads", "2", "--max-connections", "4", descriptors=512, places=8)

    def test_it_answers_when_no_descriptor_is_left_for_others(self):
        if serve.BACKEND == "uring":
            self.skipTest("a ring has descriptors of those who wait, too")
        self.check_in_a_crowd(descriptors=256, places=192)

    def test_descriptors_are_kept_for_it(self):
        for many in ["193"], ["97", "--threads", "2"], ["49", "--threads", "4"]:
            with self.assertRaisesRegex(AssertionError, "64 are kept for it"):
                self.server("--max-connections", *many, descriptors=256).kill()

    def test_it_answers_while_the_server_drains(self):
        with self.server("--drain-timeout", "30s") as server:
            self.fetch(server)
            with server.connect() as peer:
                self.assertTrue(echoed(peer))
                server.drain()
                self.assertEqual(self.figures(server)["hinge_stopping"], 1)
            server.wait()

    def check_each_loop(self, found):
        """What each has accepted has gone somewhere, whenever it is looked at."""
        connections = by_loop(found, "hinge_connections")
        for loop, accepted in by_loop(found, "hinge_accepted_total").items():
            ended = [by_loop(found, f"hinge_{why}_total")[loop]
                     for why in ("closed", "shed", "handed_over")]
            self.assertEqual(accepted, connections[loop] + sum(ended), loop)

    def test_of_several_loops(self):
        for policy in filter(can_do, POLICIES):
            loops = 8 if policy == "thread_per_connection" else 3
            with self.subTest(policy), contextlib.ExitStack() as stack, \
                    self.server("--threads", str(loops), "--policy", policy) as server:
                peers = [stack.enter_context(server.connect()) for _ in range(8)]
                for peer in peers:
                    self.assertTrue(echoed(peer))
                    self.check_each_loop(self.figures(server))
                for peer in peers[:3]:
                    peer.close()
                told = server.until(lambda found: found["open"] == 5)
                found = self.figures(server)
                self.check_each_loop(found)
                handed_over = summed(found, "hinge_handed_over_total")
                apart = "acceptor" in by_loop(found, "hinge_late")
                self.assertEqual(handed_over, 8 if apart else 0)
                self.assertEqual(summed(found, "hinge_accepted_total") - handed_over, 8)
                self.assertEqual(summed(found, "hinge_listener_accepted_total"), 8)
                self.assertEqual(summed(found, "hinge_connections"), 5)
                self.assertEqual(summed(found, "hinge_closed_total"), 3)
                self.assertEqual(summed(found, "hinge_received_bytes_total"), 8 * len("hello"))
                # The same as SIGUSR1 tells, of each loop and of their listener.
                accepted = by_loop(found, "hinge_accepted_total")
                self.assertEqual([loop["accepted"] for loop in told["loops"]],
                                 [accepted[str(i)] for i in range(len(told["loops"]))])
                self.assertAlmostEqual(found["hinge_accept_fairness"], told["fairness"])
                self.assertEqual(summed(found, "hinge_late"), 0)
                self.assertEqual(summed(found, "hinge_listener_accepting"), 1)
                self.assertGreater(summed(found, "hinge_working_seconds_total"), 0)
                for peer in peers:
                    peer.close()
                server.stop()
                self.assertEqual(server.ended["accepted"], 8)

    def test_it_answers_while_loops_drain(self):
        with self.server("--drain-timeout", "30s", "--threads", "2") as server:
            with server.connect() as peer:
                self.assertTrue(echoed(peer))
                self.fetch(server)
                server.send_signal(signal.SIGTERM)
                end = time.monotonic() + serve.PATIENCE
                # The one without a connection ends; the other one is told of, too.
                while by_loop(found := self.figures(server), "hinge_stopping") != {"0": 1, "1": 1}:
                    self.assertLess(time.monotonic(), end, found)
                self.assertEqual(summed(found, "hinge_connections"), 1)
            server.wait()

    def test_it_ends_with_the_server(self):
        with self.server() as server:
            self.fetch(server)
            server.stop(signal.SIGTERM)


if __name__ == "__main__":
    serve.run_tests()
