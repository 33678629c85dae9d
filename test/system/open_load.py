"""An open loop of clients: connections begin on a schedule, whatever becomes of the others.

A connection counts as served when its first byte has come back. Each is one of: served, refused
(no listener), reset (after it was connected), ended (without a byte), late (nothing within the
patience). The load runs in a thread of its own.
"""

import collections
import errno
import select
import socket
import threading
import time

PATIENCE = 10  # seconds that a connection may take; a lost SYN costs 1 s and is counted elsewhere


class OpenLoad:
    def __init__(self, where, rate):
        """`where`: (host, port) of IPv4, or the path of a Unix socket; `rate`: connections a
        second."""
        self.where = where
        self.family = socket.AF_INET if isinstance(where, tuple) else socket.AF_UNIX
        self.rate = rate
        self.outcomes = collections.Counter()
        self.begun = 0
        self.slowest = 0.0  # seconds from the scheduled moment to the first byte
        self.longest_pause = 0.0  # seconds that this thread itself has not run, or slept
        self.ending = threading.Event()
        self.poll = select.epoll()
        self.open = {}  # descriptor: (socket, when it was to begin, whether it has asked)
        self.thread = threading.Thread(target=self._run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """No more begin; returns when all have ended."""
        self.ending.set()
        if self.thread.is_alive():
            self.thread.join()
        return self.outcomes

    def _run(self):
        start = now = time.monotonic()
        while not self.ending.is_set() or self.open:
            before, now = now, time.monotonic()
            self.longest_pause = max(self.longest_pause, now - before)
            if not self.ending.is_set():
                due = int((now - start) * self.rate)
                for number in range(self.begun, due):
                    self._begin(start + number / self.rate)
            for fd, events in self.poll.poll(0.001):
                self._advance(fd, events)
            self._give_up(now)
        self.poll.close()

    def _begin(self, when):
        self.begun += 1
        try:
            peer = socket.socket(self.family)
        except OSError as wrong:  # the server is far behind
            self.outcomes[errno.errorcode[wrong.errno]] += 1
            return
        peer.setblocking(False)
        code = peer.connect_ex(self.where)
        if code not in (0, errno.EINPROGRESS):
            self._end(peer, errno.errorcode[code])
            return
        self.open[peer.fileno()] = [peer, when, False]
        self.poll.register(peer.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def _advance(self, fd, events):
        peer, when, asked = entry = self.open[fd]
        try:
            if not asked:
                if code := peer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    raise OSError(code, "")
                peer.send(b"x")
                entry[2] = True
                self.poll.modify(fd, select.EPOLLIN)
            elif events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                answer = peer.recv(1)
                self.slowest = max(self.slowest, time.monotonic() - when)
                self._end(peer, "served" if answer else "ended")
        except BlockingIOError:
            pass
        except OSError as wrong:
            self._end(peer, {errno.ECONNREFUSED: "refused", errno.ECONNRESET: "reset",
                             errno.EPIPE: "reset"}.get(wrong.errno, errno.errorcode[wrong.errno]))

    def _give_up(self, now):
        # The oldest are the first.
        while self.open:
            peer, when, _ = next(iter(self.open.values()))
            if now - when < PATIENCE:
                return
            self._end(peer, "late")

    def _end(self, peer, outcome):
        self.outcomes[outcome] += 1
        self.open.pop(peer.fileno(), None)
        peer.close()
