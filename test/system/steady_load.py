"""hinge-bench as the load of other tests: connections that come by the clock, whatever becomes of
the others. Each sends some bytes, and counts when they have come back.

A test that uses it has HINGE_BENCH as its third argument.
"""

import json
import subprocess
import sys

import own_network
import serve

BENCH = None


def run_tests():
    """In a network of their own, where that is permitted."""
    global BENCH
    own_network.enter()
    BENCH = sys.argv.pop(3)
    serve.run_tests()


class SteadyLoad:
    """`rate` connections a second to `target`, for so many seconds from now on."""

    def __init__(self, target, rate, seconds):
        self.seconds = seconds
        self.offered = int(rate * seconds)
        self.process = subprocess.Popen(
            [BENCH, "crr", "--target", target, "--rate", str(rate), "--duration", f"{seconds}s",
             "--warmup", "0", "--timeout", "10s", "--json", "-"], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)

    def finish(self):
        """When all have ended: what hinge-bench reports. Each has ended one way."""
        said, table = self.process.communicate(timeout=self.seconds + serve.PATIENCE)
        if self.process.returncode not in (0, 4):  # counts are valid, when times may be not
            raise AssertionError(f"hinge-bench ended with {self.process.returncode}: {table}")
        report = json.loads(said)
        found = report["figures"] or report["void_figures"]
        lost = sum(found["errors"].values()) + found["unfinished"]
        if found["completed"] + lost != self.offered:
            raise AssertionError(f"{self.offered} were to come: {found}")
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
