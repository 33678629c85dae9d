#!/usr/bin/env python3
"""hinge-serve with eight loops: how many connections each of them accepts under each policy, one
after the other, in crowds, and with gaps between them. No loop is left out for ever."""

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


def leaves_nobody_out(policy):
    """With one client, which is on one CPU at a time; and kqueue's wake-ups are the system's."""
    return policy in ("sharded", "shared_fifo", "dispatch") or (
        policy == "shared_exclusive" and serve.BACKEND == "epoll")


def one_by_one(server):
    for _ in range(COUNT):
        with server.connect() as peer:
            assert echoed(peer)


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


class Fairness(unittest.TestCase):
    def test_each_policy(self):
        for policy in filter(can_do, POLICIES):
            if policy == "thread_per_connection":
                continue  # a thread has one
            for come in one_by_one, with_gaps, in_crowds:
                with self.subTest((policy, come.__name__)), \
                        Server("--threads", str(LOOPS), "--policy", policy) as server:
                    # What comes before a loop's thread has begun is for the others alone.
                    server.until(lambda found: all(one["turns"] > 1 for one in found["loops"]))
                    come(server)
                    found = server.stop()
                    shares = [one["accepted"] for one in found["loops"]]
                    print(f"{policy}, {come.__name__}: {found['fairness']:.3f} {shares}, "
                          f"{found['accept_misses']} wake-ups for nobody", file=sys.stderr)
                    if policy in ("shared_fifo", "dispatch"):
                        self.assertGreaterEqual(
                            found["fairness"],
                            LEAST_FAIR_IN_CROWDS if come is in_crowds else LEAST_FAIR)
                    if come is one_by_one and leaves_nobody_out(policy):
                        self.assertGreater(min(shares), 0)


if __name__ == "__main__":
    serve.run_tests()
