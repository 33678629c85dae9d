#!/usr/bin/env python3
"""Where hinge-serve listens, and what it says when it can't."""

import os
import re
import socket
import stat
import subprocess
import tempfile
import unittest

import serve
from serve import Server, echoed, needs_linux, run


def somaxconn():
    with open("/proc/sys/net/core/somaxconn", encoding="ascii") as file:
        return int(file.read())


def has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


class UnixPath(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "socket")

    def served(self):
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(serve.PATIENCE)
            peer.connect(self.path)
            return echoed(peer)

    def test_serves_and_takes_its_path_away(self):
        with Server(listen=f"unix:{self.path}") as server:
            self.assertEqual(server.addresses, [f"unix:{self.path}"])
            self.assertTrue(self.served())
            server.stop()
        self.assertFalse(os.path.exists(self.path))

    def test_mode(self):
        for mode in (0o600, 0o660, 0o777):
            with Server("--unix-mode", f"{mode:o}", listen=f"unix:{self.path}"):
                self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), mode)
                self.assertTrue(self.served())

    def test_a_stale_path(self):
        with Server(listen=f"unix:{self.path}") as server:
            server.kill()
            server.ended = True
        self.assertTrue(os.path.exists(self.path))
        code, _, said = run("--listen", f"unix:{self.path}")
        self.assertEqual(code, 1)
        self.assertEqual(said, f"hinge-serve: bind unix:{self.path}: EADDRINUSE: "
                               "Address already in use\n")
        with Server("--remove-stale", listen=f"unix:{self.path}"):
            self.assertTrue(self.served())

    def test_a_living_server_keeps_its_path(self):
        with Server(listen=f"unix:{self.path}"):
            code, _, said = run("--listen", f"unix:{self.path}", "--remove-stale")
            self.assertEqual(code, 1)
            self.assertIn("EADDRINUSE", said)
            self.assertTrue(self.served())

    def test_a_file_stays(self):
        with open(self.path, "w", encoding="ascii") as file:
            file.write("precious")
        code, _, said = run("--listen", f"unix:{self.path}", "--remove-stale")
        self.assertEqual(code, 1)
        self.assertIn(self.path, said)
        with open(self.path, encoding="ascii") as file:
            self.assertEqual(file.read(), "precious")


class Families(unittest.TestCase):
    def served(self, kind, where):
        with socket.socket(kind) as peer:
            peer.settimeout(serve.PATIENCE)
            peer.connect(where)
            return echoed(peer)

    def test_a_bare_port_is_loopback(self):
        with Server(listen="0") as server:
            self.assertTrue(server.addresses[0].startswith("127.0.0.1:"))
            self.assertTrue(self.served(socket.AF_INET, ("127.0.0.1", server.port)))

    @needs_linux
    def test_abstract(self):
        name = f"hinge-address-{os.getpid()}"
        with Server(listen=f"unix:@{name}") as server:
            self.assertEqual(server.addresses, [f"unix:@{name}"])
            self.assertTrue(self.served(socket.AF_UNIX, f"\0{name}"))

    @unittest.skipUnless(has_ipv6(), "no IPv6 here")
    def test_ipv6(self):
        with Server(listen="[::1]:0") as server:
            self.assertRegex(server.addresses[0], r"^\[::1\]:\d+$")
            self.assertTrue(self.served(socket.AF_INET6, ("::1", server.port)))

    @needs_linux
    def test_many_at_once(self):
        name = f"hinge-many-{os.getpid()}"
        with Server(listen=f"127.0.0.1:0 127.0.0.2:0 unix:@{name}") as server:
            for greeting in server.greetings:
                self.assertRegex(greeting, rf"^listening on \S+ backend={serve.BACKEND} "
                                           r"backlog=\d+ \(asked 4096\)$")
            for address in server.addresses[:2]:
                host, port = address.split(":")
                self.assertTrue(self.served(socket.AF_INET, (host, int(port))))
            self.assertTrue(self.served(socket.AF_UNIX, f"\0{name}"))
            found = server.stop()
        self.assertEqual(found["accepted"], 3)
        self.assertEqual([one["address"] for one in found["listeners"]], server.addresses)

    @unittest.skipUnless(serve.TELLS_QUEUE, "this system doesn't tell it")
    def test_the_backlog_in_force(self):
        with Server("--backlog", "1000000000") as server:
            self.assertTrue(server.greetings[0].endswith(
                f" backlog={somaxconn()} (asked 1000000000)"), server.greetings)

    def test_a_port_can_be_shared_when_all_ask(self):
        with Server("--reuse-port") as first:
            with Server("--reuse-port", listen=first.addresses[0]) as second:
                self.assertEqual(first.addresses, second.addresses)
                first.stop()
                self.assertTrue(self.served(socket.AF_INET, ("127.0.0.1", second.port)))

    @needs_linux
    def test_deferred_accept(self):
        with Server("--defer-accept", "10s") as server, server.connect() as peer:
            self.assertEqual(server.statistics()["accepted"], 0)
            self.assertTrue(echoed(peer))


