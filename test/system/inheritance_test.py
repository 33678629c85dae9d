#!/usr/bin/env python3
"""hinge-serve has its listeners from a supervisor, tells it how it is, and leaves them to it."""

import contextlib
import os
import signal
import socket
import struct
import sys
import tempfile
import threading
import unittest

import serve
from generations import Generations, inheriting, until, ways
from policies import can_do
from serve import PATIENCE, echoed


UNITS = os.path.join(os.path.dirname(__file__), "../../docs/systemd")


def setting(unit, name):
    with open(f"{UNITS}/hinge-serve.{unit}", encoding="utf-8") as file:
        (value,) = [line.partition("=")[2].strip() for line in file if line.startswith(name + "=")]
    return value


class Inherited(unittest.TestCase):
    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())
        self.doors = [self.enterContext(socket.create_server(("127.0.0.1", 0)))
                      for _ in range(2)]
        self.addresses = ["%s:%d" % door.getsockname() for door in self.doors]

    def refused(self, *arguments, **how):
        with self.assertRaisesRegex(AssertionError, "it ended with [12]") as wrong:
            Generations(*arguments, **how)
        return str(wrong.exception)

    def test_what_systemd_passes_is_served(self):
        path = os.path.join(self.folder, "door")
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(path)
            door.listen()
            for how in ways():
                if how and how[-1].startswith("sharded"):
                    continue
                for listen in ("", f"{self.addresses[1]} unix:{path} {self.addresses[0]}"):
                    with self.subTest((how, listen)), Generations(
                            "--upgrade", *how, listen=listen,
                            **inheriting(*self.doors, door)) as served:
                        until(lambda: len(served.listening) == 3, "three of them")
                        self.assertEqual(served.listening, listen.split() or
                                         [*self.addresses, f"unix:{path}"])
                        with served.connect() as peer:
                            self.assertTrue(echoed(peer))
                        served.upgrade()
                        with served.connect() as peer:
                            self.assertTrue(echoed(peer))
                        served.stop()
                    # They are systemd's, and hear: who comes waits there. So does the path.
                    for address in self.doors:
                        socket.create_connection(address.getsockname(), PATIENCE).close()
                    self.assertTrue(os.path.exists(path))
                    with socket.socket(socket.AF_UNIX) as waiting:
                        waiting.connect(path)

    def test_who_waits_is_served_at_the_end(self):
        """Whether or not somebody still has the socket: here nobody has."""
        for how in ways():
            if how and how[-1].startswith("sharded"):
                continue
            with self.subTest(how), socket.create_server(("127.0.0.1", 0), backlog=300) as door:
                with Generations("--accepts-per-turn", "8", *how, listen="",
                                 **inheriting(door)) as served, contextlib.ExitStack() as stack:
                    where = door.getsockname()
                    door.close()
                    os.kill(served.pid, signal.SIGSTOP)
                    peers = [stack.enter_context(socket.create_connection(where, PATIENCE))
                             for _ in range(60)]
                    for peer in peers:
                        peer.sendall(b"x")
                    os.kill(served.pid, signal.SIGTERM)
                    os.kill(served.pid, signal.SIGCONT)
                    for peer in peers:
                        self.assertEqual(peer.recv(1), b"x")
                        peer.close()
                    self.assertEqual(served.stop_after()[0]["retired"]["lost"], 0)

    def test_by_a_variable_of_its_own(self):
        first, second = (door.fileno() for door in self.doors)
        how = {"pass_fds": [first, second],
               "environment": {"HINGE_LISTENERS": f"{first}=web;{second}=metrics"}}
        with Generations("--metrics", self.addresses[1], listen="", **how) as served:
            until(lambda: len(served.listening) == 2, "both")
            self.assertEqual(served.listening, self.addresses)
            with socket.create_connection(self.doors[1].getsockname(), PATIENCE) as peer:
                peer.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertIn(b"200 OK", peer.recv(1000))
            with open(f"/proc/{served.pid}/environ", "rb") as file:
                self.assertIn(b"HINGE_LISTENERS", file.read())  # as it began
            served.stop()

    def test_who_has_them_alone_ends_them(self):
        """As he says beforehand; somebody else's stay, and hear."""
        lonely = b"may be reset" if serve.MASKED else b"no sibling"  # who can't look for siblings
        for alone in True, False:
            with self.subTest(alone), socket.create_server(("127.0.0.1", 0)) as door:
                value = f"{'alone;' * alone}{door.fileno()}=web"
                with Generations(listen="", pass_fds=[door.fileno()],
                                 environment={"HINGE_LISTENERS": value}) as served:
                    until(lambda: served.listening, "it")
                    served.stop()
                    said = os.pread(served.stderr.fileno(), 1 << 16, 0)
                self.assertEqual(lonely in said, alone, said)
                self.assertEqual(door.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN),
                                 not alone)

    def test_what_can_not_be_served_is_refused(self):
        self.assertIn(f"no --listen names {self.addresses[1]} (unknown)",
                      self.refused(listen=self.addresses[0], **inheriting(*self.doors)))
        self.assertIn("1 names of 2 descriptors",
                      self.refused(listen="", **inheriting(*self.doors, names=["a"])))
        with socket.create_connection(self.doors[0].getsockname()) as peer:
            self.assertIn("does not listen", self.refused(listen="", **inheriting(peer)))
        with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            datagrams.bind(("127.0.0.1", 0))
            self.assertIn("datagrams aren't served",
                          self.refused(listen="127.0.0.1:0", **inheriting(datagrams)))
        self.assertIn("--listen: where is missing", self.refused(listen=""))
        if can_do("sharded"):
            self.assertIn("has no SO_REUSEPORT",
                          self.refused("--threads", "2", "--policy", "sharded", listen="",
                                       **inheriting(self.doors[0])))

    @serve.needs("systemd-socket-activate")
    def test_the_example_units_by_systemd_socket_activate(self):
        """Where its sockets are is another matter here; all else is as they say."""
        program, *arguments = setting("service", "ExecStart").split()
        self.assertEqual(os.path.basename(program), "hinge-serve")
        name = setting("socket", "FileDescriptorName")
        path = os.path.join(self.folder, "door")
        with socket.create_server(("127.0.0.1", 0)) as one:
            port = one.getsockname()[1]
        through = ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", "-l", path,
                   f"--fdname={name}:{name}"]

        def answered():
            with contextlib.suppress(OSError):
                with socket.create_connection(("127.0.0.1", port), PATIENCE) as peer:
                    peer.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    return b"200 OK" in peer.recv(1000)
            return False
        # It starts the program with its first client.
        knocking = threading.Thread(target=lambda: until(answered, "an answer"))
        knocking.start()
        with Generations(*arguments, listen="", through=through) as served:
            knocking.join()
            until(lambda: len(served.listening) == 2, "both")
            self.assertEqual(served.listening, [f"127.0.0.1:{port}", f"unix:{path}"])
            served.upgrade()
            self.assertTrue(answered())
            self.assertEqual(len(served.stop()), 2)

    def notified(self):
        """The manager's end, and how it is to be told of it."""
        path = os.path.join(self.folder, "notify")
        manager = self.enterContext(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        manager.bind(path)
        manager.settimeout(PATIENCE)
        return manager, {"NOTIFY_SOCKET": path}

    def test_the_manager_is_told(self):
        manager, environment = self.notified()
        with Generations(environment=environment) as served:
            self.assertEqual(manager.recv(1000), b"READY=1")
            served.stop()
            self.assertEqual(manager.recv(1000), b"STOPPING=1")

    def test_the_manager_hears_that_loops_turn(self):
        manager, environment = self.notified()
        environment["WATCHDOG_USEC"] = "100000"
        for how in ((), ("--threads", "2")):
            with self.subTest(how), Generations(*how, environment=environment) as served:
                self.assertEqual(manager.recv(1000), b"READY=1")
                for _ in range(3):
                    self.assertEqual(manager.recv(1000), b"WATCHDOG=1")
                served.stop()
                while (said := manager.recv(1000)) != b"STOPPING=1":
                    self.assertEqual(said, b"WATCHDOG=1")
                manager.settimeout(0.2)
                with contextlib.suppress(TimeoutError):
                    while True:
                        self.assertEqual(manager.recv(1000), b"WATCHDOG=1")
                manager.settimeout(PATIENCE)

    def test_a_manager_that_can_not_be_told_is_told_of_and_ignored(self):
        manager, environment = self.notified()
        with Generations(environment={"NOTIFY_SOCKET": "vsock:2:1234"}) as served:
            self.assertIn("NOTIFY_SOCKET=vsock:2:1234: EAFNOSUPPORT", served.said())
            self.assertIn("; ignored\n", served.said())
            with served.connect() as peer:
                self.assertTrue(echoed(peer))
            served.stop()
        with Generations(environment={**environment, "WATCHDOG_USEC": "0"}) as served:
            self.assertRegex(served.said(), "WATCHDOG_USEC or WATCHDOG_PID is no number.*; ignored")
            self.assertEqual(manager.recv(1000), b"READY=1")
            served.stop()
            self.assertEqual(manager.recv(1000), b"STOPPING=1")

    def test_who_is_followed_says_no_more_that_it_is_alive(self):
        """Though it still serves whom it has: the manager's question is meant for the other one."""
        manager, environment = self.notified()
        manager.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        environment["WATCHDOG_USEC"] = "20000"

        def heard():
            """A message, and whose it is."""
            text, control, *_ = manager.recvmsg(1000, socket.CMSG_SPACE(12))
            return text, struct.unpack("3i", control[0][2])[0]
        for how in ((), ("--threads", "2")):
            with self.subTest(how), Generations("--upgrade", "--drain-timeout", "1m", *how,
                                                environment=environment) as served:
                first = served.pid
                with served.connect() as peer:
                    self.assertTrue(echoed(peer))
                    os.kill(first, signal.SIGUSR2)
                    while (said := heard())[0] != b"READY=1" or said[1] == first:
                        pass
                    served.pid = said[1]
                    # What was on its way; and then no more of the first one.
                    said = [heard() for _ in range(20)]
                    self.assertEqual(said[10:], [(b"WATCHDOG=1", served.pid)] * 10)
                    self.assertTrue(echoed(peer))
                    # The service doesn't stop when the first one does.
                    os.kill(first, signal.SIGTERM)
                    until(lambda: served.ended, "the end of the first")
                said = [heard() for _ in range(10)]
                self.assertEqual(said, [(b"WATCHDOG=1", served.pid)] * 10)
                served.stop()
                while heard()[0] != b"STOPPING=1":
                    pass
                manager.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while heard():
                        pass
                manager.settimeout(PATIENCE)

    def test_the_manager_follows_an_upgrade(self):
        manager, environment = self.notified()
        program = os.path.join(self.folder, "program")
        with Generations(f"--upgrade={program}", environment=environment) as served:
            self.assertEqual(manager.recv(1000), b"READY=1")
            served.failed_upgrade()
            self.assertRegex(manager.recv(1000), rb"^RELOADING=1\nMONOTONIC_USEC=\d+$")
            self.assertEqual(manager.recv(1000), b"READY=1")
            os.symlink(os.path.abspath(serve.PROGRAM), program)
            served.upgrade()
            self.assertRegex(manager.recv(1000), rb"^RELOADING=1\n")
            self.assertEqual(manager.recv(1000), f"MAINPID={served.pid}".encode())
            self.assertEqual(manager.recv(1000), b"READY=1")
            served.stop()
            self.assertEqual(manager.recv(1000), b"STOPPING=1")

    def test_the_manager_hears_when_an_attempt_was_called_off_late(self):
        """By a signal after "go": who was to follow is the main process no more."""
        manager, environment = self.notified()
        program = os.path.join(self.folder, "program")
        with open(program, "w", encoding="utf-8") as file:
            file.write("\n".join((
                f"#!{sys.executable}", "import os, socket, struct",
                "old = socket.socket(fileno=int(os.environ['HINGE_HANDOVER']))",
                "socket.recv_fds(old, 1 << 16, 253)",
                "old.send(struct.pack('=IIq', 0x31796472, 1, os.getpid()))",
                "old.recv(1)",
                "manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)",
                "manager.sendto(b'it may', os.environ['NOTIFY_SOCKET'])",
                "old.recv(1)", "")))
        os.chmod(program, 0o755)
        with Generations(f"--upgrade={program}", environment=environment) as served:
            self.assertEqual(manager.recv(1000), b"READY=1")
            os.kill(served.pid, signal.SIGUSR2)
            self.assertRegex(manager.recv(1000), rb"^RELOADING=1\n")
            other = int(manager.recv(1000).removeprefix(b"MAINPID="))
            self.assertEqual(manager.recv(1000), b"it may")
            os.kill(served.pid, signal.SIGTERM)
            until(lambda: b"retiring" in os.pread(served.stderr.fileno(), 1 << 20, 0), "its end")
            os.kill(other, signal.SIGKILL)
            self.assertEqual(manager.recv(1000), f"MAINPID={served.pid}".encode())
            served.stop_after()
            self.assertIn("called off", served.said())


if __name__ == "__main__":
    serve.run_tests()
