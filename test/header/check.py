#!/usr/bin/env python3
"""Compiles each public header alone, included twice, without exceptions and RTTI: TAP on stdout.
But for those that a source of the library includes first: the optimised build, which sees each
source by itself, has compiled them so.

check.py ROOT COMPILER [FLAG...]
"""

import concurrent.futures
import os
import re
import subprocess
import sys


def compiles(compiler, include, header):
    command = [*compiler, "-std=c++20", "-fno-exceptions", "-fno-rtti", "-Wall", "-Wextra",
               "-Wpedantic", "-Werror", "-fsyntax-only", "-I", include, "-x", "c++", "-"]
    source = f"#include <{header}>\n#include <{header}>\n"
    done = subprocess.run(command, input=source, text=True, capture_output=True, check=False)
    return done.returncode == 0, done.stderr


def first_of_sources(library):
    """The headers that are the first which their source includes."""
    for name in os.listdir(library):
        if name.endswith(".cpp"):
            with open(os.path.join(library, name), encoding="utf-8") as source:
                yield re.search(r"^#include [<\"](.*)[>\"]", source.read(), re.M)[1]


def main(root, *compiler):
    include = os.path.join(root, "include")
    headers = {f"hinge/{name}" for name in os.listdir(os.path.join(include, "hinge"))}
    headers = sorted(headers.difference(first_of_sources(os.path.join(root, "lib"))))
    print(f"1..{len(headers)}")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        verdicts = pool.map(lambda header: compiles(compiler, include, header), headers)
        for number, (header, (good, errors)) in enumerate(zip(headers, verdicts), 1):
            print(f"{'ok' if good else 'not ok'} {number} {header}", flush=True)
            print(errors, end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
