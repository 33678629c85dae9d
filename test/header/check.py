#!/usr/bin/env python3
"""Compiles each public header alone, included twice, without exceptions and RTTI: TAP on stdout.

check.py INCLUDE-FOLDER COMPILER [FLAG...]
"""

import concurrent.futures
import os
import subprocess
import sys


def compiles(compiler, include, header):
    command = [*compiler, "-std=c++20", "-fno-exceptions", "-fno-rtti", "-Wall", "-Wextra",
               "-Wpedantic", "-Werror", "-fsyntax-only", "-I", include, "-x", "c++", "-"]
    source = f"#include <{header}>\n#include <{header}>\n"
    done = subprocess.run(command, input=source, text=True, capture_output=True, check=False)
    return done.returncode == 0, done.stderr


def main(include, *compiler):
    headers = sorted(f"hinge/{name}" for name in os.listdir(os.path.join(include, "hinge")))
    print(f"1..{len(headers)}")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        verdicts = pool.map(lambda header: compiles(compiler, include, header), headers)
        for number, (header, (good, errors)) in enumerate(zip(headers, verdicts), 1):
            print(f"{'ok' if good else 'not ok'} {number} {header}", flush=True)
            print(errors, end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
