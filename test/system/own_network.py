"""A network namespace of the test's own, where it may count and set everything."""

import contextlib
import os
import subprocess
import sys

INSIDE = "HINGE_TEST_OWN_NETWORK"


def enter():
    """Runs this program again in one. True: it is in one; False: that is forbidden."""
    if INSIDE in os.environ:
        return True
    for how in (["unshare", "-n"], ["unshare", "-rn"]):
        with contextlib.suppress(OSError):
            if subprocess.run([*how, "ip", "link", "set", "lo", "up"], check=False,
                              stderr=subprocess.DEVNULL).returncode == 0:
                os.environ[INSIDE] = "1"
                os.execvp("unshare", [*how, "sh", "-c", 'ip link set lo up && exec "$@"', "sh",
                                      sys.executable, *sys.argv])
    return False


def counters():
    """What the kernel counts of TCP here, by name: /proc/net/snmp and /proc/net/netstat."""
    counted = {}
    for path in ("/proc/net/snmp", "/proc/net/netstat"):
        with open(path, encoding="ascii") as file:
            rows = [line.split() for line in file]
        for names, values in zip(rows[::2], rows[1::2]):
            if names[0] in ("Tcp:", "TcpExt:"):
                counted.update(zip(names[1:], map(int, values[1:])))
    return counted
