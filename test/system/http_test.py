#!/usr/bin/env python3
"""hinge-serve's HTTP, against curl and against a client of bare bytes."""

import os
import signal
import socket
import subprocess
import tempfile
import unittest

import serve
from serve import Server, closed, fill, needs, receive_all

PAGE = b"hello from hinge\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def curl(*arguments, data=None):
    """stdout of a curl that has to succeed."""
    done = subprocess.run(["curl", "--silent", "--show-error", "--max-time", str(serve.PATIENCE),
                           *arguments], input=data, capture_output=True, timeout=2 * serve.PATIENCE)
    if done.returncode != 0:
        raise AssertionError(f"curl ended with {done.returncode}: {done.stderr.decode()}")
    return done.stdout


def statuses(answers):
    """The codes of some answers, without bodies that could be taken for one."""
    return [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:]]


class Curl(unittest.TestCase):
    @needs("curl")
    def test_get(self):
        with Server(protocol="http") as server:
            self.assertEqual(curl(server.url), PAGE)
            self.assertEqual(curl("--http1.0", server.url + "any/path?x"), PAGE)

    @needs("curl")
    def test_head(self):
        with Server(protocol="http") as server:
            head = curl("--head", server.url).split(b"\r\n")
            self.assertEqual(head[0], b"HTTP/1.1 200 OK")
            self.assertIn(b"Content-Length: %d" % len(PAGE), head)

    @needs("curl")
    def test_one_connection_for_many_requests(self):
        with Server(protocol="http") as server:
            fetched = curl("--write-out", "%{num_connects},", *[server.url] * 5)
            self.assertEqual(fetched.replace(PAGE, b""), b"1,0,0,0,0,")
            server.until(lambda found: not found["open"])  # or the end comes first
            found = server.stop()
        self.assertEqual((found["accepted"], closed(found)), (1, {"peer_closed": 1}))

    @needs("curl")
    def test_the_client_may_ask_for_a_close(self):
        with Server(protocol="http") as server:
            curl("--header", "Connection: close", server.url, server.url)
            found = server.stop()
        self.assertEqual((found["accepted"], closed(found)), (2, {"local_close": 2}))

    @needs("curl")
    def test_refusals(self):
        with Server(protocol="http") as server:
            def code(*arguments):
                return int(curl("--output", os.devnull, "--write-out", "%{http_code}", *arguments,
                                server.url))
            self.assertEqual(code("--request", "DELETE"), 405)
            self.assertIn(b"\r\nAllow: GET, HEAD\r\n",
                          curl("--include", "--request", "DELETE", server.url))
            self.assertEqual(code("--header", "Host:"), 400)
            self.assertEqual(code("--header", "X: " + "x" * 9000), 431)
            self.assertEqual(code("--header", "X: " + "x" * 7000), 200)

    @needs("curl")
    def test_uploads_are_refused_without_a_reset(self):
        with Server(protocol="http") as server, tempfile.NamedTemporaryFile() as upload:
            upload.write(os.urandom(8 << 20))
            upload.flush()
            data = "@" + upload.name
            for headers in (["Expect:"], ["Expect: 100-continue"],
                            ["Expect:", "Transfer-Encoding: chunked"]):
                fields = [part for header in headers for part in ("--header", header)]
                answer = curl("--write-out", "%{http_code}", *fields, "--data-binary", data,
                              server.url)
                self.assertEqual(answer, b"405 Method Not Allowed\n405", headers)

    @needs("curl")
    def test_unix_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "web")
            with Server(protocol="http", listen=f"unix:{path}"):
                self.assertEqual(curl("--unix-socket", path, "http://a/"), PAGE)


