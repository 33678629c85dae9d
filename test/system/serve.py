"""Runs hinge-serve for a test, talks to it, and checks its accounting at the end.

A test is a unittest program: NAME_test.py HINGE_SERVE BACKEND [unittest arguments]
"""

import json
import os
import queue
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

PATIENCE = 30  # seconds for any one thing, where waiting longer means that it never comes
PROGRAM = BACKEND = None
MASKED = "HINGE_TEST_MASKED" in os.environ  # see mask/system.hpp
# Of a listener's queue: in a masked build by FreeBSD's options, where there is no epoll.
TELLS_QUEUE = not MASKED or os.environ.get("HINGE_TEST_READINESS") == "kqueue"
FULL = "HINGE_TEST_FULL" in os.environ  # as the soak runs it


def run_tests():
    """Exit code 77 when every test was skipped, or the backend can't be used here."""
    global PROGRAM, BACKEND
    PROGRAM, BACKEND = sys.argv.pop(1), sys.argv.pop(1)
    os.environ.pop("HINGE_BACKEND", None)
    if BACKEND != "auto" and BACKEND not in usable_backends():
        print(backends())
        sys.exit(77)
    program = unittest.main(module="__main__", exit=False, verbosity=2)
    result = program.result
    if result.wasSuccessful() and result.testsRun and result.testsRun == len(result.skipped):
        sys.exit(77)
    sys.exit(not result.wasSuccessful())


def needs(program):
    """Decorates a test that can't run without `program`."""
    return unittest.skipUnless(shutil.which(program), f"{program} is not installed")


def sized(small, full):
    """What a test takes of something, and what it takes of it in the soak."""
    return full if FULL else small


needs_linux = unittest.skipIf(MASKED, "what Linux alone has is masked in this build")


def run(*arguments):
    """hinge-serve to its end: exit code, stdout, stderr."""
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=PATIENCE)
    return done.returncode, done.stdout, done.stderr


def backends(before=None):
    """The report: what is chosen, and each candidate's verdict."""
    done = subprocess.run([PROGRAM, "--backend", "list", "--json"], capture_output=True, text=True,
                          timeout=PATIENCE, check=True, preexec_fn=before)
    return json.loads(done.stdout)


def usable_backends():
    """The names of those that can be used, the preferred one first."""
    return [one["name"] for one in backends()["candidates"] if one["usable"]]


class Server:
    """A running hinge-serve. Leaving the `with` block stops it, as stop() does, and fails the test
    when it has not ended well; after an exception it is killed."""

    def __init__(self, *arguments, protocol="echo", listen="127.0.0.1:0", descriptors=None,
                 stderr="", before=None, backend=None):
        """`listen`: one or more addresses, blanks between; `descriptors`: its limit; `stderr`: what
        it is expected to have said at the end, as text or as a pattern, None: anything; `before`:
        called in its process first."""
        self.expected_stderr = stderr
        self.ended = None
        self.stderr = tempfile.TemporaryFile("w+")
        if descriptors is not None:
            before = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
        self.process = subprocess.Popen(
            [PROGRAM, "--listen", *listen.split(), "--protocol", protocol, "--backend",
             backend or BACKEND,
             "--stats-json", *arguments], stdout=subprocess.PIPE, stderr=self.stderr, text=True,
            preexec_fn=before)
        self.lines = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        try:
            self.greetings = [self._line() for _ in listen.split()]
            self.addresses = [line.split()[2] for line in self.greetings]
        except BaseException:
            self.kill()
            raise

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def _line(self):
        line = self.lines.get(timeout=PATIENCE)
        if line is None:
            raise AssertionError(f"hinge-serve has ended: {self.said()}")
        self.last_line = line
        return line

    def said(self):
        """On stderr, so far. Its offset is the server's, too, and stays."""
        return os.pread(self.stderr.fileno(), 1 << 20, 0).decode()

    @property
    def port(self):
        return int(self.addresses[0].rsplit(":", 1)[1])

    @property
    def url(self):
        return f"http://{self.addresses[0]}/"

    def connect(self, send_buffer=None, receive_buffer=None, source=None):
        """A connection to the first address, which is one of IPv4; from that one of this machine's,
        when there is a choice."""
        peer = socket.socket()
        peer.settimeout(PATIENCE)
        if send_buffer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        if receive_buffer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            peer.bind((source, 0))
        try:
            peer.connect(("127.0.0.1", self.port))
        except OSError:
            peer.close()
            raise
        return peer

    def send_signal(self, number):
        self.process.send_signal(number)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)

    def waited_seconds(self):
        """Of this test and the server, the time that the machine had for others."""
        return waited_seconds(os.getpid()) + waited_seconds(self.process.pid)

    def statistics(self):
        """As of now, by SIGUSR1."""
        self.send_signal(signal.SIGUSR1)
        return accounted(json.loads(self._line()))

    def until(self, holds):
        """The statistics for which `holds` is true, which has to be soon."""
        end = time.monotonic() + PATIENCE
        while not holds(found := self.statistics()):
            if time.monotonic() > end:
                raise AssertionError(f"this never became true: {found}")
            time.sleep(0.01)
        return found

    def drain(self):
        """SIGTERM; returns when it has been heard."""
        self.send_signal(signal.SIGTERM)
        return self.until(lambda found: found["stopping"])

    def wait(self):
        """For its end; returns the last statistics. Anything but a good end fails the test."""
        code = self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)
        said = self.said()
        self._close()
        if code != 0:
            raise AssertionError(f"hinge-serve ended with {code}: {said}")
        # What it says as it begins to leave is told in its statistics, too.
        self.retiring = re.findall(r"^hinge-serve: retiring (\S+): (.*)\n", said, re.M)
        said = re.sub(r"^hinge-serve: retiring .*\n", "", said, flags=re.M)
        expected = self.expected_stderr
        if not (expected.fullmatch(said) if isinstance(expected, re.Pattern)
                else expected in (None, said)):
            raise AssertionError(f"hinge-serve said on stderr: {said}")
        # A server that ends at once may have answered the last question with its last line.
        while (line := self.lines.get(timeout=PATIENCE)) is not None:
            self.last_line = line
        self.ended = accounted(json.loads(self.last_line))
        if self.ended["open"] != 0:
            raise AssertionError(f"open at the end: {self.ended}")
        return self.ended

    def stop(self, number=signal.SIGTERM):
        self.send_signal(number)
        return self.wait()

    def kill(self):
        if not self.process.stdout.closed:
            self.process.kill()
            self.process.wait()
            self.reader.join(PATIENCE)
            self._close()

    def _close(self):
        self.process.stdout.close()
        self.stderr.close()

    def __enter__(self):
        return self

    def __exit__(self, failed, *_):
        try:
            if failed is None and self.ended is None:
                self.stop()
        finally:
            self.kill()


