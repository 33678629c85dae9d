#!/usr/bin/env python3
"""hinge-serve with eight loops: how many connections each of them accepts under each policy, one
after the other, in crowds, and with gaps between them. No loop is left out for ever."""

import os
import sys
import time
import unittest

import serve
from policies import POLICIES, can_do
from serve import Server, echoed, sized

LOOPS = 8
COUNT = sized(800, 8000)
LEAST_FAIR = 0.95  # Jain's index, of the policies that promise a fair share
LEAST_FAIR_IN_CROWDS = sized(0.7, 0.95)  # where chance has a hand in it, and there are few


def one_by_one(server):
    for _ in range(COUNT):
        with server.connect() as peer:
            assert echoed(peer)


def from_each_cpu(server):
    """One after the other, from one CPU and then from the next."""
    cpus = sorted(os.sched_getaffinity(0))
    try:
        for i in range(COUNT):
            os.sched_setaffinity(0, {cpus[i % len(cpus)]})  # of this thread
            with server.connect() as peer:
                assert echoed(peer)
    finally:
        os.sched_setaffinity(0, cpus)


def with_gaps(server):
    for _ in range(sized(COUNT // 8, COUNT)):
        with server.connect() as peer:
            assert echoed(peer)
        time.sleep(0.002)


def in_crowds(server):
    """All of a crowd are there before the first is looked at."""
    for _ in range(COUNT // 50):
        peers = [server.connect() for _ in range(50)]
        for peer in peers:
            assert echoed(peer)
            peer.close()


def leaves_nobody_out(policy, come):
    """Of kqueue's loops all wake, and who is first has it; sharded_cpu has loops for each CPU. With
    gaps there are too few for all, since a loop may have 16 in a row."""
    if policy == "shared_exclusive" and serve.BACKEND != "epoll" or come is with_gaps:
        return False
    return policy != "sharded_cpu" or come is from_each_cpu


class Fairness(unittest.TestCase):
    def test_each_policy(self):
        for policy in filter(can_do, POLICIES):
            if policy == "thread_per_connection":
                continue  # a thread has one
            alone = from_each_cpu if policy == "sharded_cpu" else one_by_one
            cells, in_vain = [], 0
            for come in alone, with_gaps, in_crowds:
                with self.subTest((policy, come.__name__)), \
                        Server("--threads", str(LOOPS), "--policy", policy) as server:
                    # What comes before a loop's thread has begun is for the others alone.
                    server.until(lambda found: all(one["turns"] > 1 for one in found["loops"]))
                    come(server)
                    found = server.stop()
                    shares = [one["accepted"] for one in found["loops"]]
                    print(f"{policy}, {come.__name__}: {shares}", file=sys.stderr)
                    cells.append(f"{found['fairness']:.3f} ({min(shares)} to {max(shares)})")
                    in_vain += found["accept_misses"]
                    if policy in ("shared_fifo", "dispatch"):
                        self.assertGreaterEqual(
                            found["fairness"],
                            LEAST_FAIR_IN_CROWDS if come is in_crowds else LEAST_FAIR)
                    if leaves_nobody_out(found["policy"], come):
                        self.assertGreater(min(shares), 0)
            # A row of docs/POLICIES.md.
            print(f"| {policy} | {serve.BACKEND} | {' | '.join(cells)} | {in_vain} |",
                  file=sys.stderr)


if __name__ == "__main__":
    serve.run_tests()
