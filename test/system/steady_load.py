"""hinge-bench as the load of other tests: connections that come by the clock, whatever becomes of
the others. Each sends some bytes, and counts when they have come back.

A test that uses it has HINGE_BENCH as its third argument.
"""

import json
import os
import subprocess
import sys
import time

import own_network
import serve

BENCH = None
# Of a load under restarts, where all that was promised is tried.
FULL_SECONDS = float(os.environ.get("HINGE_TEST_SECONDS", "60"))


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


class Restarted:
    """What became of clients that came on and on, `rate` a second, while `restart` was called
    `times` times in as many seconds."""

    def __init__(self, restart, times, target, rate, seconds):
        self.rate = rate
        before = own_network.counters()
        with SteadyLoad(target, rate, seconds) as load:
            start = time.monotonic()
            for i in range(times):
                time.sleep(max(0, start + (i + 0.5) * seconds / times - time.monotonic()))
                restart()
            self.took = time.monotonic() - start
            self.found = load.finish()
        after = own_network.counters()
        self.offered = load.offered
        self.kernel = {name: after[name] - before[name]
                       for name in ("TCPSynRetrans", "ListenOverflows", "ListenDrops")}

    def check(self, test, accepted, syns_again=0):
        """Each client was served, at its first try, and counted once. `syns_again`: so many may
        have had to try again."""
        test.assertEqual(self.found["completed"], self.offered, self.found)
        test.assertEqual(accepted, self.offered)
        if own_network.INSIDE in os.environ:
            test.assertLessEqual(self.kernel["TCPSynRetrans"], syns_again, self.kernel)
            test.assertEqual(self.kernel["ListenDrops"], 0)

    def print_row(self, by, how, accepted):
        """As docs/HANDOVER.md has it."""
        errors = self.found["errors"]
        others = sum(errors.values()) + self.found["unfinished"] - errors["refused"] - \
            errors["reset"]
        policy = f"`{how[-1]}`, {how[1]} threads" if how else "one loop"
        slowest, lag = (self.found[times]["max"] / 1e6 for times in ("latency_ns", "client_lag_ns"))
        cells = (by, serve.BACKEND, policy, self.rate, f"{self.offered:,}",
                 f"{self.found['completed']:,}", errors["refused"], errors["reset"], others,
                 self.kernel["TCPSynRetrans"], self.kernel["ListenDrops"], f"{accepted:,}",
                 f"{slowest:.0f}", f"{lag:.0f}", f"{self.took:.0f}")
        print("| " + " | ".join(map(str, cells)) + " |", file=sys.stderr)
