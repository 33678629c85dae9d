#!/usr/bin/env python3
"""The whole conformance suite on what is chosen where io_uring is refused.

fallback.py HOW PROGRAM...      HOW: as in ../support/refused.py, or switched-off
"""

import os
import re
import subprocess
import sys

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "support"))
import refused  # noqa: E402  (support/ isn't on the path before)


def run(command):
    """A test program to its end, which has to be a good one."""
    done = subprocess.run(command, env=dict(os.environ, HINGE_TEST_AUTOMATIC="1"),
                          stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        print(done.stdout)
        sys.exit(1)
    # "All tests passed (9 assertions in 3 test cases)", or "test cases: 9 | 3 passed | ..."
    passed = re.search(r"in (\d+) test case|test cases: .*?(\d+) passed", done.stdout)
    if not passed or int(passed[1] or passed[2]) == 0:
        sys.exit(f"{command}: no case was run")
    print(command[-1], passed[0], flush=True)


def main(how, *programs):
    # The hidden cases are for this test alone, and no others are needed of their program.
    commands = [[program, "[refused]"] if "fault" in os.path.basename(program) else [program]
                for program in programs]
    if how != "switched-off":
        refusing = [sys.executable, refused.__file__, how]
        if subprocess.run([*refusing, "true"], check=False).returncode == 77:
            sys.exit(77)
        for command in commands:
            run([*refusing, *command])
        return
    try:
        with refused.switched_off():
            for command in commands:
                run(command)
    except OSError as wrong:
        print(wrong)
        sys.exit(77)


if __name__ == "__main__":
    main(*sys.argv[1:])