def scheduled(process, field):
    """Seconds, of all threads of a process, those of io_uring too (its schedstat files)."""
    total = 0
    for thread in os.listdir(f"/proc/{process}/task"):
        with open(f"/proc/{process}/task/{thread}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[field])
    return total / 1e9


def cpu_seconds(process):
    """The processor's time that it has had."""
    return scheduled(process, 0)


def waited_seconds(process):
    """The time for which it could have run, and others on this machine did."""
    return scheduled(process, 1)


def p99(times):
    return sorted(times)[len(times) * 99 // 100]


def accounted(found):
    """Each connection has one ending, or none yet."""
    sum_of_all = found["open"] + sum(found["closed"].values()) + found["shed"]
    if found["accepted"] != sum_of_all:
        raise AssertionError(f"accepted {found['accepted']}, accounted for {sum_of_all}: {found}")
    return found


def closed(found):
    """The causes that occurred."""
    return {cause: count for cause, count in found["closed"].items() if count}


def receive(peer, count):
    """Exactly `count` bytes."""
    data = bytearray()
    while len(data) < count:
        piece = peer.recv(count - len(data))
        if not piece:
            raise AssertionError(f"the end after {len(data)} of {count} bytes")
        data += piece
    return bytes(data)


def receive_all(peer):
    """What comes up to the end."""
    data = bytearray()
    while piece := peer.recv(1 << 16):
        data += piece
    return bytes(data)


def echoed(peer, data=b"hello"):
    peer.sendall(data)
    return receive(peer, len(data)) == data


def fill(server, peer, piece):
    """Sends `piece` again and again and reads nothing, until the server has paused reading; how
    many bytes have gone, and the statistics."""
    peer.setblocking(False)
    sent = 0
    end = time.monotonic() + PATIENCE
    while (found := server.statistics())["read_pauses"] == 0:
        try:
            while time.monotonic() < end:
                sent += peer.send(piece[sent % len(piece):])
        except BlockingIOError:
            pass
        if time.monotonic() > end:
            raise AssertionError(f"{sent} bytes have gone and reading goes on: {found}")
        time.sleep(0.01)
    peer.settimeout(PATIENCE)
    return sent, found


def reset(peer):
    """Closes with a reset."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def is_reset(peer):
    """Whether the connection ends with a reset, rather than with an end."""
    try:
        while peer.recv(1 << 16):
            pass
        return False
    except ConnectionResetError:
        return True
