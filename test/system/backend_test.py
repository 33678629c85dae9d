#!/usr/bin/env python3
"""hinge-serve's own choice of a backend, here and where the system really refuses io_uring."""

import ctypes
import errno
import os
import platform
import resource
import struct
import subprocess
import unittest

import serve
from serve import Server, echoed

NOBODY = 65534
IO_URING_SETUP = 425  # on every architecture but alpha
SWITCH = "/proc/sys/kernel/io_uring_disabled"


def refusing(code):
    """For a child: io_uring_setup(2) fails with that errno, by a seccomp filter (seccomp(2))."""
    # ld [nr]; jeq io_uring_setup, 0, 1; ret ERRNO | code; ret ALLOW
    rows = [(0x20, 0, 0, 0), (0x15, 0, 1, IO_URING_SETUP), (0x06, 0, 0, 0x00050000 | code),
            (0x06, 0, 0, 0x7fff0000)]
    filters = b"".join(struct.pack("HBBI", *row) for row in rows)
    room = ctypes.create_string_buffer(filters)
    program = struct.pack("HxxxxxxP", len(rows), ctypes.addressof(room))
    libc = ctypes.CDLL(None, use_errno=True)

    def install():
        assert room
        if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")
    return install


def without_locked_memory():
    """For a child: an unprivileged user with `ulimit -l 0`."""
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


class Choice(unittest.TestCase):
    def setUp(self):
        self.usable, self.refused = serve.backends()

    def test_the_best_that_can_be_used(self):
        expected = ""
        if self.usable[0] == "epoll" and "not built" not in self.refused:
            expected = self.refused.replace("uring: ", "epoll: io_uring ")
        with Server(stderr=expected) as server:
            with server.connect() as peer:
                self.assertTrue(echoed(peer))
            found = server.statistics()
        self.assertEqual(found["backend"], self.usable[0])
        self.assertIn(f"backend={self.usable[0]} ", server.greetings[0])
        if self.usable[0] == "uring":
            self.assertEqual(found["backend_reason"], "io_uring: self-test passed on Linux "
                             + platform.release())

    def test_what_is_listed(self):
        self.assertIn(self.usable, (["uring", "epoll"], ["epoll"]))
        self.assertEqual(self.refused.count("\n"), 2 - len(self.usable))
        if len(self.usable) == 1:
            self.assertTrue(self.refused.startswith("hinge-serve: uring: "), self.refused)


class Refused(unittest.TestCase):
    """What the system refuses in earnest: epoll serves and says why, and io_uring isn't had."""

    def setUp(self):
        usable, refused = serve.backends()
        if "uring" not in usable:
            self.skipTest(refused.strip())

    def serves_on_epoll(self, before, why):
        with Server(before=before, stderr=f"hinge-serve: epoll: io_uring {why}\n") as server:
            with server.connect() as peer:
                self.assertTrue(echoed(peer))
            found = server.statistics()
        self.assertEqual(found["backend"], "epoll")
        self.assertEqual(found["backend_reason"], f"epoll: io_uring {why}")
        self.assertEqual(serve.backends(before), (["epoll"], f"hinge-serve: uring: {why}\n"))
        asked = subprocess.run(
            [serve.PROGRAM, "--listen", "127.0.0.1:0", "--backend", "uring"], preexec_fn=before,
            capture_output=True, text=True, timeout=serve.PATIENCE)
        self.assertEqual((asked.returncode, asked.stdout), (1, ""))
        # The same without the words before it, and the guess behind it.
        self.assertIn(asked.stderr.removeprefix("hinge-serve: ").strip(), why)

    def test_by_seccomp(self):
        for code, words in (
                (errno.EPERM, "EPERM: Operation not permitted "
                              "(kernel.io_uring_disabled, or a seccomp filter)"),
                (errno.ENOSYS, "ENOSYS: Function not implemented "
                               "(a kernel without io_uring, or a seccomp filter)")):
            before = refusing(code)
            try:
                subprocess.run(["true"], preexec_fn=before, check=True)
            except subprocess.SubprocessError:
                self.skipTest("no seccomp filter can be installed here")
            self.serves_on_epoll(before, f"refused: io_uring_setup a ring: {words}")

    def test_by_the_limit_of_locked_memory(self):
        try:
            usable, _ = serve.backends(without_locked_memory)
        except (PermissionError, subprocess.SubprocessError) as wrong:
            self.skipTest(f"can't be run as somebody else: {wrong}")
        if "uring" in usable:
            self.skipTest("this kernel doesn't count rings as locked memory")
        self.serves_on_epoll(without_locked_memory, "refused: io_uring_setup a ring: ENOMEM: "
                             "Cannot allocate memory (or RLIMIT_MEMLOCK is short)")

    @unittest.skipUnless("HINGE_TEST_IO_URING_DISABLED" in os.environ,
                         "HINGE_TEST_IO_URING_DISABLED isn't set: it is the whole machine's")
    def test_by_the_administrator(self):
        with open(SWITCH, "r+", encoding="ascii") as switch:
            was = switch.read()
            try:
                switch.write("2")
                switch.flush()
                self.serves_on_epoll(None, "refused: io_uring_setup a ring: EPERM: Operation not "
                                     "permitted (kernel.io_uring_disabled, or a seccomp filter)")
            finally:
                switch.seek(0)
                switch.write(was)


if __name__ == "__main__":
    serve.run_tests()