class Bytes(unittest.TestCase):
    def exchange(self, *sent, **options):
        """All that comes back for some sends, and the statistics at the end."""
        with Server(protocol="http", **options) as server:
            with server.connect() as peer:
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for piece in sent:
                    peer.sendall(piece)
                answers = receive_all(peer)
            return answers, server.stop()

    def test_pipelining(self):
        answers, found = self.exchange(GET * 499 + LAST)
        self.assertEqual(statuses(answers), [200] * 500)
        self.assertEqual(answers.count(PAGE), 500)
        self.assertEqual((found["accepted"], closed(found)), (1, {"local_close": 1}))
        self.assertEqual(found["bytes_in"], len(GET * 499 + LAST))
        self.assertEqual(found["bytes_out"], len(answers))

    def test_byte_by_byte(self):
        once, _ = self.exchange(GET + LAST)
        cut, found = self.exchange(*[bytes([byte]) for byte in GET + LAST])
        self.assertEqual(cut, once)
        self.assertEqual(found["bytes_in"], len(GET + LAST))

    def test_urgent_data_hides_nothing(self):
        """A receive stops at the urgent mark: what stands behind it is read all the same."""
        with Server(protocol="http") as server, server.connect() as peer:
            peer.sendall(GET)
            self.assertEqual(statuses(peer.recv(1 << 16)), [200])  # registered from here on
            server.send_signal(signal.SIGSTOP)
            peer.sendall(LAST[:20])
            peer.send(b"!", socket.MSG_OOB)
            peer.sendall(LAST[20:])
            server.send_signal(signal.SIGCONT)
            self.assertEqual(statuses(receive_all(peer)), [200])

    def test_passed_descriptors_hide_nothing(self):
        """A receive on a Unix socket stops behind each of them."""
        with tempfile.TemporaryDirectory() as folder, \
                Server(protocol="http", listen=f"unix:{folder}/socket") as server:
            with socket.socket(socket.AF_UNIX) as peer:
                peer.settimeout(serve.PATIENCE)
                peer.connect(f"{folder}/socket")
                peer.sendall(GET)
                self.assertEqual(statuses(peer.recv(1 << 16)), [200])
                server.send_signal(signal.SIGSTOP)
                socket.send_fds(peer, [LAST[:20]], [peer.fileno()])
                socket.send_fds(peer, [LAST[20:]], [peer.fileno()])
                server.send_signal(signal.SIGCONT)
                self.assertEqual(statuses(receive_all(peer)), [200])

    def test_a_body_is_skipped(self):
        body = os.urandom(8 << 20)
        length = b"Host: a\r\nContent-Length: %d\r\n\r\n" % len(body)
        answers, found = self.exchange(b"POST / HTTP/1.1\r\n" + length, body,
                                       b"GET / HTTP/1.1\r\n" + length, body, LAST)
        self.assertEqual(statuses(answers), [405, 200, 200])
        self.assertEqual(closed(found), {"local_close": 1})

    def test_half_close_still_gets_the_answers(self):
        with Server(protocol="http") as server:
            with server.connect() as peer:
                peer.sendall(GET * 3)
                peer.shutdown(socket.SHUT_WR)
                self.assertEqual(statuses(receive_all(peer)), [200] * 3)
            self.assertEqual(closed(server.stop()), {"peer_closed": 1})

    def test_old_clients(self):
        answers, found = self.exchange(b"GET / HTTP/1.0\r\n\r\n")
        self.assertEqual(statuses(answers), [200])
        self.assertEqual(closed(found), {"local_close": 1})
        answers, _ = self.exchange(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" * 2 + LAST)
        self.assertEqual(statuses(answers), [200] * 3)
        self.assertEqual(answers.count(b"Connection: keep-alive\r\n"), 2)

    def test_bad_requests_end_the_connection(self):
        for bad, code in ((b"nonsense\r\n\r\n", 400), (b"GET / HTTP/1.1\n\n", 400),
                          (b"GET / HTTP/1.1\r\n\r\n", 400), (b"x" * 8193, 431),
                          (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 8192 + b"\r\n\r\n", 431)):
            answers, found = self.exchange(GET + bad)
            self.assertEqual(statuses(answers), [200, code], bad[:40])
            self.assertEqual(closed(found), {"peer_closed": 1})

    def test_the_answer_reaches_who_is_still_sending(self):
        with Server(protocol="http") as server:
            with server.connect() as peer:
                peer.sendall(b"nonsense\r\n\r\n")
                for _ in range(64):
                    peer.sendall(bytes(1 << 16))
                self.assertEqual(statuses(receive_all(peer)), [400])
            found = server.stop()
        self.assertEqual(closed(found), {"peer_closed": 1})
        self.assertEqual(found["bytes_in"], 12 + (64 << 16))

    def test_who_never_stops_sending_is_cut_off(self):
        with Server("--drain-timeout", "200ms", protocol="http") as server:
            with server.connect() as peer:
                peer.sendall(b"nonsense\r\n\r\n")
                with self.assertRaises(ConnectionError):
                    while True:
                        peer.sendall(bytes(1 << 16))
            self.assertEqual(closed(server.stop()), {"local_abort": 1})

    def test_who_never_closes_is_timed_out(self):
        with Server("--idle-timeout", "200ms", protocol="http") as server:
            with server.connect() as peer:
                peer.sendall(b"nonsense\r\n\r\n")
                self.assertEqual(statuses(receive_all(peer)), [400])
                found = server.until(lambda found: found["open"] == 0)
        self.assertEqual(closed(found), {"idle_timeout": 1})

    def test_back_pressure(self):
        # Answers that nobody reads fill the queue; then the client has to wait, and loses nothing.
        with Server("--queue-high", "64KiB", "--queue-low", "16KiB", "--send-buffer", "4096",
                    protocol="http") as server:
            with server.connect(receive_buffer=4096) as peer:
                sent, found = fill(server, peer, GET * 100)
                # Paused above the high mark; until the low one the socket may take some of it.
                self.assertGreater(found["read_pauses"], 0)
                self.assertGreater(found["queued_bytes"], 16 << 10)
                self.assertLess(found["queued_bytes"], 1 << 20)
                peer.shutdown(socket.SHUT_WR)
                self.assertEqual(statuses(receive_all(peer)), [200] * (sent // len(GET)))
            found = server.stop()
        self.assertEqual((found["bytes_in"], found["refused_sends"]), (sent, 0))


if __name__ == "__main__":
    serve.run_tests()
