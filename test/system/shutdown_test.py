#!/usr/bin/env python3
"""How hinge-serve ends: by itself when all is done, by its timeout, by a second signal."""

import contextlib
import signal
import unittest

import serve
from serve import Server, closed, echoed, fill, is_reset, receive_all

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LONG = ("--drain-timeout", "0")  # never: what ends has ended by itself


class Drain(unittest.TestCase):
    def test_nobody_there(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with Server(*LONG) as server:
                self.assertEqual(server.stop(number)["accepted"], 0)

    def test_what_is_open_goes_on_and_nothing_new_comes(self):
        with Server(*LONG) as server, server.connect() as peer:
            self.assertTrue(echoed(peer))
            server.drain()
            with self.assertRaises(ConnectionRefusedError):
                while True:  # the listener may be closed a moment later
                    with contextlib.suppress(ConnectionResetError):
                        server.connect().close()
            self.assertTrue(echoed(peer, bytes(100000)))
            peer.close()
            found = server.wait()
        self.assertEqual(found["closed"]["drain"], 0)

    def test_what_is_not_done_in_time_is_cut_off(self):
        with Server("--drain-timeout", "300ms") as server, server.connect() as peer:
            self.assertTrue(echoed(peer))
            server.send_signal(signal.SIGTERM)
            self.assertEqual(receive_all(peer), b"")
            self.assertEqual(closed(server.wait()), {"drain": 1})

    def test_what_is_not_delivered_in_time_is_reset(self):
        with Server("--drain-timeout", "300ms", "--send-buffer", "4096") as server:
            with server.connect(receive_buffer=4096) as peer:
                fill(server, peer, bytes(1 << 20))
                server.send_signal(signal.SIGTERM)
                self.assertEqual(closed(server.wait()), {"drain": 1})
                self.assertTrue(is_reset(peer))

    def test_a_second_signal_ends_it_at_once(self):
        for second in (signal.SIGTERM, signal.SIGINT):
            with Server(*LONG) as server, contextlib.ExitStack() as stack:
                peers = [stack.enter_context(server.connect()) for _ in range(10)]
                for peer in peers:
                    self.assertTrue(echoed(peer))
                self.assertEqual(server.drain()["open"], 10)
                server.send_signal(second)
                for peer in peers:
                    self.assertEqual(receive_all(peer), b"")
                self.assertEqual(closed(server.wait()), {"drain": 10})

    def test_what_is_queued_is_delivered(self):
        with Server(*LONG, "--send-buffer", "4096") as server:
            with server.connect(receive_buffer=4096) as peer:
                sent, _ = fill(server, peer, bytes(1 << 20))
                server.drain()
                peer.shutdown(serve.socket.SHUT_WR)
                self.assertEqual(len(receive_all(peer)), sent)
            self.assertEqual(closed(server.wait()), {"peer_closed": 1})

    def test_discard(self):
        with Server(*LONG, protocol="discard") as server, server.connect() as peer:
            peer.sendall(b"hello")
            server.until(lambda found: found["bytes_in"] == 5)
            server.drain()
            peer.sendall(b"hello")
            peer.close()
            found = server.wait()
        self.assertEqual((found["bytes_in"], closed(found)), (10, {"peer_closed": 1}))


class HttpDrain(unittest.TestCase):
    def test_idle_connections_are_closed_and_busy_ones_finished(self):
        with Server(*LONG, protocol="http") as server, contextlib.ExitStack() as stack:
            idle, busy, fresh = (stack.enter_context(server.connect()) for _ in range(3))
            for peer in (idle, busy):
                peer.sendall(GET)
                self.assertIn(b"200 OK", peer.recv(1000))
            busy.sendall(GET[:20])
            server.until(lambda found: found["bytes_in"] == 2 * len(GET) + 20)
            self.assertEqual(server.drain()["open"], 2)
            self.assertEqual(receive_all(idle), b"")
            # A request half sent, and a client that has not begun: one answer each, the last one.
            for peer, rest in ((busy, GET[20:]), (fresh, GET)):
                peer.sendall(rest)
                answer = receive_all(peer)
                self.assertTrue(answer.startswith(b"HTTP/1.1 200 OK\r\n"))
                self.assertIn(b"\r\nConnection: close\r\n", answer)
            found = server.wait()
        self.assertEqual(closed(found), {"local_close": 3})

    def test_a_body_under_way(self):
        with Server(*LONG, protocol="http") as server, server.connect() as peer:
            peer.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
            self.assertIn(b"405", peer.recv(1000))
            self.assertEqual(server.drain()["open"], 1)
            peer.sendall(b"hello" + GET)
            self.assertIn(b"\r\nConnection: close\r\n", receive_all(peer))
            self.assertEqual(closed(server.wait()), {"local_close": 1})


class Statistics(unittest.TestCase):
    def test_at_any_time(self):
        with Server() as server:
            found = server.statistics()
            self.assertEqual((found["accepted"], found["open"], found["bytes_in"]), (0, 0, 0))
            with server.connect() as peer:
                self.assertTrue(echoed(peer, bytes(1000)))
                found = server.statistics()
                self.assertEqual((found["accepted"], found["open"], found["bytes_in"],
                                  found["bytes_out"]), (1, 1, 1000, 1000))
            found = server.until(lambda found: found["open"] == 0)
            self.assertEqual((closed(found), found["bytes_in"]), ({"peer_closed": 1}, 1000))

    def test_what_it_says_of_itself(self):
        with Server("--backlog", "7", "--max-connections", "9") as server:
            found = server.statistics()
        self.assertEqual((found["backend"], found["backend_reason"]), (serve.BACKEND, "asked for"))
        self.assertEqual(found["max_connections"], 9)
        (door,) = found["listeners"]
        self.assertEqual((door["address"], door["asked_backlog"], door["effective_backlog"]),
                         (server.addresses[0], 7, 7 if serve.TELLS_QUEUE else None))
        self.assertEqual((door["accepting"], door["pauses"], door["paused"]), (True, 0, 0))
        # What a system doesn't tell is null, and not 0.
        told = 0 if serve.TELLS_QUEUE else None
        self.assertEqual((door["waiting"], door["most_waiting"], door["drops"]),
                         (told, told, None if serve.MASKED else 0))

    def test_at_the_end_only_when_asked(self):
        quiet = serve.subprocess.Popen([serve.PROGRAM, "--listen", "127.0.0.1:0"],
                                       stdout=serve.subprocess.PIPE, text=True)
        self.assertTrue(quiet.stdout.readline().startswith("listening on 127.0.0.1:"))
        quiet.terminate()
        said, _ = quiet.communicate(timeout=serve.PATIENCE)
        self.assertEqual((said, quiet.returncode), ("", 0))


if __name__ == "__main__":
    serve.run_tests()
