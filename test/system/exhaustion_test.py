#!/usr/bin/env python3
"""hinge-serve at its descriptor limit, with clients held and others waiting: what it costs, whom it
still serves, and who comes in when descriptors are freed. A loop that only tries again spins."""

import contextlib
import resource
import select
import signal
import socket
import statistics
import subprocess
import sys
import time
import unittest

import serve
from serve import Server, cpu_seconds, echoed, needs, p99, receive, sized

LIMIT = 256
HELD, WAITING = 300, 50
SECONDS = sized(3, 10)
MOST_CPU = 0.1  # seconds, of as long as it waits
MOST_ATTEMPTS = 15  # a second
MOST_CALLS, MOST_TURNS = 100, 50  # a second; who spins makes a hundred thousand
FREED, SOON = 50, 0.15


def spin(listener):
    """What a loop without an idea of exhaustion does: it waits, accepts, and waits again."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
    poll = select.epoll()
    listener.setblocking(False)
    poll.register(listener, select.EPOLLIN)
    held = []
    failed = 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(print(failed)))
    print("ready", flush=True)
    while True:
        poll.poll()
        try:
            held.append(listener.accept())
        except OSError:
            failed += 1


class Exhaustion(unittest.TestCase):
    def server(self):
        return Server("--max-connections", "2000", "--first-byte-timeout", "0",
                      "--idle-timeout", "0", descriptors=LIMIT, stderr=None)

    def crowd(self, server, stack):
        """More clients than it has descriptors: those who are served, and those who wait."""
        peers = [stack.enter_context(server.connect()) for _ in range(HELD + WAITING)]
        count = server.until(lambda found: found["accept_exhausted"] > 0)["open"]
        self.assertGreater(count, LIMIT * 3 // 4)
        self.assertLess(count, LIMIT)
        self.assertTrue(all(echoed(peer) for peer in peers[:count]))
        return peers[:count], peers[count:]

    def attempts(self, found):
        return found["accepted"] + found["accept_exhausted"] + found["accept_retries"]

    def answers(self, peers, seconds):
        """The times that they take, some twenty a second."""
        times = []
        end = time.monotonic() + seconds
        while (begin := time.monotonic()) < end:
            self.assertTrue(echoed(peers[len(times) % len(peers)]))
            times.append(time.monotonic() - begin)
            time.sleep(0.05)
        return times

    def quiet_p99(self):
        """Of a server with descriptors enough: the machine may be busy with other things."""
        with self.server() as server, contextlib.ExitStack() as stack:
            peers = [stack.enter_context(server.connect()) for _ in range(50)]
            return p99(self.answers(peers, sized(0.3, 5)))

    def test_it_costs_next_to_nothing_and_the_others_are_served(self):
        quiet = self.quiet_p99()
        with self.server() as server, contextlib.ExitStack() as stack:
            served, waiting = self.crowd(server, stack)
            before, cpu_before = server.statistics(), server.cpu_seconds()
            times = self.answers(served, SECONDS)
            found, cpu = server.statistics(), server.cpu_seconds() - cpu_before
            rate = (self.attempts(found) - self.attempts(before)) / SECONDS
            print(f"{SECONDS} s: {cpu * 1000:.1f} ms of CPU, {rate:.1f} attempts a second; "
                  f"{len(times)} answers, p99 {p99(times) * 1000:.2f} ms", file=sys.stderr)
            self.assertLessEqual(cpu, MOST_CPU)
            self.assertLessEqual(rate, MOST_ATTEMPTS)
            self.assertEqual(found["accepted"], before["accepted"])
            self.assertEqual(found["open"], len(served))
            for peer in waiting:
                peer.settimeout(0)
                with self.assertRaises(BlockingIOError):
                    peer.recv(1)
        quiet = max(quiet, self.quiet_p99())
        print(f"quiet p99 {quiet * 1000:.2f} ms", file=sys.stderr)
        self.assertLessEqual(p99(times), max(2 * quiet, sized(0.5, 0.005)))

    def test_no_turn_is_made_again_and_again(self):
        with self.server() as server, contextlib.ExitStack() as stack:
            self.crowd(server, stack)
            before = server.statistics()["turns"]
            time.sleep(1)
            turns = server.statistics()["turns"] - before
            print(f"1 s: {turns} turns", file=sys.stderr)
            self.assertLessEqual(turns, MOST_TURNS)

    @needs("strace")
    def test_no_call_is_made_again_and_again(self):
        """Whichever: accept4, io_uring_enter, epoll_wait."""
        if serve.BACKEND == "kqueue" and sys.platform == "linux":
            self.skipTest("the model of kevent makes calls of its own, some for each registration")
        with self.server() as server, contextlib.ExitStack() as stack:
            self.crowd(server, stack)
            found = subprocess.run(
                ["timeout", "-s", "INT", "1", "strace", "-f", "-c", "-p",
                 str(server.process.pid)], capture_output=True, text=True, timeout=serve.PATIENCE)
            calls = [line.split() for line in found.stderr.splitlines() if line.endswith("total")]
            if not calls:
                self.skipTest(f"strace is not permitted: {found.stderr.strip()}")
            count = int(calls[0][3])
            print(f"1 s: {count} system calls", file=sys.stderr)
            self.assertLessEqual(count, MOST_CALLS)

    def test_freed_descriptors_are_used_at_once(self):
        """By an event: who asks now and then has the back-off's second to wait by then. Each of
        three times in the soak; else most of them, since other tests run beside."""
        with self.server() as server, contextlib.ExitStack() as stack:
            served, waiting = self.crowd(server, stack)
            times = []
            for _ in range(3):
                time.sleep(sized(1, 3))
                leaving, served = served[:FREED], served[FREED:]
                entering, waiting = waiting[:FREED], waiting[FREED:]
                accepted = server.statistics()["accepted"]
                for peer in entering:
                    peer.sendall(b"hello")
                begin = time.monotonic()
                for peer in leaving:
                    peer.close()
                for peer in entering:
                    self.assertEqual(receive(peer, 5), b"hello")
                times.append(time.monotonic() - begin)
                # No more than these: the next one who waits finds no descriptor.
                self.assertEqual(server.statistics()["accepted"], accepted + len(entering))
                served += entering
                more = FREED - len(waiting)
                waiting += [stack.enter_context(server.connect()) for _ in range(more)]
            print(f"{FREED} freed: {', '.join(f'{one * 1000:.0f} ms' for one in times)}",
                  file=sys.stderr)
            self.assertLessEqual(sized(statistics.median, max)(times), SOON)

    def test_a_loop_that_only_tries_again_spins(self):
        """That these figures tell the one from the other."""
        with socket.create_server(("127.0.0.1", 0), backlog=1000) as listener:
            naive = subprocess.Popen(
                [sys.executable, __file__, "spin", str(listener.fileno())],
                pass_fds=[listener.fileno()], stdout=subprocess.PIPE, text=True)
            try:
                naive.stdout.readline()
                with contextlib.ExitStack() as stack:
                    for _ in range(HELD):
                        peer = stack.enter_context(socket.socket())
                        peer.connect(listener.getsockname())
                    # As long as a busy machine takes to let it have that much.
                    before, begin = cpu_seconds(naive.pid), time.monotonic()
                    while cpu_seconds(naive.pid) - before <= MOST_CPU:
                        self.assertLess(time.monotonic() - begin, serve.PATIENCE)
                        time.sleep(0.01)
                    took = time.monotonic() - begin
                    naive.terminate()
                    failed = int(naive.communicate(timeout=serve.PATIENCE)[0])
            finally:
                naive.kill()
                naive.wait()
        print(f"{MOST_CPU * 1000:.0f} ms of CPU within {took:.2f} s, {failed} attempts",
              file=sys.stderr)
        self.assertGreater(failed, 10 * MOST_ATTEMPTS * took)


if __name__ == "__main__":
    if sys.argv[1] == "spin":
        spin(socket.socket(fileno=int(sys.argv[2])))
    serve.run_tests()
