"""Servers for the tests of hinge-bench: each serves as a function says."""

import os
import socket
import struct
import subprocess
import sys
import threading
import time


class Server:
    """Serves each connection with `behave(connection, index)` in a thread of its own; or all, in
    one thread, with `serve_all(listener)`, which ends on an OSError of accept."""

    def __init__(self, behave, name=("127.0.0.1", 0), family=socket.AF_INET, serve_all=None,
                 backlog=512):
        self.behave = behave
        self.listener = socket.socket(family)
        self.listener.bind(name)
        self.listener.listen(backlog)
        self.accepted = 0
        serve = (lambda: serve_all(self.listener)) if serve_all else self.accept
        threading.Thread(target=serve, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self.serve, args=(connection, self.accepted - 1),
                             daemon=True).start()

    def serve(self, connection, index):
        with connection:
            try:
                self.behave(connection, index)
            except OSError:
                pass  # the client's reset

    @property
    def target(self):
        return str(self.listener.getsockname()[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def echo(connection, _=0):
    while data := connection.recv(1 << 16):
        connection.sendall(data)


def first_well(misbehave):
    """One client is served, so that the server counts as one that answers."""
    return lambda connection, index: echo(connection) if index == 0 else misbehave(connection)


def reset(connection):
    connection.recv(64)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def half(connection):
    connection.sendall(connection.recv(64)[:32])


def garble(connection):
    connection.sendall(bytes(byte ^ 1 for byte in connection.recv(64)))
    connection.recv(1)


def silent(connection):
    while connection.recv(1 << 16):
        pass


def one_by_one(pause):
    """For `serve_all`: takes `pause` for each connection, whoever waits."""
    def behave(listener):
        while True:
            try:
                with listener.accept()[0] as connection:
                    time.sleep(pause)
                    connection.sendall(connection.recv(64))
            except ConnectionError:
                pass
            except OSError:
                return
    return behave


class Process:
    """A server in a process of its own. `body`: the lines that serve a `connection`, each in a
    thread; `memory`, a list, and `lock` live as long as the server."""

    SERVE = """
import socket, sys, threading, time
sys.path.insert(0, {folder!r})
from scripted_server import Server
memory, lock = [], threading.Lock()
def behave(connection, _):
{body}
server = Server(behave{where})
print({path!r} or server.target, flush=True)
sys.stdin.read()
"""

    def __init__(self, body, path=None):
        where = f", {path!r}, socket.AF_UNIX" if path else ""
        lines = "".join(f"    {line}\n" for line in body)
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.SERVE.format(
                folder=os.path.dirname(os.path.abspath(__file__)), body=lines, where=where,
                path=path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        said = self.process.stdout.readline().split()[-1]
        self.target = f"unix:{said}" if path else said
        self.known = ("--target", self.target, "--server-pid", str(self.process.pid))

    def state(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.communicate()


ECHO = ("while data := connection.recv(65536):", "    connection.sendall(data)")
