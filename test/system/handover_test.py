#!/usr/bin/env python3
"""hinge-serve hands its listeners to a successor: nobody is refused, reset or counted twice, and a
successor that can't serve changes nothing.

handover_test.py HINGE_SERVE BACKEND HINGE_BENCH
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import own_network
import serve
import steady_load
from generations import (Generations, children_of, descriptors_of, inheriting, until,
                         ways)
from policies import can_do
from serve import PATIENCE, echoed, sized
from steady_load import FULL_SECONDS, Restarted, SteadyLoad


def state_of(door):
    """What a successor could change of it, and how many listen beside it."""
    facts = door.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    with open("/proc/net/tcp", encoding="ascii") as file:
        rows = [line.split() for line in file][1:]
    port = f":{door.getsockname()[1]:04X}"
    return {"backlog": int.from_bytes(facts[28:32], sys.byteorder),  # tcpi_sacked
            "defer_accept": door.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT),
            "beside": sum(row[1].endswith(port) and row[3] == "0A" for row in rows)}


class Upgrade(unittest.TestCase):
    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())

    def program(self, *lines, interpreter="/bin/sh"):
        """A script to be followed by."""
        path = os.path.join(self.folder, "program")
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write("\n".join((f"#!{interpreter}", *lines, "")))
        os.chmod(path + ".new", 0o755)
        os.rename(path + ".new", path)
        return path

    def test_a_successor_takes_over(self):
        path = os.path.join(self.folder, "door")
        for how in ways():
            at = f"unix:{path}"
            if how and how[-1].startswith("sharded"):
                at = "127.0.0.1:0"  # such a path is one socket alone
            with self.subTest(how), Generations("--upgrade", *how,
                                                listen=f"127.0.0.1:0 {at}") as served:
                with served.connect() as peer:
                    self.assertTrue(echoed(peer))
                    os.kill(served.pid, signal.SIGUSR2)
                    until(lambda: len(served.listening) == 4, served.said())
                    self.assertEqual(served.listening[:2], served.listening[2:])
                    with served.connect() as young:
                        self.assertTrue(echoed(young))
                    self.assertTrue(echoed(peer))  # it stays with the one that it has begun with
                until(lambda: served.ended, "the end of the first")
                served.pid = served.ended[0]["upgrades"]["successor"]
                served.pids.append(served.pid)
                for _ in range(2):
                    self.assertEqual(os.path.exists(path), at.startswith("unix:"))
                    with served.connect() as young:
                        self.assertTrue(echoed(young))
                    served.upgrade()
                if at.startswith("unix:"):
                    with socket.socket(socket.AF_UNIX) as young:
                        young.connect(path)
                        self.assertTrue(echoed(young))
                found = served.stop()
                self.assertFalse(os.path.exists(path))
                self.assertEqual(len(found), 4)
                self.assertEqual(found[0]["accepted"] + found[1]["accepted"], 3)
                self.assertEqual(found[0]["closed"]["drain"], 0)
                self.assertEqual(served.said(), "")

    def test_metrics_go_on_too(self):
        path = os.path.join(self.folder, "figures")
        for loops, label in ([], b""), (["--threads", "2"], b'{loop="1"}'):
            with self.subTest(loops), \
                    Generations("--upgrade", "--metrics", f"unix:{path}", *loops) as served:
                until(lambda: len(served.listening) == 2, "both")
                for _ in range(2):
                    served.upgrade()
                    with socket.socket(socket.AF_UNIX) as peer:
                        peer.settimeout(PATIENCE)
                        peer.connect(path)
                        peer.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
                        self.assertIn(b"hinge_accepted_total%b 0\n" % label,
                                      serve.receive_all(peer))
                served.stop()
                self.assertFalse(os.path.exists(path))
                self.assertEqual(served.said(), "")

    def test_the_successor_may_have_other_loops(self):
        ways_on = [("--threads", threads, "--policy", policy) for threads, policy in
                   (("3", "sharded"), ("2", "sharded"), ("4", "sharded"), ("2", "dispatch"))
                   if can_do(policy)]
        if not ways_on:
            self.skipTest("no policy here opens a group")
        path = os.path.join(self.folder, "program")
        with Generations(f"--upgrade={path}", *ways_on[0]) as served:
            for how in (*ways_on[1:], ()):
                self.program(f'exec {sys.executable} - "$@" <<"END"', "import os, sys",
                             "given = sys.argv[1:]",
                             "if '--threads' in given:",
                             "    at = given.index('--threads')",
                             "    del given[at:at + 4]",
                             f"given += {list(how)}",
                             f"os.execv({serve.PROGRAM!r}, [sys.argv[0], *given])", "END")
                self.assertTrue(self.serves(served))
                served.upgrade()
                peers = [served.connect() for _ in range(20)]
                for peer in peers:
                    self.assertTrue(echoed(peer))
                    peer.close()
            found = served.stop()
            self.assertEqual(served.said(), "")
            self.assertEqual(sum(one["accepted"] for one in found), 20 * len(ways_on) +
                             len(ways_on))

    @staticmethod
    def serves(served):
        with served.connect() as peer:
            return echoed(peer)

    def check_failure(self, served, expected):
        found = served.failed_upgrade()
        self.assertRegex(found["last_error"], expected)
        self.assertRegex(served.said(), f"hinge-serve: {expected}; process {served.pid} goes on\n")
        self.assertIsNone(found["successor"])
        self.assertTrue(self.serves(served))

    def test_one_that_cannot_serve_changes_nothing(self):
        path = os.path.join(self.folder, "program")
        fewer = (f"{sys.executable} - <<'END'", "import os, socket, struct, time",
                 "stream = socket.socket(fileno=int(os.environ['HINGE_HANDOVER']))",
                 "socket.recv_fds(stream, 1 << 16, 253)",
                 "stream.send(struct.pack('=IIq', 0x31796472, 1, os.getpid()))",
                 "time.sleep(1000)", "END")
        attempts = {
            "upgrade to .*: ENOENT: .*": None,
            "upgrade to .*: process \\d+ ended with exit code 3 before it was ready": ("exit 3",),
            "upgrade to .*: process \\d+ was killed by signal 11 before it was ready":
                ("kill -SEGV $$",),
            "upgrade to .*: process \\d+ was not ready within 3 s: killed": ("exec sleep 1000",),
            "upgrade to .*: process \\d+ listens on 1 of 2 sockets: killed":
                ("exec " + fewer[0], *fewer[1:]),
            "upgrade to .*: process \\d+ is no hinge-serve that can follow: killed":
                ("exec " + fewer[0], *(line.replace("0x31796472", "1") for line in fewer[1:])),
            # Ready, and then it can't.
            "upgrade to .*: process \\d+ was killed by signal 9 before it served":
                ("exec " + fewer[0], *(line.replace("q', 0x31796472, 1", "q', 0x31796472, 2")
                                       .replace("time.sleep(1000)", "stream.recv(1)")
                                       for line in fewer[1:])),
            # It says why itself: what was given and isn't wanted.
            "upgrade to .*: process \\d+ ended with exit code 1 before it was ready":
                (f"exec {serve.PROGRAM} --listen 127.0.0.2:0 --backend {serve.BACKEND}",),
        }
        for how in ways():
            if how and how[-1] != "dispatch":
                continue
            with self.subTest(how), Generations(
                    f"--upgrade={path}", "--upgrade-timeout", "3s", *how,
                    listen="127.0.0.1:0 127.0.0.1:0") as served:
                descriptors = descriptors_of(served.pid)
                for expected, lines in attempts.items():
                    if lines:
                        self.program(*lines)
                    with self.subTest(expected):
                        self.check_failure(served, expected)
                self.assertIn("no --listen names 127.0.0.1:", served.said())
                # The last client's goes when its end is heard.
                until(lambda: descriptors_of(served.pid) == descriptors, "no more descriptors")
                self.assertEqual(children_of(served.pid), [])
                # And the next one may.
                self.program(f'exec {serve.PROGRAM} "$@"')
                served.upgrade()
                self.assertTrue(self.serves(served))
                found = served.stop()
                self.assertEqual(found[0]["upgrades"]["failures"], len(attempts))
                os.unlink(path)

    @serve.needs_linux
    def test_until_it_may_a_successor_changes_nothing(self):
        """A real one that has said that it is ready, and is not let go on: the sockets are as they
        were, and as many."""
        path = self.program("import os, signal, socket, subprocess, sys, time",
                            "old = socket.socket(fileno=int(os.environ['HINGE_HANDOVER']))",
                            "said, fds, *_ = socket.recv_fds(old, 1 << 16, 253)",
                            "near, far = socket.socketpair()",
                            "os.environ['HINGE_HANDOVER'] = str(far.fileno())",
                            "young = subprocess.Popen(sys.argv[1].split() + ['--backlog', '7',",
                            "    '--defer-accept', '9s'], pass_fds=[far.fileno()])",
                            "socket.send_fds(near, [said], fds)",
                            "near.recv(16, socket.MSG_WAITALL)",
                            "young.kill()",
                            "young.wait()",
                            "sys.exit(3)", interpreter=sys.executable)
        for how in ways():
            with self.subTest(how), socket.socket() as door:
                door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                door.bind(("127.0.0.1", 0))
                door.listen(300)
                young = [serve.PROGRAM, "--backend", serve.BACKEND, "--listen",
                         "%s:%d" % door.getsockname(), *(word.replace("2", "4") for word in how)]
                script = self.program_with(path, " ".join(young))
                with Generations(f"--upgrade={script}", "--backlog", "200", *how, listen="",
                                 **inheriting(door)) as served:
                    before = state_of(door)
                    self.assertEqual(before["backlog"], 200)
                    self.check_failure(served, "upgrade to .*: process \\d+ ended with exit code 3 "
                                               "before it was ready")
                    self.assertEqual(state_of(door), before)
                    served.stop()

    def between(self, *when_it_serves, when_it_is_ready=()):
        """One who stands between the old one and a real successor, and does that before the old one
        hears that the other one serves, or is ready."""
        return self.program(
            "import os, signal, socket, subprocess, sys, time",
            "old = socket.socket(fileno=int(os.environ['HINGE_HANDOVER']))",
            "said, fds, *_ = socket.recv_fds(old, 1 << 16, 253)",
            "near, far = socket.socketpair()",
            "os.environ['HINGE_HANDOVER'] = str(far.fileno())",
            f"young = subprocess.Popen([{serve.PROGRAM!r}, *sys.argv[1:]], "
            "pass_fds=[far.fileno()])",
            "socket.send_fds(near, [said], fds)",
            "ready = near.recv(16, socket.MSG_WAITALL)",
            *when_it_is_ready,
            "old.send(ready)",
            "near.send(old.recv(1))",
            "serving = near.recv(1)",
            *when_it_serves,
            "old.send(serving)",
            "young.wait()", interpreter=sys.executable)

    @serve.needs_linux
    def test_who_is_followed_and_stopped_leaves_the_path(self):
        path = os.path.join(self.folder, "door")
        script = self.between("for number in (signal.SIGTERM, signal.SIGINT):",
                              "    os.kill(os.getppid(), number)")
        for how in ways():
            if how and how[-1].startswith("sharded"):
                continue  # such a path is one socket alone
            with self.subTest(how), Generations(f"--upgrade={script}", *how,
                                                listen=f"unix:{path}") as served:
                served.upgrade()
                self.assertLess(served.ended[0]["retired"]["took"], 3)
                with socket.socket(socket.AF_UNIX) as peer:
                    peer.connect(path)
                    self.assertTrue(echoed(peer))
                served.stop()
                self.assertFalse(os.path.exists(path))

    @serve.needs_linux
    def test_a_slow_start_leaves_no_less_time_to_serve(self):
        script = self.between("time.sleep(2.3)", when_it_is_ready=("time.sleep(1)",))
        with Generations(f"--upgrade={script}", "--upgrade-timeout", "3s") as served:
            served.upgrade()
            self.assertTrue(self.serves(served))
            found = served.stop()
            self.assertEqual(found[0]["upgrades"]["failures"], 0)

    def program_with(self, path, argument):
        """It, and what it is told in place of what its predecessor tells it."""
        told = os.path.join(self.folder, "told")
        with open(told, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\nexec {path} '{argument}'\n")
        os.chmod(told, 0o755)
        return told

    def test_an_attempt_is_called_off_by_an_end(self):
        path = self.program("exec sleep 1000")
        with Generations(f"--upgrade={path}") as served:
            os.kill(served.pid, signal.SIGUSR2)
            until(lambda: served.statistics()["upgrades"]["attempts"] == 1, "an attempt")
            (found,) = served.stop()
            self.assertEqual(found["upgrades"]["successor"], None)
            self.assertIn("called off", served.said())

    def test_without_the_option_the_signal_is_told(self):
        with Generations() as served:
            os.kill(served.pid, signal.SIGUSR2)
            until(lambda: "SIGUSR2: started without --upgrade" in served.said(), "what is wrong")
            self.assertTrue(self.serves(served))
            served.stop()

    def test_a_time_without_an_upgrade_means_nothing(self):
        code, _, wrong = serve.run("--listen", "0", "--upgrade-timeout", "3s")
        self.assertEqual(code, 2)
        self.assertIn("--upgrade-timeout: no --upgrade", wrong)
        code, _, wrong = serve.run("--listen", "0", "--upgrade", "--upgrade-timeout", "0")
        self.assertEqual(code, 2)
        self.assertIn("must be more than 0", wrong)

    def test_a_predecessor_that_goes_away_is_not_followed(self):
        here, there = socket.socketpair()
        with here, there, socket.create_server(("127.0.0.1", 0)) as door:
            young = subprocess.Popen(
                [serve.PROGRAM, "--backend", serve.BACKEND], pass_fds=[there.fileno()], text=True,
                env={**os.environ, "HINGE_HANDOVER": str(there.fileno())}, stderr=subprocess.PIPE)
            there.close()
            here.send(b"nonsense")
            here.close()
            _, said = young.communicate(timeout=PATIENCE)
            self.assertEqual(young.returncode, 1)
            self.assertIn("receive listeners", said)
            self.assertTrue(door.fileno() >= 0)


@unittest.skipUnless(own_network.INSIDE in os.environ, "a network of its own is forbidden here")
class Restarts(unittest.TestCase):
    """Clients come on and on, in a network of the test's own."""

    def test_by_upgrade(self):
        for how in ways():
            restarts, seconds, rate = sized((5 if not how else 2, 2.0 if not how else 1.0, 500),
                                            (20, FULL_SECONDS, 2000))
            with self.subTest(how), Generations("--upgrade", *how) as served:
                fared = Restarted(served.upgrade, restarts, "%s:%d" % served.where, rate, seconds)
                found = served.stop()
                accepted = sum(one["accepted"] for one in found)
                fared.print_row("`--upgrade`", how, accepted)
                fared.check(self, accepted)
                self.assertEqual(len(found), restarts + 1)
                self.assertEqual(sum(one["shed"] for one in found), 0)
                self.assertEqual(served.said(), "")

    def test_by_inheritance(self):
        for how in ways():
            restarts, seconds, rate = sized((5 if not how else 2, 2.0 if not how else 1.0, 300),
                                            (20, FULL_SECONDS, 2000))
            # One for each loop, where each has its own (ReusePort= of systemd's).
            doors = 2 if how and how[-1].startswith("sharded") else 1
            with self.subTest(how), contextlib.ExitStack() as stack:
                group = [stack.enter_context(socket.socket()) for _ in range(doors)]
                for door in group:
                    if doors > 1:
                        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                    door.bind(group[0].getsockname() if door is not group[0] else ("127.0.0.1", 0))
                    door.listen(4096)
                self.check_inheritance(group, how, restarts, rate, seconds, stack)

    def test_few_threads_lose_nobody(self):
        """Who has been accepted when all threads have somebody waits, and isn't closed."""
        how = ("--threads", "2", "--policy", "thread_per_connection")
        restarts, seconds = sized((3, 4.0), (20, 20.0))
        with socket.create_server(("127.0.0.1", 0), backlog=4096) as door:
            ended = []
            with SteadyLoad("%s:%d" % door.getsockname(), 300, seconds) as load:
                for _ in range(restarts):
                    with Generations(*how, listen="", **inheriting(door)) as served:
                        time.sleep(0.2)
                        ended.extend(served.stop())
                with Generations(*how, listen="", **inheriting(door)) as served:
                    found = load.finish()
                    served.stop()
        # Where the machine is so slow that a retirement has had its time, the rest is closed.
        if all(one["retired"]["took"] < 4 for one in ended):
            self.assertEqual(found["completed"], load.offered, found)
            self.assertEqual([one["shed"] for one in ended], [0] * len(ended))

    def check_inheritance(self, doors, how, restarts, rate, seconds, stack):
        ended = []
        living = []

        def restart():
            """As a supervisor does: first the end, then the next."""
            if living:
                ended.extend(living.pop().stop())
            living.append(stack.enter_context(Generations(*how, listen="", **inheriting(*doors))))
        restart()
        fared = Restarted(restart, restarts, "%s:%d" % doors[0].getsockname(), rate, seconds)
        ended.extend(living.pop().stop())
        accepted = sum(one["accepted"] for one in ended)
        fared.print_row("inheritance", how, accepted)
        fared.check(self, accepted)
        self.assertEqual(len(ended), restarts + 1)


if __name__ == "__main__":
    steady_load.run_tests()