class Refusals(unittest.TestCase):
    def test_a_taken_port(self):
        with Server() as server:
            code, out, said = run("--listen", server.addresses[0])
        self.assertEqual((code, out, said),
                         (1, "", f"hinge-serve: bind {server.addresses[0]}: EADDRINUSE: "
                                 "Address already in use\n"))

    def test_one_bad_address_of_several(self):
        with Server() as server, tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "socket")
            code, out, said = run("--listen", f"unix:{path}", server.addresses[0])
            self.assertEqual((code, out), (1, ""))
            self.assertIn("EADDRINUSE", said)
            self.assertFalse(os.path.exists(path))

    def test_an_address_that_is_not_here(self):
        code, _, said = run("--listen", "192.0.2.1:7000")
        self.assertEqual((code, said), (1, "hinge-serve: bind 192.0.2.1:7000: EADDRNOTAVAIL: "
                                           "Cannot assign requested address\n"))

    def test_a_folder_that_is_not_there(self):
        code, _, said = run("--listen", "unix:/nowhere/socket")
        self.assertEqual((code, said), (1, "hinge-serve: bind unix:/nowhere/socket: ENOENT: "
                                           "No such file or directory\n"))

    def test_errors_that_nobody_can_read(self):
        """They change nothing in how it ends."""
        for arguments, code in ((("--listen", "0", "--backend", "select"), 2),
                                (("--listen", "unix:/nowhere/socket"), 1)):
            with open("/dev/full", "wb") as full:
                done = subprocess.run([serve.PROGRAM, *arguments], stderr=full, check=False,
                                      timeout=serve.PATIENCE)
            self.assertEqual(done.returncode, code)

    def test_bad_arguments(self):
        listen = ("--listen", "0")
        for arguments, says in (
                ((), "--listen"),
                (("--listen",), "--listen"),
                (("--listen", "70000"), "port 70000"),
                (("--listen", "127.0.0.1"), "127.0.0.1"),
                (("--listen", "example.org:80"), "example.org"),
                (("--listen", "0", "somewhere"), "somewhere"),
                ((*listen, "--protocol", "gopher"), "'gopher': must be one of echo, discard, http"),
                ((*listen, "--backend", "select"), "'select': no backend; there are auto"),
                ((*listen, "--backlog", "0"), "must be 1 to"),
                ((*listen, "--backlog", "-1"), "--backlog"),
                ((*listen, "--max-connections", "0"), "must be 1 to"),
                ((*listen, "--max-connections", "ten"), "'ten'"),
                ((*listen, "--idle-timeout", "5"), "has no unit"),
                ((*listen, "--idle-timeout", "2years"), "unknown unit 'years'"),
                ((*listen, "--idle-timeout", "9000h"), "at most"),
                ((*listen, "--queue-low", "1MiB"), "--queue-high"),
                ((*listen, "--unix-mode", "660"), "no Unix path"),
                (("--listen", "unix:/nowhere/socket", "--unix-mode", "9"), "octal"),
                (("--listen", "unix:/nowhere/socket", "--send-buffer", "4096"), "no TCP"),
                ((*listen, "--fast"), "--fast")):
            code, out, said = run(*arguments)
            self.assertEqual((code, out), (2, ""), arguments)
            self.assertTrue(said.startswith("hinge-serve: ") and said.count("\n") == 1, said)
            self.assertIn(says, said)

    def test_too_few_descriptors_for_the_table(self):
        with self.assertRaisesRegex(AssertionError, "--max-connections: not given"):
            Server(descriptors=40)

    def test_what_is_no_server(self):
        self.assertIn(serve.BACKEND, serve.usable_backends())
        code, out, said = run("--version")
        self.assertEqual((code, said), (0, ""))
        self.assertTrue(re.fullmatch(r"hinge-serve \d+\.\d+\.\d+\n", out), out)
        code, out, said = run("--help")
        self.assertEqual((code, said), (0, ""))
        self.assertIn("--drain-timeout", out)


class ManualPage(unittest.TestCase):
    def setUp(self):
        here = os.path.dirname(os.path.abspath(__file__))
        with open(os.path.join(here, "../../docs/hinge-serve.1.scd"), encoding="utf-8") as file:
            self.page = file.read()

    def test_has_every_option(self):
        option = re.compile(r"--[a-z][a-z-]+")
        section = self.page.split("\n# OPTIONS\n")[1].split("\n# ")[0]
        self.assertEqual(set(option.findall(section)), set(option.findall(run("--help")[1])))

    def test_has_every_counter(self):
        with Server() as server:
            for name in server.statistics():
                self.assertRegex(self.page, rf"\b{name}\b")


if __name__ == "__main__":
    serve.run_tests()
