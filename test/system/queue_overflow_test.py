#!/usr/bin/env python3
"""More clients than hinge-serve's queue holds, in a network of the test's own: what the kernel says
of it, by the socket and by the system, and that all is well when there is room again.

A client whose connect() has returned may be nobody's: with a full queue Linux may answer the SYN,
drop the client's last word and keep nothing. The test calls these ghosts."""

import contextlib
import re
import select
import socket
import subprocess
import sys
import time
import unittest

import own_network
import serve
from serve import Server, echoed, sized

BACKLOG = 4


def kernel_drops():
    """What the kernel counts of all listeners here: full queues, and all that was dropped."""
    counted = own_network.counters()
    return counted["ListenOverflows"], counted["ListenDrops"]


def queue_of(port):
    """Of the listener: how many wait, how many may, and its own drops (SO_MEMINFO)."""
    said = subprocess.run(["ss", "-Hltnm", f"sport = :{port}"], capture_output=True, text=True,
                          check=True).stdout
    waiting, most = said.split()[1:3]
    return int(waiting), int(most), int(re.search(r"skmem:\(.*,d(\d+)\)", said)[1])


class Clients:
    """They connect without waiting for it, and ask as soon as they believe to be connected, or say
    nothing."""

    def __init__(self, port, count, says=b"hello"):
        self.says = says
        self.connected = 0
        self.poll = select.epoll()
        self.waiting = {}
        self.asked = {}
        self.answered = 0
        for _ in range(count):
            peer = socket.socket()
            peer.setblocking(False)
            peer.connect_ex(("127.0.0.1", port))
            self.waiting[peer.fileno()] = peer
            self.poll.register(peer, select.EPOLLOUT)

    def look(self, seconds):
        for number, _ in self.poll.poll(seconds, 4096):
            if peer := self.waiting.pop(number, None):
                if peer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    self.connected += 1
                    peer.send(self.says)
                    self.asked[number] = peer
                    self.poll.modify(peer, select.EPOLLIN)
                    continue
            else:
                peer = self.asked.pop(number)
                with contextlib.suppress(OSError):
                    self.answered += peer.recv(5) == b"hello"
            peer.close()

    def ghosts(self, port):
        """Those who believe to be connected, and whom no socket of the other end is for, whatever
        its state: a ring may have accepted them unseen."""
        believe = {number: peer.getsockname()[1] for number, peer in self.asked.items()}
        said = subprocess.run(["ss", "-Htna", f"sport = :{port}"], capture_output=True, text=True,
                              check=True).stdout
        known = {int(line.split()[4].rsplit(":", 1)[1]) for line in said.splitlines()
                 if not line.startswith("LISTEN")}
        self.look(0)  # who was known until now hears of its end
        return sum(believe[number] not in known for number in self.asked.keys() & believe.keys())

    def close(self):
        for peer in (*self.waiting.values(), *self.asked.values()):
            peer.close()
        self.poll.close()


class QueueOverflow(unittest.TestCase):
    def set_cookies(self, on):
        try:
            with open("/proc/sys/net/ipv4/tcp_syncookies", "w", encoding="ascii") as file:
                file.write(str(int(on)))
        except OSError as wrong:
            self.skipTest(f"no setting can be changed here: {wrong}")

    def settled(self, server):
        """The kernel's figures, the socket's, and what hinge tells, of one moment: clients try
        again now and then."""
        for _ in range(100):
            before = kernel_drops()
            found = queue_of(server.port)
            (told,) = server.statistics()["listeners"]
            if kernel_drops() == before:
                return before, found, told
        raise AssertionError("they never stand still")

    def check(self, cookies, count):
        self.set_cookies(cookies)
        overflows_before, drops_before = kernel_drops()
        with Server("--max-connections", "1", "--backlog", str(BACKLOG)) as server:
            holder = server.connect()
            self.assertTrue(echoed(holder))
            server.until(lambda found: found["full_pauses"] > 0)
            with contextlib.closing(Clients(server.port, count)) as clients:
                end = time.monotonic() + sized(0.5, 20)  # they try again after 1, 3, 7 s
                while time.monotonic() < end:
                    clients.look(0.05)
                (overflows, drops), (waiting, most, own_drops), told = self.settled(server)
                ghosts = clients.ghosts(server.port)
                print(f"cookies {int(cookies)}, {count} connects: {waiting} of {most} wait, "
                      f"{drops - drops_before} drops, {ghosts} ghosts", file=sys.stderr)
                self.assertEqual(most, BACKLOG)
                self.assertEqual(waiting, BACKLOG + 1)  # Linux: full is when there are more
                self.assertGreater(overflows, overflows_before)
                self.assertEqual(own_drops, drops - drops_before)
                self.assertEqual(told["drops"], None if serve.MASKED else own_drops)
                queue = (told["waiting"], told["most_waiting"], told["effective_backlog"])
                self.assertEqual(queue, (waiting, waiting, most) if serve.TELLS_QUEUE
                                 else (None, None, None))
                self.assertEqual(server.statistics()["accepted"], 1)
                # Nobody was lost whom the queue holds; who else comes in is the kernel's affair.
                holder.close()
                end = time.monotonic() + serve.PATIENCE
                while clients.answered < waiting and time.monotonic() < end:
                    clients.look(0.05)
                self.assertGreaterEqual(clients.answered, waiting)
            found = server.until(lambda found: found["open"] == 0)
            self.assertGreaterEqual(found["accepted"], 1 + waiting)

    def test_ghosts_are_seen(self):
        """The queue is emptied slowly. Who finds it full tries again, all together: each SYN has an
        answer while there is room, and then there is some for the last word of a few. With cookies
        the kernel keeps nothing of the others: who says nothing is never accepted."""
        self.set_cookies(True)
        count = 64
        with Server("--max-connections", "1", "--backlog", str(BACKLOG), "--first-byte-timeout",
                    "50ms") as server, \
                contextlib.closing(Clients(server.port, count, b"")) as clients:
            ghosts = 0
            begun = time.monotonic()
            while time.monotonic() < begun + (sized(0, 20) if ghosts else serve.PATIENCE):
                clients.look(0.05)
                ghosts = clients.ghosts(server.port)
            print(f"{clients.connected} of {count} say that they are connected, "
                  f"{server.statistics()['accepted']} are accepted, {ghosts} ghosts",
                  file=sys.stderr)
            self.assertGreater(ghosts, 0)
            with server.connect() as peer:
                self.assertTrue(echoed(peer))

    def test_with_cookies(self):
        for count in sized((64,), (64, 500, 2000)):
            self.check(True, count)

    def test_without_cookies(self):
        for count in sized((64,), (64, 500, 2000)):
            self.check(False, count)


if __name__ == "__main__":
    if not own_network.enter():
        print("a network of its own is forbidden here")
        sys.exit(77)
    serve.run_tests()
