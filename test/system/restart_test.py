#!/usr/bin/env python3
"""Restarts under load by retiring beside a sibling: nobody is refused or reset, and the accounts of
all servers add up. What hinge-serve says of it, and what is promised without a sibling.

restart_test.py HINGE_SERVE BACKEND HINGE_BENCH
"""

import contextlib
import os
import select
import signal
import socket
import tempfile
import threading
import time
import unittest

import serve
import steady_load
from generations import ways
from serve import Server, echoed, sized
from steady_load import FULL_SECONDS, Restarted, SteadyLoad

RATE = sized(200, 2000)
RESTARTS = sized(3, 20)
SECONDS = sized(2.0, FULL_SECONDS)


class Siblings(unittest.TestCase):
    maxDiff = None

    def restarts(self, policy):
        """How the load fared, and what each of the servers counted."""
        told = []
        living = []

        def start(port):
            living.append(Server(*policy, "--reuse-port", listen=f"127.0.0.1:{port}", stderr=None))

        def restart():
            start(living[0].port)
            told.append(living[0].stop())
            ((_, plan),) = living.pop(0).retiring
            self.assertRegex(plan, r"^\d+ siblings?: no loss$")
        try:
            start(0)
            fared = Restarted(restart, RESTARTS, f"127.0.0.1:{living[0].port}", RATE, SECONDS)
            told.append(living[0].stop())
        finally:
            for one in living:
                one.kill()
        return fared, told

    @serve.needs_linux
    def test_nobody_is_lost(self):
        for policy in ways():
            with self.subTest(policy):
                fared, told = self.restarts(policy)
                accepted = sum(one["accepted"] for one in told)
                fared.print_row("retiring beside a sibling", policy, accepted)
                # Who comes in the microseconds before a last socket's end is put off.
                fared.check(self, accepted, syns_again=1)
                for one in told[:-1]:
                    self.assertEqual(one["retired"]["by"], "steers")
                    self.assertGreater(one["retired"]["steered"], 0)
                    self.assertEqual(one["retired"]["lost"], 0)

    @serve.needs_linux
    def test_a_plain_close_loses_some(self):
        """The control, under the same load: what waits at one of two listeners is reset when it is
        closed, and the other one is served."""
        with PlainListeners() as listeners:
            with SteadyLoad(f"127.0.0.1:{listeners.port}", RATE, 1.0) as clients:
                poll = select.poll()
                poll.register(listeners.first, select.POLLIN)
                self.assertTrue(poll.poll(1000 * serve.PATIENCE))  # somebody waits
                listeners.first.close()
                fared = clients.finish()
        self.assertGreater(fared["errors"]["reset"], 0, fared)
        self.assertGreater(fared["completed"], 0, fared)


class PlainListeners:
    """Two sockets of one port; a thread serves who comes to the second one."""

    def __init__(self):
        self.first = self.listener(0)
        self.port = self.first.getsockname()[1]
        self.second = self.listener(self.port)
        self.ending = False
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    @staticmethod
    def listener(port):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(("127.0.0.1", port))
        one.listen(1024)
        return one

    def _serve(self):
        poll = select.epoll()
        poll.register(self.second, select.EPOLLIN)
        peers = {}
        while not self.ending:
            for fd, _ in poll.poll(0.02):
                if fd == self.second.fileno():
                    peer = self.second.accept()[0]
                    peers[peer.fileno()] = peer
                    poll.register(peer, select.EPOLLIN)
                    continue
                with contextlib.suppress(OSError):
                    if bytes_in := peers[fd].recv(100):
                        peers[fd].send(bytes_in)
                        continue
                peers.pop(fd).close()
        poll.close()
        for peer in peers.values():
            peer.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ending = True
        self.thread.join()
        self.first.close()
        self.second.close()


