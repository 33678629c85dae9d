#!/usr/bin/env python3
"""hinge-serve's choice of a backend: as it is told, and where the system refuses io_uring."""

import functools
import json
import os
import platform
import subprocess
import sys
import unittest

import serve
from serve import Server, echoed

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import refused  # noqa: E402  (support/ isn't on the path before)

READINESS = os.environ.get("HINGE_TEST_READINESS", "epoll")  # the backend of that kind


def said(arguments, before=None, **variables):
    """hinge-serve to its end: exit code, stdout, stderr."""
    done = subprocess.run([serve.PROGRAM, *arguments], capture_output=True, text=True,
                          timeout=serve.PATIENCE, preexec_fn=before,
                          env={**os.environ, **variables})
    return done.returncode, done.stdout, done.stderr


def in_use(server):
    """What it says of itself, after it has served somebody."""
    with server.connect() as peer:
        assert echoed(peer)
    found = server.statistics()
    assert f"backend={found['backend']} " in server.greetings[0]
    return found["backend"], found["backend_reason"]


class Choice(unittest.TestCase):
    def setUp(self):
        self.report = serve.backends()
        self.names = [one["name"] for one in self.report["candidates"]]
        self.built = [one["name"] for one in self.report["candidates"] if one["built"]]
        self.usable = [one["name"] for one in self.report["candidates"] if one["usable"]]

    def test_the_best_that_can_be_used(self):
        fell_back = self.built[0] != self.usable[0]
        expected = f"hinge-serve: {self.report['reason']}\n" if fell_back else ""
        with Server(stderr=expected) as server:
            self.assertEqual(in_use(server), (self.usable[0], self.report["reason"]))
        if self.usable[0] == "uring":
            self.assertEqual(self.report["reason"], "io_uring: self-test passed on Linux "
                             + platform.release())

    def test_what_is_listed(self):
        self.assertEqual(self.report["chosen"], self.usable[0])
        self.assertEqual([one["name"] for one in self.report["candidates"]
                          if one["verdict"] == "not built"],
                         [name for name in self.names if name not in self.built])
        code, out, error = said(["--backend", "list"])
        self.assertEqual((code, error), (0, ""))
        self.assertEqual([line.split()[0] for line in out.splitlines()], self.names)
        for line, one in zip(out.splitlines(), self.report["candidates"]):
            self.assertRegex(line, r"^\w+ +\w+: ")
            self.assertTrue(line.endswith(": " + one["verdict"]), line)
        self.assertEqual(said(["--listen", "0", "--json"])[0], 2)

    def test_a_list_of_preferences(self):
        for names in f"{READINESS},uring", f"{READINESS},auto":
            with Server(backend=names) as server:
                self.assertEqual(in_use(server), (READINESS, f"{READINESS}: usable"))

    def test_the_variable_stands_for_the_option(self):
        code, out, _ = said(["--backend", "list", "--json"], HINGE_BACKEND=READINESS)
        found = json.loads(out)
        self.assertEqual((code, found["chosen"]), (0, READINESS))
        self.assertEqual([one["name"] for one in found["candidates"]],
                         [READINESS] + [name for name in self.names if name != READINESS])
        wrong = ["--listen", "unix:/nowhere/socket"]
        code, _, error = said(wrong, HINGE_BACKEND=f"{READINESS},select")
        self.assertEqual((code, error), (2, "hinge-serve: HINGE_BACKEND: 'select': not in this "
                                         f"build, which has auto, {', '.join(self.built)}\n"))
        for variable in "", "auto":
            self.assertEqual(said(wrong, HINGE_BACKEND=variable)[0], 1)
        # The option is stronger.
        self.assertEqual(said(wrong + ["--backend", READINESS], HINGE_BACKEND="select")[0], 1)


class Refused(unittest.TestCase):
    """What the system refuses in earnest: epoll serves and says why, and io_uring isn't had."""

    def setUp(self):
        if "uring" not in serve.usable_backends():
            self.skipTest(serve.backends()["reason"])

    def serves_on_epoll(self, before, verdict):
        why = f"epoll: usable (io_uring: {verdict})"
        with Server(before=before, stderr=f"hinge-serve: {why}\n") as server:
            self.assertEqual(in_use(server), ("epoll", why))
        report = serve.backends(before)
        self.assertEqual((report["chosen"], report["reason"]), ("epoll", why))
        self.assertEqual(report["candidates"][0]["verdict"], verdict)
        self.assertEqual(said(["--listen", "127.0.0.1:0", "--backend", "uring"], before),
                         (1, "", f"hinge-serve: none can be used (io_uring: {verdict})\n"))

    def by(self, how, verdict):
        before = functools.partial(refused.refuse, how)
        try:
            subprocess.run(["true"], preexec_fn=before, check=True)
        except (PermissionError, subprocess.SubprocessError) as wrong:
            self.skipTest(f"{how} can't be had here: {wrong}")
        self.serves_on_epoll(before, verdict)

    def test_by_seccomp(self):
        for how in "ENOSYS", "EPERM", "EACCES", "EINVAL":
            with self.subTest(how):
                self.by(how, f"refused: {how}, seccomp mode 2")

    def test_by_death(self):
        for how in "kill", "kill-thread", "trap":
            with self.subTest(how):
                self.by(how, "killed by SIGSYS, seccomp mode 2")

    def test_by_the_death_of_another_call(self):
        before = functools.partial(refused.refuse, "kill", call=refused.IO_URING_SETUP + 1)
        self.serves_on_epoll(before, "killed by SIGSYS at io_uring_enter, seccomp mode 2")

    def test_a_filter_that_forbids_nothing(self):
        before = functools.partial(refused.refuse, "kill", call=refused.IO_URING_SETUP + 1000)
        with Server(before=before) as server:
            self.assertEqual(in_use(server)[0], "uring")

    def test_a_list_of_one_that_is_refused(self):
        before = functools.partial(refused.refuse, "EPERM")
        self.assertEqual(said(["--listen", "127.0.0.1:0"], before, HINGE_BACKEND="uring")[0], 1)

    def test_by_the_limit_of_locked_memory(self):
        before = functools.partial(refused.refuse, "memlock")
        try:
            usable = serve.backends(before)["chosen"]
        except (PermissionError, subprocess.SubprocessError) as wrong:
            self.skipTest(f"can't be run as somebody else: {wrong}")
        if usable == "uring":
            self.skipTest("this kernel doesn't count rings as locked memory")
        self.serves_on_epoll(before, "refused: ENOMEM, RLIMIT_MEMLOCK=0")

    def test_by_the_administrator(self):
        try:
            with refused.switched_off():
                self.serves_on_epoll(None, "refused: EPERM, kernel.io_uring_disabled=2")
        except OSError as wrong:
            self.skipTest(str(wrong))


if __name__ == "__main__":
    serve.run_tests()
