"""Runs hinge-bench for a test.

A test is a unittest program: NAME_test.py HINGE_BENCH HINGE_BENCH_KQUEUE FLOOR... [unittest
arguments]. The second one has the model of kqueue.
"""

import functools
import json
import pathlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

try:
    import jsonschema
except ImportError:
    jsonschema = None  # reports are then not held against their schema

SCHEMA = json.loads((pathlib.Path(__file__).parents[2] / "docs/hinge-bench.schema.json")
                    .read_text(encoding="utf-8"))
BENCH = BENCH_KQUEUE = None
FLOORS = []
MASKED = "HINGE_TEST_MASKED" in os.environ  # see mask/system.hpp
READINESS = os.environ.get("HINGE_TEST_READINESS", "epoll")  # the backend of that kind
KINDS = ["refused", "reset", "timed_out", "unreachable", "early_end", "mismatch", "no_descriptor",
         "no_port", "other"]


def flat(report):
    """What was asked, and the figures, valid or void, as if they stood at the top. The exit code of
    a run whose figures aren't valid says so."""
    if jsonschema:
        jsonschema.validate(report, SCHEMA)
    return {**report, **report["asked"], **(report["figures"] or report["void_figures"])}


def run(*arguments, before=None, program=None):
    """Runs hinge-bench; its exit code, the JSON object (or None) and stderr. 4, not valid, is 0:
    most tests measure for a moment on a busy machine. The report has to say the same."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "result.json")
        server = ({"--target", "--backend", "--serve", "--peer"} & set(arguments)
                  or "HINGE_BACKEND" in os.environ)
        more = ["--json", path] if server else []
        done = subprocess.run([program or BENCH, *arguments, *more], capture_output=True,
                              text=True, timeout=60, preexec_fn=before)
        found = None
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                found = flat(json.load(file))
        code = done.returncode
        if code in (0, 4):
            if found is None or found["verdict"]["valid"] != (code == 0):
                raise AssertionError(f"exit code {code}: {found}")
            code = 0
        return code, found, done.stderr


def plainly(*arguments):
    """As run(), without a report of its own."""
    return subprocess.run([BENCH, *arguments], capture_output=True, text=True, timeout=60,
                          check=False)


def load(workload, target, *arguments, warmup="50ms", duration="300ms"):
    return run(workload, "--target", target, "--warmup", warmup, "--duration", duration,
                 *arguments)


def interrupt(process, after=0.4):
    """Some time after it has begun to hear of it."""
    hears = False
    while not hears and process.poll() is None:
        with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
            masks = re.findall(r"^Sig(?:Blk|Cgt):\s+(\w+)", file.read(), re.M)
        hears = any(int(mask, 16) & 1 << signal.SIGINT - 1 for mask in masks)
        time.sleep(0.01)
    time.sleep(after)
    process.send_signal(signal.SIGINT)


def errors_of(found):
    """The kinds that there were."""
    return {kind: count for kind, count in found["errors"].items() if count}


def need_floors():
    if not FLOORS:
        raise unittest.SkipTest("no floor in this build")


class Floor:
    def __init__(self, work, program=None):
        need_floors()
        self.process = subprocess.Popen([program or FLOORS[0], work, "0"], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        said = self.process.stdout.readline().split()
        if not said:
            with self:
                raise unittest.SkipTest(self.process.stderr.read().strip())
        self.target = said[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


def on_each_floor(test):
    """One that this kernel refuses is skipped."""
    @functools.wraps(test)
    def each(self):
        need_floors()
        for program in FLOORS:
            with self.subTest(os.path.basename(program)):
                test(self, program)
    return each


def run_tests():
    global BENCH, BENCH_KQUEUE
    BENCH, BENCH_KQUEUE = sys.argv.pop(1), sys.argv.pop(1)
    os.environ.pop("HINGE_BACKEND", None)
    while len(sys.argv) > 1 and os.path.basename(sys.argv[1]).startswith("floor_"):
        FLOORS.append(sys.argv.pop(1))
    unittest.main(module="__main__")
