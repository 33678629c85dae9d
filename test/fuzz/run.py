#!/usr/bin/env python3
"""Runs a fuzzer from its corpus for so many inputs: run.py FUZZER CORPUS RUNS

What it finds is left in the working folder. HINGE_TEST_FULL: a hundred times as many.
"""

import os
import subprocess
import sys
import tempfile


def main(fuzzer, corpus, runs):
    full = "HINGE_TEST_FULL" in os.environ
    seed = [] if full else ["-seed=1"]  # the soak tries what no run has tried before
    with tempfile.TemporaryDirectory() as found:
        return subprocess.run(
            [os.path.abspath(fuzzer), f"-runs={int(runs) * (100 if full else 1)}", *seed,
             "-max_len=4096", "-timeout=25", "-print_final_stats=1", "-verbosity=0",
             f"-artifact_prefix={os.getcwd()}/", found, corpus], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
