#!/usr/bin/env python3
"""hinge-serve's choice of a backend: as it is told, and where the system refuses io_uring."""

import errno
import functools
import json
import os
import platform
import resource
import socket
import subprocess
import sys
import time
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


def children(parent):
    """The processes that are its children, ended ones too."""
    def parent_of(pid):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
                return int(file.read().rpartition(")")[2].split()[1])
        except OSError:
            return None
    return [pid for pid in os.listdir("/proc") if pid.isdigit() and parent_of(pid) == parent]


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
                self.assertEqual(server.statistics()["ring_requests"], 0)

    def test_the_variable_stands_for_the_option(self):
        code, out, _ = said(["--backend", "list", "--json"], HINGE_BACKEND=READINESS)
        found = json.loads(out)
        self.assertEqual((code, found["chosen"]), (0, READINESS))
        self.assertEqual([one["name"] for one in found["candidates"]],
                         [READINESS] + [name for name in self.names if name != READINESS])
        wrong = ["--listen", "unix:/nowhere/socket"]
        for variable in "", "auto":
            self.assertEqual(said(wrong, HINGE_BACKEND=variable)[0], 1)
        # The option is stronger.
        self.assertEqual(said(wrong + ["--backend", READINESS], HINGE_BACKEND="select")[0], 1)

    def test_a_wrong_name_is_told(self):
        built = ", ".join(["auto"] + self.built)
        told = {f"{READINESS},select": "'select': no backend; there are "
                f"{', '.join(['auto'] + self.names)}\n"}
        for name in self.names:
            if name not in self.built:
                told[name] = f"'{name}': not in this build, which has {built}\n"
        for names, wrong in told.items():
            with self.subTest(names):
                self.assertEqual(said(["--listen", "0", "--backend", names]),
                                 (2, "", f"hinge-serve: --backend: {wrong}"))
                wrong = f"hinge-serve: HINGE_BACKEND: {wrong}"
                self.assertEqual(said(["--listen", "0"], HINGE_BACKEND=names), (2, "", wrong))
                # A list shows what there is all the same.
                listed = said(["--backend", "list"])
                self.assertEqual(said(["--backend", "list"], HINGE_BACKEND=names),
                                 (0, listed[1], wrong))

    def test_a_list_that_nobody_gets_has_failed(self):
        for more in [], ["--json"]:
            with open("/dev/full", "w", encoding="ascii") as full:
                done = subprocess.run([serve.PROGRAM, "--backend", "list", *more], stdout=full,
                                      stderr=subprocess.PIPE, text=True, check=False)
            self.assertEqual((done.returncode, done.stderr), (
                1, f"hinge-serve: standard output: ENOSPC: {os.strerror(errno.ENOSPC)}\n"))


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
                         (1, "", f"hinge-serve: no backend can be used (io_uring: {verdict})\n"))

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

    def test_several_loops(self):
        """For each policy that readiness can do, and for the one that nobody has named."""
        before = functools.partial(refused.refuse, "EPERM")
        for policy in "automatic", "shared_exclusive", "sharded", "dispatch":
            with self.subTest(policy), Server("--threads", "3", "--policy", policy,
                                              before=before, stderr=None) as server:
                with server.connect() as peer:
                    self.assertTrue(echoed(peer))
                found = server.statistics()
                self.assertEqual(found["backend"], "epoll")
                self.assertEqual([one["backend"] for one in found["loops"]], ["epoll"] * 3)
                if policy == "automatic":
                    self.assertEqual(found["policy"], "shared_exclusive")

    def test_several_loops_with_rings_for_some(self):
        """That is told: some loops are on another backend."""
        before = self.as_nobody((resource.RLIMIT_MEMLOCK, 128 << 10))
        for policy in "automatic", "sharded":
            with self.subTest(policy), Server("--threads", "16", "--policy", policy,
                                              before=before, stderr=None) as server:
                with server.connect() as peer:
                    self.assertTrue(echoed(peer))
                names = [one["backend"] for one in server.statistics()["loops"]]
                if len(set(names)) == 1 and names[0] == "uring":
                    self.skipTest("this kernel doesn't count rings as locked memory")
                said = server.said()
                self.assertEqual(len(names), 16)
                if len(set(names)) != 1:
                    self.assertIn(f"{names.count('epoll')} of 16 loops are not on uring", said)

    def test_what_the_readme_shows(self):
        if "kqueue" in serve.usable_backends():
            self.skipTest("there it isn't built")
        root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
        with open(os.path.join(root, "README.md"), encoding="utf-8") as file:
            shown = file.read().partition("$ hinge-serve --backend list ")[2].split("\n\n")[0]
        shown = "".join(line.strip() + "\n" for line in shown.splitlines()[1:])
        before = functools.partial(refused.refuse, "EPERM")
        self.assertEqual(said(["--backend", "list"], before), (0, shown, ""))

    def test_by_death(self):
        for how in "kill", "kill-thread", "trap":
            with self.subTest(how):
                self.by(how, "killed by SIGSYS, seccomp mode 2")

    def test_by_the_death_of_another_call(self):
        for name in "io_uring_enter", "io_uring_register", "mmap", "connect":
            with self.subTest(name):
                before = functools.partial(refused.refuse, "kill", refused.NUMBERS[name],
                                           refused.OF_A_RING.get(name))
                self.serves_on_epoll(before, f"killed by SIGSYS at {name}, seccomp mode 2")

    def test_by_the_death_of_what_a_given_socket_spares(self):
        for name in "bind", "listen", "getsockname":
            with self.subTest(name):
                before = functools.partial(refused.refuse, "kill", refused.NUMBERS[name])
                found = serve.backends(before)
                self.assertEqual(found["chosen"], "epoll")
                self.assertEqual(found["candidates"][0]["verdict"],
                                 f"killed by SIGSYS at {name}, seccomp mode 2")

    def test_by_the_death_of_one_kind_of_socket(self):
        # A server on a Unix name has no use for the others, for poll, or for the system's name.
        for call, first in (("socket", socket.AF_INET), ("socket", socket.AF_INET6),
                            ("uname", None), ("poll", None), ("prctl", None)):
            with self.subTest(call, first=first):
                before = functools.partial(refused.refuse, "kill", refused.NUMBERS[call],
                                           None if first is None else (0, first))
                name = f"hinge-{os.getpid()}-{call}"
                with Server(before=before, listen=f"unix:@{name}") as server:
                    with socket.socket(socket.AF_UNIX) as peer:
                        peer.connect("\0" + name)
                        self.assertTrue(echoed(peer))
                    self.assertEqual(server.statistics()["backend"], "uring")

    def test_who_may_not_wait_has_no_child(self):
        for how in "EPERM", "EINTR", "ENOSYS":
            with self.subTest(how):
                before = functools.partial(refused.refuse, how, refused.NUMBERS["wait4"])
                why = f"epoll: usable (io_uring: refused: {how} at wait4, seccomp mode 2)"
                with Server(before=before, stderr=f"hinge-serve: {why}\n") as server:
                    self.assertEqual(in_use(server), ("epoll", why))
                    self.assertEqual(children(server.process.pid), [])

    def test_who_may_have_no_child(self):
        before = self.as_nobody((resource.RLIMIT_NPROC, 1))
        def filtered():
            before()
            refused.refuse("EPERM", refused.IO_URING_SETUP + 1000)
        verdicts = [one["verdict"] for one in serve.backends(filtered)["candidates"]]
        self.assertEqual(verdicts[:2], [
            "refused: EAGAIN at clone, RLIMIT_NPROC=1, seccomp mode 2", "usable"])

    def test_a_filter_that_never_answers_is_asked_once(self):
        start = time.monotonic()
        verdict = "refused: ETIMEDOUT at self-test: a child process, seccomp mode 2"
        with subprocess.Popen([sys.executable, refused.__file__, "silent", serve.PROGRAM,
                               "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as server:
            said_first = server.stdout.readline()
            took = time.monotonic() - start
            server.terminate()
            said_then = server.communicate()[1]
        if not said_first:
            self.skipTest("this filter can't be had here")
        self.assertEqual(said_then.partition("\n")[0],
                         f"hinge-serve: epoll: usable (io_uring: {verdict})")
        self.assertLess(took, 1.9)  # a second each time

    def test_a_process_of_many_groups(self):
        def before():
            os.setgroups(range(100_000, 102_000))
            refused.refuse("EPERM")
        try:
            subprocess.run(["true"], preexec_fn=before, check=True)
        except (PermissionError, subprocess.SubprocessError) as wrong:
            self.skipTest(str(wrong))
        self.serves_on_epoll(before, "refused: EPERM, seccomp mode 2")

    def test_a_filter_that_forbids_nothing(self):
        before = functools.partial(refused.refuse, "kill", call=refused.IO_URING_SETUP + 1000)
        with Server(before=before) as server:
            self.assertEqual(in_use(server)[0], "uring")
            self.assertEqual(server.statistics()["ring_requests"], 512)

    def test_a_list_of_one_that_is_refused(self):
        before = functools.partial(refused.refuse, "EPERM")
        self.assertEqual(said(["--listen", "127.0.0.1:0"], before, HINGE_BACKEND="uring")[0], 1)

    def as_nobody(self, *limits):
        """For the child of a fork: somebody without privileges, within these limits."""
        def before():
            for which, most in limits:
                resource.setrlimit(which, (most, most))
            refused.become_nobody()
        try:
            serve.backends(before)
        except (PermissionError, subprocess.SubprocessError) as wrong:
            self.skipTest(f"can't be run as somebody else: {wrong}")
        return before

    def test_by_the_limit_of_locked_memory(self):
        before = self.as_nobody((resource.RLIMIT_MEMLOCK, 0))
        if serve.backends(before)["chosen"] == "uring":
            self.skipTest("this kernel doesn't count rings as locked memory")
        self.serves_on_epoll(before, "refused: ENOMEM, RLIMIT_MEMLOCK=0")

    def test_what_little_locked_memory_promises_is_kept(self):
        for pages in 2, 3, 4, 5, 7, 12:
            with self.subTest(pages):
                before = self.as_nobody((resource.RLIMIT_MEMLOCK, 4096 * pages))
                promised = serve.backends(before)["chosen"]
                arguments = ["--listen", "127.0.0.1:0", "--stats-json"]
                with subprocess.Popen([serve.PROGRAM, *arguments], stdout=subprocess.PIPE,
                                      stderr=subprocess.DEVNULL, text=True,
                                      preexec_fn=before) as server:
                    said_first = server.stdout.readline()
                    server.terminate()
                    found = json.loads(server.communicate()[0])
                self.assertIn(f"backend={promised} ", said_first)
                # What it is cut down to is told.
                if promised == "uring":
                    self.assertIn(found["ring_requests"], (32, 64, 128, 256))
                else:
                    self.assertEqual(found["ring_requests"], 0)

    def test_by_the_administrator(self):
        try:
            with refused.switched_off():
                self.serves_on_epoll(None, "refused: EPERM, kernel.io_uring_disabled=2")
        except OSError as wrong:
            self.skipTest(str(wrong))


class EveryBackendRefused(unittest.TestCase):
    """epoll is tried as io_uring is, and nothing is promised that isn't had."""

    def setUp(self):
        if serve.usable_backends() != ["uring", "epoll"]:
            self.skipTest(str(serve.backends()))

    def nothing_serves(self, before, verdicts):
        found = [serve.backends(before)["candidates"][at]["verdict"] for at in range(2)]
        self.assertEqual(found, verdicts)
        why = (f"no backend can be used (io_uring: {verdicts[0]}; epoll: {verdicts[1]}; "
               "kqueue: not built)")
        self.assertEqual(serve.backends(before)["chosen"], None)
        self.assertEqual(serve.backends(before)["reason"], why)
        self.assertEqual(said(["--listen", "127.0.0.1:0"], before),
                         (1, "", f"hinge-serve: {why}\n"))

    @unittest.skipUnless("epoll_wait" in refused.NUMBERS, "not known of this machine")
    def test_by_seccomp(self):
        for how, call in (("EPERM", "epoll_create1"), ("ENOSYS", "epoll_create1"),
                          ("EACCES", "epoll_wait"), ("kill", "epoll_create1"),
                          ("kill-thread", "epoll_wait")):
            with self.subTest(how, call=call):
                def before(how=how, call=call):
                    refused.refuse("ENOSYS")
                    refused.refuse(how, refused.NUMBERS[call])
                verdict = f"refused: {how} at {call}"
                if how.startswith("kill"):
                    verdict = "killed by SIGSYS"
                    if call != "epoll_create1":
                        verdict += f" at {call}"
                self.nothing_serves(before, ["refused: ENOSYS, seccomp mode 2",
                                             f"{verdict}, seccomp mode 2"])

    def test_the_list_shows_what_the_variable_leaves_out_and_does_not_choose_it(self):
        def listed(names):
            done = subprocess.run([serve.PROGRAM, "--backend", "list", "--json"], check=True,
                                  capture_output=True, text=True, env={
                                      **os.environ, "HINGE_BACKEND": names},
                                  preexec_fn=functools.partial(refused.refuse, "EPERM"))
            return json.loads(done.stdout)
        found = listed("uring")
        self.assertIsNone(found["chosen"])
        self.assertEqual(found["reason"],
                         "no backend can be used (io_uring: refused: EPERM, seccomp mode 2)")
        self.assertEqual([one["name"] for one in found["candidates"] if one["usable"]], ["epoll"])
        self.assertEqual(listed("uring,epoll")["chosen"], "epoll")

    def test_by_the_limit_of_descriptors(self):
        before = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4))
        # One is left, for epoll itself, and its other is one too many.
        found = serve.backends(before)["candidates"][1]
        self.assertEqual(found["verdict"], "refused: EMFILE at eventfd, RLIMIT_NOFILE=4")


if __name__ == "__main__":
    # A leak sanitizer ends by a child of its own, with the calls that filters here refuse.
    os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    serve.run_tests()
