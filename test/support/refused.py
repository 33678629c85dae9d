#!/usr/bin/env python3
"""Runs a program to which the system refuses io_uring: refused.py HOW PROGRAM [ARGUMENT]...

HOW is the errno that a seccomp filter answers (EPERM), what it does instead (kill, kill-thread,
trap, silent), to another call than the first (kill:io_uring_enter), or memlock: an unprivileged
user with `ulimit -l 0`. Exit code 77: can't be done.
switched_off() is for tests: it holds for the whole machine.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import resource
import struct
import sys

NOBODY = 65534
SWITCH = "/proc/sys/kernel/io_uring_disabled"
# On every architecture but alpha.
IO_URING_SETUP = 425
IO_URING = {"io_uring_enter": 426, "io_uring_register": 427}
_GENERIC = {"seccomp": 277, "epoll_create1": 20, "epoll_wait": 22, "wait4": 260, "prctl": 167,
            "socket": 198, "bind": 200, "listen": 201, "getsockname": 204,
            "connect": 203, "uname": 160, "poll": 73, "mmap": 222}
_NUMBERS = {"aarch64": _GENERIC, "riscv64": _GENERIC,
            "x86_64": {"seccomp": 317, "epoll_create1": 291, "epoll_wait": 232, "wait4": 61,
                       "prctl": 157, "socket": 41, "connect": 42, "uname": 63, "poll": 7,
                       "mmap": 9, "bind": 49, "listen": 50, "getsockname": 51}}
# System calls of this machine by name; on some poll(2) and epoll_wait(2) are made by others.
NUMBERS = {**IO_URING, **_NUMBERS.get(os.uname().machine, {})}
# A call that programs make anyway is refused as a ring makes it: the place of an argument, and what
# it is then. MAP_SHARED | MAP_POPULATE.
OF_A_RING = {"mmap": (3, 0x8001)}

# What a filter says (seccomp(2)); in place of an errno.
VERDICTS = {"kill": 0x80000000, "kill-thread": 0, "trap": 0x00030000, "silent": 0x7fc00000}
ERRNOS = ("ENOSYS", "EPERM", "EACCES", "EINVAL", "ENOMEM", "EMFILE")
HOWS = (*ERRNOS, *VERDICTS, "memlock")


def _filter(verdict, listens, call, argument):
    """From here on that system call ends so, in this process and what it becomes; with an argument
    (its place, its value) when it has that."""
    # ld [nr]; jeq call, 0, to the end; and ld [args[n]]; jeq value, 0, 1; ret verdict; ret ALLOW
    rows = [(0x20, 0, 0, 0), (0x15, 0, 1 if argument is None else 3, call)]
    if argument is not None:
        place, value = argument
        rows += [(0x20, 0, 0, 16 + 8 * place), (0x15, 0, 1, value)]
    rows += [(0x06, 0, 0, verdict), (0x06, 0, 0, 0x7fff0000)]
    filters = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *row) for row in rows))
    program = struct.pack("HxxxxxxP", len(rows), ctypes.addressof(filters))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    if not listens:
        if libc.prctl(22, 2, program, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")
        return
    # With a listener that never answers, and lives as long as the program.
    listener = libc.syscall(NUMBERS["seccomp"], 1, 8, program)
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    fcntl.fcntl(listener, fcntl.F_SETFD, 0)


def become_nobody():
    """For the child of a fork: without root's privileges."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def refuse(how, call=IO_URING_SETUP, argument=None):
    """For the child of a fork, before exec: all calls, or those with that argument (its place, its
    value). Raises OSError when it can't be done."""
    if how == "memlock":
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
        become_nobody()
    elif how in VERDICTS:
        _filter(VERDICTS[how], how == "silent", call, argument)
    else:
        _filter(0x00050000 | getattr(errno, how), False, call, argument)


@contextlib.contextmanager
def switched_off():
    """kernel.io_uring_disabled is 2, and afterwards what it was, also when this process is killed.
    Raises OSError when it can't be done, or isn't to be."""
    if "HINGE_TEST_IO_URING_DISABLED" not in os.environ:
        raise PermissionError("HINGE_TEST_IO_URING_DISABLED isn't set: it is the whole machine's")
    with open(SWITCH, "r+", encoding="ascii") as switch:
        was = switch.read()
        alive, end = os.pipe()
        guard = os.fork()
        if guard == 0:
            os.setsid()
            os.close(end)
            os.read(alive, 1)  # returns when nobody can write any more
            switch.seek(0)
            switch.write(was)
            switch.flush()
            os._exit(0)
        os.close(alive)
        try:
            switch.seek(0)
            switch.write("2")
            switch.flush()
            yield
        finally:
            os.close(end)
            os.waitpid(guard, 0)


def main(how, *command):
    how, _, call = how.partition(":")
    try:
        if call:
            refuse(how, NUMBERS[call], OF_A_RING.get(call))
        else:
            refuse(how)
        os.execvp(command[0], command)
    except (OSError, KeyError) as wrong:
        print(f"{how}: {wrong}")
        sys.exit(77)


if __name__ == "__main__":
    main(*sys.argv[1:])
