"""hinge-serve, and those that follow it: started, told, and waited for."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import serve
from policies import NAMED, can_do
from serve import PATIENCE, accounted


def ways():
    """Of one loop, and of two under each policy."""
    yield ()
    for policy in filter(can_do, NAMED):
        yield ("--threads", "64" if policy == "thread_per_connection" else "2", "--policy", policy)


def until(holds, what):
    end = time.monotonic() + PATIENCE
    while not (found := holds()):
        if time.monotonic() > end:
            raise AssertionError(f"it never came: {what}")
        time.sleep(0.005)
    return found


def descriptors_of(process):
    """What they are: more than their number says what is left behind."""
    folder = f"/proc/{process}/fd"
    links = []
    for fd in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            links.append(re.sub(r"\d+", "N", os.readlink(f"{folder}/{fd}")))
    return sorted(links)


def children_of(process):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                if int(file.read().rsplit(")", 1)[1].split()[1]) == process:
                    found.append(int(pid))
    return found


class Generations:
    """A hinge-serve and those that follow it, which write to the same places. Each ends with one
    line of statistics."""

    def __init__(self, *arguments, listen="127.0.0.1:0", through=(), pass_fds=(),
                 environment=None):
        """`through`: a command that executes it."""
        self.stderr = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [*through, serve.PROGRAM, *(("--listen", *listen.split()) if listen else ()),
             "--backend", serve.BACKEND, "--stats-json", *arguments], stdout=subprocess.PIPE,
            stderr=self.stderr, text=True, pass_fds=pass_fds, start_new_session=True,
            env={**os.environ, **(environment or {})})
        self.pid = self.process.pid
        self.pids = [self.pid]
        self.listening = []  # addresses, in the order in which they were said
        self.ended = []      # the last statistics of those that have ended
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        until(lambda: len(self.listening) >= len(listen.split() or "x") or
              not self.reader.is_alive(), "the first lines")
        if not self.reader.is_alive():
            said = f"it ended with {self.process.wait(PATIENCE)}: {self.said()}"
            self.__exit__()
            raise AssertionError(said)

    def _read(self):
        for line in self.process.stdout:
            if line.startswith("listening on "):
                self.listening.append(line.split()[2])
            else:
                self.ended.append(accounted(json.loads(line)))

    def said(self):
        """On stderr, but for how the listeners retire."""
        said = os.pread(self.stderr.fileno(), 1 << 20, 0).decode()
        return re.sub("hinge-serve: retiring .*\n", "", said)

    @property
    def where(self):
        host, port = self.listening[0].rsplit(":", 1)
        return host, int(port)

    def statistics(self):
        """Of the one that serves, by SIGUSR1: not one of those that have ended."""
        before = len(self.ended)
        os.kill(self.pid, signal.SIGUSR1)
        until(lambda: len(self.ended) > before, "statistics")
        return self.ended.pop()

    def upgrade(self):
        """Returns when the successor serves, and who was followed has ended."""
        before = len(self.ended)
        os.kill(self.pid, signal.SIGUSR2)
        until(lambda: len(self.ended) > before, f"the end of {self.pid}: {self.said()}")
        self.pid = self.ended[-1]["upgrades"]["successor"]
        self.pids.append(self.pid)

    def failed_upgrade(self):
        """What became of an attempt that fails, and is said."""
        failures = self.statistics()["upgrades"]["failures"]
        os.kill(self.pid, signal.SIGUSR2)
        found = until(lambda: (now := self.statistics()["upgrades"])["failures"] > failures and now,
                      "a failure")
        return found

    def connect(self):
        return socket.create_connection(self.where, PATIENCE)

    def stop(self, number=signal.SIGTERM):
        """The last statistics of all, when all have ended."""
        os.kill(self.pid, number)
        return self.stop_after()

    def stop_after(self):
        """The same of those that have been told."""
        self.reader.join(PATIENCE)  # to the end of what they write
        code = self.process.wait(PATIENCE)
        if code != 0 or self.reader.is_alive():
            raise AssertionError(f"it ended with {code}: {self.said()}")
        if any(found["open"] for found in self.ended):
            raise AssertionError(f"open at the end: {self.ended}")
        return self.ended

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Whoever is left, known or not: as long as one has the pipe the reader waits.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)
        self.process.stdout.close()
        self.stderr.close()


# Its arguments: how many descriptors are to be at 3 and on, these, and a command.
AS_SYSTEMD = """
import fcntl, os, sys
count = int(sys.argv[1])
high = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in sys.argv[2:2 + count]]
for number, fd in enumerate(high, 3):
    os.dup2(fd, number)
    os.close(fd)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = str(count)
os.execv(sys.argv[2 + count], sys.argv[2 + count:])
"""


def inheriting(*doors, names=None):
    """How Generations is to start hinge-serve that has these as systemd passes them."""
    fds = [door.fileno() for door in doors]
    return {"through": [sys.executable, "-c", AS_SYSTEMD, str(len(fds)), *map(str, fds)],
            "pass_fds": fds,
            "environment": {} if names is None else {"LISTEN_FDNAMES": ":".join(names)}}
