#!/usr/bin/env python3
"""The static probes: their notes in the library and in a program, and what bpftrace sees of them.

usdt_test.py HINGE_SERVE BACKEND LIBRARY enabled|disabled
"""

import contextlib
import functools
import os
import re
import subprocess
import sys
import threading
import time
import unittest

import serve
from serve import PATIENCE, Server, echoed, needs

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import refused  # noqa: E402  (support/ isn't on the path before)

# The number of arguments of each. Those of accept are in the program alone: it is a template's.
PROBES = {"accept": 3, "close": 5, "fallback": 2, "pause": 2, "rearm": 2, "resume": 2, "shed": 2,
          "stale": 3}
LIBRARY = ENABLED = None
DESCRIPTORS = 64


def notes(path):
    """The probes of a file, each with the number of its arguments."""
    said = subprocess.run(["readelf", "-n", path], capture_output=True, text=True, check=True)
    return {name: len(arguments.split()) for name, arguments in re.findall(
        r"Provider: hinge\n +Name: (\w+)\n.*\n +Arguments: (.*)", said.stdout)}


@needs("readelf")
class Notes(unittest.TestCase):
    def test_the_library(self):
        wanted = {name: PROBES[name] for name in PROBES if name != "accept"}
        self.assertEqual(notes(LIBRARY), wanted if ENABLED else {})

    def test_a_program(self):
        self.assertEqual(notes(serve.PROGRAM), PROBES if ENABLED else {})


def bpftrace(program, *arguments):
    return subprocess.Popen(["bpftrace", *arguments, "-e", program], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)


def can_trace():
    """Whether bpftrace is here, and may."""
    try:
        with bpftrace("BEGIN { exit() }") as tried:
            tried.communicate(timeout=PATIENCE)
            return tried.returncode == 0
    except OSError:
        return False


@contextlib.contextmanager
def traced(program, pid):
    """A list to which each line is added that it says; of all processes when `pid` is None."""
    said = []
    with bpftrace(program, *(() if pid is None else ("-p", str(pid)))) as tracer:
        reader = threading.Thread(
            target=lambda: said.extend(line.strip() for line in tracer.stdout))
        reader.start()
        try:
            yield said
        finally:
            tracer.send_signal(serve.signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                tracer.wait(5)
            tracer.kill()
            reader.join()


def listening(server):
    """The number of its one listening descriptor."""
    with open("/proc/net/tcp", encoding="ascii") as file:
        rows = [line.split() for line in file]
    local = f"0100007F:{server.port:04X}"
    (inode,) = [row[9] for row in rows if row[1] == local and row[3] == "0A"]  # TCP_LISTEN
    folder = f"/proc/{server.process.pid}/fd"
    (number,) = [name for name in os.listdir(folder)
                 if os.readlink(f"{folder}/{name}") == f"socket:[{inode}]"]
    return int(number)


class Traced(unittest.TestCase):
    def setUp(self):
        if not ENABLED:
            self.skipTest("built without probes")
        if not can_trace():
            self.skipTest("bpftrace is not here, or may not trace")

    def at(self, probe, does):
        return f"usdt:{serve.PROGRAM}:hinge:{probe} {{ {does} }} "

    def until_said(self, wanted, said, does):
        """It says nothing of when it has attached all."""
        end = time.monotonic() + PATIENCE
        while not wanted <= set(said):
            self.assertLess(time.monotonic(), end, said)
            does()

    def test_accept_and_close(self):
        program = (self.at("accept", r'printf("accept %d %d\n", arg0, arg1)') +
                   self.at("close", r'printf("close %d %d %d %d\n", arg0, arg1, arg3, arg4)'))

        def visit():
            with server.connect() as peer:
                self.assertTrue(echoed(peer, b"hello"))
            server.until(lambda found: found["open"] == 0)

        with Server() as server, traced(program, server.process.pid) as said:
            # Cause 1, peer_closed; 5 bytes in and out.
            self.until_said({"accept 0 0", "close 1 0 5 5"}, said, visit)

    def test_pause_and_resume(self):
        program = (self.at("pause", r'printf("pause %d %d\n", arg0, arg1)') +
                   self.at("resume", r'printf("resume %d %d\n", arg0, arg1 > 0)') +
                   self.at("rearm", r'printf("rearm %d %d\n", arg0, arg1)'))

        def fill():
            pauses = server.statistics()["full_pauses"]
            with server.connect() as peer:
                self.assertTrue(echoed(peer))
                server.until(lambda found: found["full_pauses"] > pauses)
            server.until(lambda found: found["open"] == 0)

        with Server("--max-connections", "1") as server, \
                traced(program, server.process.pid) as said:
            self.until_said({"pause 0 0", "resume 0 1", f"rearm 0 {listening(server)}"}, said, fill)

    def test_shed(self):
        def crowd():
            shed = server.statistics()["shed_exhausted"]
            with contextlib.ExitStack() as stack:
                for _ in range(DESCRIPTORS):
                    with contextlib.suppress(ConnectionResetError):
                        stack.enter_context(server.connect())
                server.until(lambda found: found["shed_exhausted"] > shed)
            server.until(lambda found: found["open"] == 0)

        program = self.at(
            "shed", rf'printf("shed %d %d\n", arg0, arg1 > 2 && arg1 < {DESCRIPTORS})')
        with Server("--max-connections", "1000", "--on-exhaustion", "reset", stderr=None,
                    descriptors=DESCRIPTORS) as server, \
                traced(program, server.process.pid) as said:
            self.until_said({"shed 0 1"}, said, crowd)

    def test_fallback(self):
        if not {"uring", "epoll"} <= set(serve.usable_backends()):
            self.skipTest("uring and epoll can't both be used here")

        def fall_back():
            with Server(before=functools.partial(refused.refuse, "EPERM"), backend="uring,epoll",
                        stderr=None):
                pass

        # Of all processes of the program: it is told before a process could be named.
        program = self.at("fallback", r'printf("%s %s\n", str(arg0), str(arg1))')
        with traced(program, None) as said:
            self.until_said({"uring epoll"}, said, fall_back)


if __name__ == "__main__":
    ENABLED = sys.argv.pop(4) == "enabled"
    LIBRARY = sys.argv.pop(3)
    serve.run_tests()