class Alone(unittest.TestCase):
    def stopped(self, policy):
        """A server that is stopped while clients wait in its queue, and what became of them."""
        server = Server(*policy, listen="127.0.0.1:0", stderr=None)
        try:
            server.send_signal(signal.SIGSTOP)
            clients = [server.connect() for _ in range(22)]
            server.send_signal(signal.SIGTERM)
            server.send_signal(signal.SIGCONT)
            with socket.socket() as again:
                # The port is free when it says that it is.
                for one in clients:
                    self.assertTrue(echoed(one))
                for one in clients:
                    one.close()
                found = server.wait()
                again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                again.bind(("127.0.0.1", int(server.addresses[0].rsplit(":", 1)[1])))
            return found, server.retiring
        finally:
            server.kill()

    def test_who_waits_is_served(self):
        for policy in ways():
            with self.subTest(policy):
                found, plan = self.stopped(policy)
                self.assertEqual(found["accepted"], 22)
                self.assertEqual(found["closed"]["peer_closed"], 22)
                self.assertEqual(found["retired"]["lost"], 0)
                if not serve.MASKED:
                    self.assertEqual(found["retired"]["by"], "puts_off")
                    self.assertRegex(plan[0][1], r"^no sibling: \d+ queued clients? will be "
                                                 r"served, later ones refused$")

    def test_idle_connections_make_room(self):
        """A full table of persistent connections, and others in the queue: all are answered."""
        for policy in ways():
            with self.subTest(policy), \
                    Server("--max-connections", "2", *policy, protocol="http",
                           stderr=None) as server:
                clients = [server.connect() for _ in range(16)]
                for one in clients:
                    one.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                poll = select.poll()
                for one in clients:
                    poll.register(one, select.POLLIN)
                self.assertTrue(poll.poll(1000 * serve.PATIENCE))  # some are answered, and stay
                server.send_signal(signal.SIGTERM)
                for one in clients:
                    self.assertEqual(serve.receive_all(one).count(b"200 OK"), 1)
                    one.close()
                found = server.wait()
                self.assertEqual(found["accepted"], 16)
                self.assertEqual(found["retired"]["lost"], 0)

    def test_an_end_takes_one_drain_timeout(self):
        """Though neither the retirement nor the drain comes to its end before its time."""
        for policy in (), ("--threads", "2", "--policy", "dispatch"):
            with self.subTest(policy), \
                    Server("--max-connections", "1", "--drain-timeout", "3s", *policy,
                           stderr=None) as server:
                clients = [server.connect() for _ in range(8)]
                server.until(lambda found: found["open"])
                begun = time.monotonic()
                found = server.stop()
                self.assertEqual(found["closed"]["drain"], found["accepted"] - found["shed"])
                self.assertLess(time.monotonic() - begun, 5.5)
                for one in clients:
                    one.close()

    def test_a_second_signal_ends_it_at_once(self):
        """Also when the loop has ended before the retirement's first step: it doesn't wait for what
        nobody will say."""
        for policy in ways():
            with self.subTest(policy), Server(*policy, stderr=None) as server:
                server.send_signal(signal.SIGSTOP)
                clients = [server.connect() for _ in range(5)]
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
                    server.send_signal(number)
                found = server.wait()
                self.assertLess(found["retired"]["took"], 3)
                for one in clients:
                    one.close()

    def test_a_unix_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "socket")
            with Server(listen=f"unix:{path}", stderr=None) as server:
                server.send_signal(signal.SIGSTOP)
                peers = [socket.socket(socket.AF_UNIX) for _ in range(10)]
                for peer in peers:
                    peer.settimeout(serve.PATIENCE)
                    peer.connect(path)
                server.send_signal(signal.SIGTERM)
                server.send_signal(signal.SIGCONT)
                for peer in peers:
                    self.assertTrue(echoed(peer))
                    peer.close()
                found = server.wait()
                self.assertEqual(found["accepted"], 10)
                self.assertEqual(found["retired"]["by"], "empties")
                self.assertFalse(os.path.exists(path))


if __name__ == "__main__":
    steady_load.run_tests()
