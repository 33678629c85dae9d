#!/usr/bin/env python3
"""hinge-bench from outside: what it counts, what it refuses, how it ends."""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import unittest.mock

import bench
from bench import KINDS, MASKED, READINESS, Floor, load, on_each_floor
from scripted_server import Server, echo, first_well, garble, half, reset, silent


def slept(process):
    """How often it has waited: of a floor, for clients."""
    with open(f"/proc/{process}/status", encoding="ascii") as file:
        return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", file.read(), re.M).group(1))


class Measuring(unittest.TestCase):
    def check(self, outcome, **expected):
        code, found, stderr = outcome
        self.assertEqual((code, stderr), (0, ""))
        self.assertEqual(found["format"], "hinge-bench/2")
        self.assertEqual(list(found["errors"]), KINDS)
        self.assertEqual(sum(found["errors"].values()), 0, found["errors"])
        self.assertEqual(sum(found["errors_before"].values()), 0, found["errors_before"])
        self.assertGreater(found["completed"], 0)
        self.assertAlmostEqual(found["per_second"], found["completed"] / found["measured_s"])
        for times in "service_ns", "latency_ns", "client_lag_ns":
            if times != "service_ns" and found["loop"] == "closed":
                self.assertIsNone(found[times])
                continue
            ordered = [found[times][name] for name in
                       ("min", "p50", "p90", "p99", "p99.9", "p99.99", "max")]
            self.assertEqual(ordered, sorted(ordered))
            self.assertGreaterEqual(ordered[0], 0 if times == "client_lag_ns" else 1)
            self.assertTrue(ordered[0] <= found[times]["mean"] <= ordered[-1])
        self.assertTrue(0 < found["client_cpu_share"] <= 1.1)
        self.assertFalse(found["interrupted"])
        for name, value in expected.items():
            self.assertEqual(found[name], value, name)
        return found

    @on_each_floor
    def test_crr_on_the_floor(self, program):
        with Floor("crr", program) as floor:
            self.check(load("crr", floor.target, "--connections", "20"), workload="crr",
                       target=floor.target, connections=20, bytes=64, threads=1, loop="closed",
                       rate=None)

    @on_each_floor
    def test_accept_counts_closed_connections(self, program):
        with Floor("ac", program) as floor:
            self.check(load("accept", floor.target), workload="accept", bytes=0)

    @on_each_floor
    def test_echo_on_the_floor(self, program):
        if program.endswith("floor_blocking"):
            return  # its connections wait for one another
        with Floor("echo", program) as floor:
            self.check(load("echo", floor.target, "--connections", "300", "--threads", "2"),
                       workload="echo", connections=300, threads=2)

    def test_echo_keeps_its_connections(self):
        with Server(echo) as server:
            self.check(load("echo", server.target, "--connections", "7"))
            self.assertEqual(server.accepted, 7)

    def test_accept_counts_what_the_server_served(self):
        with Server(echo) as server:
            found = self.check(load("crr", server.target, "--connections", "5", warmup="0"))
            self.assertLessEqual(found["completed"], server.accepted)
            self.assertLessEqual(server.accepted, found["completed"] + 5)

    def test_large_messages_in_both_directions(self):
        with Server(echo) as server:
            self.check(load("echo", server.target, "--connections", "3", "--bytes", "3MB",
                            duration="1s"), bytes=3_000_000)
            self.check(load("crr", server.target, "--connections", "3", "--bytes", "300k",
                            duration="1s"), bytes=300_000)

    def test_ipv6(self):
        with Server(echo, ("::1", 0), socket.AF_INET6) as server:
            self.check(load("crr", f"[::1]:{server.target}", "--connections", "4"))

    def test_unix_sockets(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "socket")
            with Server(echo, path, socket.AF_UNIX):
                self.check(load("crr", f"unix:{path}", "--connections", "4"))
                self.check(load("echo", f"unix:{path}", "--connections", "4"))
            if MASKED:
                return
            name = f"hinge-bench-test-{os.getpid()}"
            with Server(echo, "\0" + name, socket.AF_UNIX):
                self.check(load("echo", f"unix:@{name}", "--connections", "4"))

    def test_a_full_unix_queue_is_waited_for(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = os.path.join(folder.name, "socket")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(1)

        def serve_one_by_one():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(connection.recv(64))

        threading.Thread(target=serve_one_by_one, daemon=True).start()
        self.check(load("crr", f"unix:{path}", "--connections", "20"))
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()

    def test_clients_come_from_many_addresses(self):
        seen = set()

        def note(connection, _):
            seen.add(connection.getpeername()[0])
            echo(connection)

        with Server(note) as server:
            self.check(load("echo", server.target, "--connections", "40"))
        self.assertGreaterEqual(len(seen), 16)

    def test_a_server_of_its_own(self):
        here = ("--connections", "30", "--warmup", "50ms", "--duration", "300ms")
        for program, backend in (bench.BENCH, READINESS), (bench.BENCH_KQUEUE, "kqueue"):
            for workload, size in ("crr", 64), ("accept", 0), ("echo", 64), ("echo", 1_000_000):
                sized = ("--bytes", str(size)) if size else ()
                found = self.check(bench.run(workload, "--backend", backend, *here, *sized,
                                         program=program), workload=workload,
                                   bytes=size, connections=30, backend=backend)
                self.assertTrue(found["target"].startswith("127.0.0.1:"), found)
                self.assertRegex(found["environment"]["server"], f"^{backend}: .*edge-triggered")

    def test_a_server_of_its_own_on_what_can_be_used(self):
        short = ("--warmup", "0", "--duration", "200ms")
        for workload in "accept", "crr", "echo":
            code, found, why = bench.run(workload, "--backend", "uring", *short)
            best, said = "uring", ""
            if code != 0:
                missing = "not in this build" in why
                self.assertEqual((code, found), (2 if missing else 3, None))
                self.assertIn("uring", why)
                best = READINESS
                said = "" if missing else f"hinge-bench: {READINESS}: usable (io_uring: "
            code, found, stderr = bench.run(workload, "--backend", "auto", *short)
            self.assertEqual((code, found["backend"]), (0, best))
            settings = "submissions.* completions.*IORING_SETUP_" if best == "uring" else "trigg"
            self.assertRegex(found["environment"]["server"], f"^{best}: .*{settings}")
            self.assertEqual(sum(found["errors"].values()), 0, found["errors"])
            self.assertEqual(bool(stderr), bool(said))
            self.assertTrue(stderr.startswith(said), stderr)

    def test_a_server_of_its_own_by_the_variable(self):
        short = ("--warmup", "0", "--duration", "100ms")
        with unittest.mock.patch.dict(os.environ, HINGE_BACKEND=f"{READINESS},auto"):
            found = self.check(bench.run("crr", *short))
            self.assertEqual(found["backend"], READINESS)
        with unittest.mock.patch.dict(os.environ, HINGE_BACKEND="select"), Floor("crr") as floor:
            self.check(load("crr", floor.target))

    def test_the_backends_are_listed(self):
        def listed(*arguments):
            return bench.plainly(*arguments, "--backend", "list")
        plain = listed().stdout
        for command in [], ["accept"], ["crr"], ["echo"]:
            self.assertEqual(listed(*command).stdout, plain)
        done = listed("--json", "-")
        self.assertEqual(done.stderr, plain)
        found = json.loads(done.stdout)
        self.assertIn(READINESS, [one["name"] for one in found["candidates"] if one["usable"]])
        for line, one in zip(plain.splitlines(), found["candidates"], strict=True):
            self.assertEqual(line.split()[0], one["name"])
            self.assertTrue(line.endswith(": " + one["verdict"]), line)
        # A backend is nothing to do.
        wrong = bench.plainly("--backend", READINESS)
        self.assertEqual(wrong.returncode, 2)

    def test_the_version_is_the_librarys(self):
        done = bench.plainly("--version")
        self.assertRegex(done.stdout, r"\Ahinge-bench \d+\.\d+\.\d+\n\Z")

    def test_the_schema_is_strict(self):
        """What it promises is there in each report (see bench.flat), and nothing else is."""
        if not bench.jsonschema:
            self.skipTest("no python3-jsonschema")
        bench.jsonschema.Draft202012Validator.check_schema(bench.SCHEMA)
        with Server(echo) as server:
            _, found, _ = load("crr", server.target)
        for part in "asked", "verdict":
            self.assertEqual(list(found[part]), bench.SCHEMA["properties"][part]["required"])
        self.assertEqual(list(found["void_figures"] or found["figures"]),
                         bench.SCHEMA["$defs"]["figures"]["required"])

    def test_too_short_is_never_valid(self):
        with Server(echo) as server:
            done = bench.plainly("crr", "--target", server.target, "--warmup", "0", "--duration",
                                 "100ms", "--json", "-")
        found = json.loads(done.stdout)
        self.assertEqual((done.returncode, found["figures"]), (4, None))
        self.assertIn("too short", [flaw["kind"] for flaw in found["verdict"]["flaws"]])
        self.assertRegex(done.stderr, "INVALID          too short: 0[.]")
        self.assertNotRegex(done.stderr, r"(?m)^  (completed|service) ")

    def test_an_overflowed_queue_is_seen(self):
        """64 clients, and room for one in the queue of a server that takes them one by one."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)

            def serve_one_by_one():
                while True:
                    try:
                        with listener.accept()[0] as connection:
                            connection.sendall(connection.recv(64))
                    except ConnectionError:
                        pass
                    except OSError:
                        return
            threading.Thread(target=serve_one_by_one, daemon=True).start()
            _, found, _ = load("crr", str(listener.getsockname()[1]), warmup="0")
            listener.shutdown(socket.SHUT_RDWR)
        self.assertEqual(found["verdict"]["flaws"][0]["kind"], "overflowed queue")
        self.assertGreater(found["kernel"]["ListenOverflows"], 0)

    def test_what_stood_around_it(self):
        with Floor("crr") as floor:
            _, found, _ = load("crr", floor.target, "--server-pid", str(floor.process.pid))
            for known in "kernel", "cpus", "net.core.somaxconn", "compiler", "commit", "versions":
                self.assertTrue(found["environment"][known], known)
            self.assertIn(os.uname().release, found["environment"]["kernel"])
            self.assertGreater(found["server_cpu_us_per_operation"], 0)
            _, found, _ = load("crr", floor.target)
            self.assertIsNone(found["server_cpu_share"])
            self.assertNotIn("server", found["environment"])

    def test_interrupt_leaves_a_partial_result(self):
        with Floor("crr") as floor, tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "result.json")
            process = subprocess.Popen(
                [bench.BENCH, "crr", "--target", floor.target, "--warmup", "0", "--duration", "1h",
                 "--json", path], stdout=subprocess.PIPE, text=True)
            end = time.monotonic() + 30
            while slept(floor.process.pid) < 500 and time.monotonic() < end:
                time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            table, _ = process.communicate(timeout=30)
            self.assertEqual(process.returncode, 130)
            self.assertIn("interrupted", table)
            with open(path, encoding="utf-8") as file:
                found = bench.flat(json.load(file))
            self.assertTrue(found["interrupted"])
            self.assertGreater(found["completed"], 0)
            self.assertLess(found["measured_s"], 60)

    def test_json_on_stdout(self):
        with Floor("crr") as floor:
            done = bench.plainly("crr", "--target", floor.target, "--warmup", "0", "--duration",
                                 "50ms", "--json", "-")
        self.assertEqual(done.returncode, 4)  # too short
        self.assertEqual(json.loads(done.stdout)["format"], "hinge-bench/2")
        self.assertIn("completed", done.stderr)


class Errors(unittest.TestCase):
    def errors_of(self, misbehave, *arguments, workload="crr"):
        with Server(first_well(misbehave)) as server:
            code, found, _ = load(workload, server.target, "--connections", "4", "--bytes", "64",
                                  *arguments, warmup="0", duration="500ms")
        self.assertEqual(code, 0)
        kinds = {kind for part in ("errors", "errors_before")
                 for kind, count in found[part].items() if count}
        return kinds

    def test_kinds(self):
        self.assertEqual(self.errors_of(reset), {"reset"})
        self.assertEqual(self.errors_of(half), {"early_end"})
        self.assertEqual(self.errors_of(garble), {"mismatch"})
        self.assertEqual(self.errors_of(silent, "--timeout", "100ms"), {"timed_out"})

    def test_kinds_on_kept_connections(self):
        self.assertEqual(self.errors_of(garble, workload="echo"), {"mismatch"})
        self.assertEqual(self.errors_of(half, workload="echo"), {"early_end"})

    def test_failures_are_not_completions(self):
        with Server(lambda c, i: half(c) if i % 2 else echo(c)) as server:
            _, found, _ = load("crr", server.target, "--connections", "1", warmup="0")
            served_well = (server.accepted + 1) // 2
        self.assertGreater(found["errors"]["early_end"], 0)
        self.assertLessEqual(found["completed"], served_well)
        self.assertGreaterEqual(found["completed"], served_well - 1)

    def test_a_connect_alone_does_not_count(self):
        with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
            code, found, stderr = load("crr", str(listener.getsockname()[1]), "--connections",
                                       "8", "--timeout", "100ms", duration="5s", warmup="0")
        self.assertEqual(code, 1)
        self.assertIn("nothing answers", stderr)
        self.assertEqual(found["completed"], 0)
        self.assertEqual(found["errors"]["timed_out"], 8)
        self.assertIsNone(found["service_ns"])

    def test_nobody_there(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            target = f"127.0.0.1:{unused.getsockname()[1]}"
            for workload in ("crr", "echo"):
                code, found, stderr = load(workload, target, "--connections", "10",
                                           duration="1h", warmup="0")
                self.assertEqual((code, stderr),
                                 (1, f"hinge-bench: nothing answers at {target}\n"))
                counts = {kind: found["errors"][kind] + found["errors_before"][kind]
                          for kind in KINDS}
                self.assertGreaterEqual(counts.pop("refused"), 10)
                self.assertEqual(sum(counts.values()), 0)
        self.assertEqual(load("crr", "unix:/nowhere/socket", warmup="0")[0], 1)
        # Before anything is measured, nothing is shown as measured.
        _, found, _ = load("crr", "unix:/nowhere/socket", warmup="1h")
        self.assertGreater(found["errors_before"]["refused"], 0)
        self.assertEqual((found["measured_s"], found["client_cpu_share"]), (0, 0))

    def test_failures_rest(self):
        # 4 connections that fail at once for 1 s: each rests 10, 20, 40, ... ms between.
        with Server(first_well(reset)) as server:
            _, found, _ = load("crr", server.target, "--connections", "4", warmup="0",
                               duration="1s")
        self.assertGreater(found["errors"]["reset"], 3)
        self.assertLess(found["errors"]["reset"], 40)


class Refusals(unittest.TestCase):
    def refused(self, *arguments, says):
        code, found, stderr = bench.run(*arguments)
        self.assertEqual(code, 2, arguments)
        self.assertIsNone(found)
        self.assertTrue(stderr.startswith("hinge-bench: "), stderr)
        self.assertIn(says, stderr)

    def test_bad_arguments(self):
        self.refused(says="accept, crr, echo, churn, idle, slow, burst, restart, compare or report")
        self.refused("knock", says="knock")
        self.refused("crr", says="say whom to load")
        self.refused("crr", "--backend", "select", says="'select': no backend")
        self.refused("echo", "--backend", READINESS, "--target", "7000",
                     says="a server runs here, or elsewhere")
        with unittest.mock.patch.dict(os.environ, HINGE_BACKEND="select"):
            self.refused("crr", says="HINGE_BACKEND: 'select': no backend")
        target = ("crr", "--target", "7000")
        self.refused("crr", "--target", "70000", says="70000")
        self.refused("crr", "--target", "127.0.0.1:0", says="port 0")
        self.refused(*target, "--duration", "10", says="has no unit")
        self.refused(*target, "--duration", "0", says="more than 0")
        self.refused(*target, "--connections", "0", says="must be 1 to")
        self.refused(*target, "--connections", "ten", says="'ten'")
        self.refused(*target, "--bytes", "1K", says="unknown unit 'K'")
        self.refused(*target, "--speed", "9", says="--speed")
        self.refused("accept", "--target", "7000", "--bytes", "64", says="--bytes")
        for workload in "crr", "echo":
            self.refused(workload, "--target", "7000", "--bytes", "0", says="must be 1 to")
        self.refused(*target, "--arrivals", "poisson", says="--arrivals: of an open loop")
        self.refused(*target, "--rate", "1k", "--arrivals", "random", says="constant or poisson")
        self.refused("restart", "--target", "7000", says="--command: say")
        self.refused(*target, "--command", "true", says="--command")
        self.refused(*target, "--server-pid", "0", says="must be 1 to")
        self.refused(*target, "--rate", "0", says="must be 1 to")

    def test_help(self):
        for arguments in (["--help"], ["crr", "--help"]):
            done = bench.plainly(*arguments)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("hinge-bench" if arguments == ["--help"] else "--connections",
                          done.stdout)

    def test_too_few_descriptors(self):
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (50, 50))
        code, found, stderr = bench.run("crr", "--target", "7000", "--connections", "100",
                                    before=limit)
        self.assertEqual((code, found), (3, None))
        self.assertEqual(stderr, "hinge-bench: 100 connections: 118 descriptors are needed, "
                                 "and this process may have 50 at most (ulimit -Hn)\n")

    def test_the_soft_limit_is_raised(self):
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (50, 400))
        with Floor("echo") as floor:
            code, found, _ = bench.run("echo", "--target", floor.target, "--connections", "100",
                                   "--warmup", "0", "--duration", "200ms", before=limit)
        self.assertEqual(code, 0)
        self.assertEqual(sum(found["errors"].values()) + sum(found["errors_before"].values()), 0)

    def test_too_few_ports(self):
        narrow = ("echo 50000 50009 > /proc/sys/net/ipv4/ip_local_port_range && "
                  f"exec {bench.BENCH} accept --target [::1]:7000 --connections 20")
        done = subprocess.run(["unshare", "-rn", "sh", "-c", narrow], capture_output=True,
                              text=True, timeout=30)
        if "unshare" in done.stderr or "cannot create" in done.stderr:
            self.skipTest("no network namespace: " + done.stderr.strip())
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("20 connections to [::1]:7000 need as many local ports, and there are 10",
                      done.stderr)

    def test_unwritable_report(self):
        with Floor("crr") as floor:
            done = bench.plainly("crr", "--target", floor.target, "--warmup", "0", "--duration",
                                 "50ms", "--json", "/nowhere/result.json")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nowhere/result.json: No such file or directory", done.stderr)


if __name__ == "__main__":
    bench.run_tests()
