// The text of a snapshot. That parsers of Prometheus read it is in system/metrics_test.py.
#include <hinge/prometheus.hpp>

#include "support/clocked_poller.hpp"
#include "support/temporary_folder.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

using namespace hinge::test;
using namespace std::chrono_literals;
using hinge::prometheus_text;
using hinge::telemetry;

namespace {

struct written_loop : hinge::loop<clocked_poller, worker> {
  explicit written_loop(hinge::loop_options options = {}) {
    options.max_connections = 4;
    REQUIRE(open(options));
  }
};

std::string text_of(const auto& seen) {
  std::string text(prometheus_text(seen, {}), '\0');
  REQUIRE(prometheus_text(seen, text) == text.size());
  return text;
}

bool has_line(const std::string& text, std::string_view line) {
  return ("\n" + text).find("\n" + std::string(line) + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("Each counter is a family with help and type") {
  written_loop tested;
  telemetry seen(tested);
  seen.counters.accepted = 12;
  seen.counters.closed[static_cast<std::size_t>(hinge::close_cause::peer_reset)] = 3;
  seen.counters.bytes_in = UINT64_MAX;
  seen.queued_bytes = 77;
  const std::string text = text_of(seen);
  CHECK(has_line(text, "# TYPE hinge_accepted_total counter"));
  CHECK(text.find("# HELP hinge_accepted_total Connections accepted") != text.npos);
  CHECK(has_line(text, "hinge_accepted_total 12"));
  CHECK(has_line(text, "hinge_closed_total{cause=\"peer_reset\"} 3"));
  CHECK(has_line(text, "hinge_closed_total{cause=\"denied\"} 0"));
  CHECK_FALSE(text.find("cause=\"none\"") != text.npos);
  CHECK(has_line(text, "hinge_received_bytes_total 18446744073709551615"));
  CHECK(has_line(text, "# TYPE hinge_queued_bytes gauge"));
  CHECK(has_line(text, "hinge_queued_bytes 77"));
  CHECK(text.ends_with('\n'));
}

TEST_CASE("No counter is missing") {
  written_loop tested;
  telemetry seen(tested);
  // As many as the table has rows, says its header; here, that no two are the same.
  std::uint64_t next = 1'000'000;
  for (const hinge::loop_counter& one : hinge::loop_counter_table)
    seen.counters.*one.count = next++;
  const std::string text = text_of(seen);
  next = 1'000'000;
  for (const hinge::loop_counter& one : hinge::loop_counter_table)
    CHECK(has_line(text, "hinge_" + std::string(one.metric) + ' ' + std::to_string(next++)));
}

TEST_CASE("Half-closed connections, and how long the first one has been so") {
  written_loop tested;
  telemetry seen(tested);
  CHECK(has_line(text_of(seen), "hinge_half_closed_connections 0"));
  CHECK_FALSE(text_of(seen).find("hinge_oldest_half_closed_seconds") != std::string::npos);
  seen.half_closed = 3;
  seen.oldest_half_closed = 90s;
  CHECK(has_line(text_of(seen), "hinge_half_closed_connections 3"));
  CHECK(has_line(text_of(seen), "hinge_oldest_half_closed_seconds 90.000000000"));
}

TEST_CASE("What is absent has no family") {
  written_loop tested;
  const std::string text = text_of(telemetry(tested));
  CHECK_FALSE(text.find("hinge_working_seconds_total") != text.npos);
  CHECK_FALSE(text.find("hinge_listener_") != text.npos);
  CHECK_FALSE(text.find("hinge_backend_info") != text.npos);
}

TEST_CASE("Times are seconds, to the nanosecond") {
  written_loop tested;
  telemetry seen(tested);
  seen.work = {.waiting = 1h + 5ns, .working = 1050ms, .longest_work = 70us};
  const std::string text = text_of(seen);
  CHECK(has_line(text, "hinge_waiting_seconds_total 3600.000000005"));
  CHECK(has_line(text, "hinge_working_seconds_total 1.050000000"));
  CHECK(has_line(text, "hinge_longest_work_seconds 0.000070000"));
}

TEST_CASE("Labels are escaped, and each listener has its own") {
  const temporary_folder folder;
  written_loop tested;
  const std::string path = folder.path() + "/a\"b\\c";
  REQUIRE(tested.listen(*hinge::address::unix_path(path)));
  REQUIRE(tested.listen(hinge::address::loopback(0)));
  telemetry seen(tested);
  seen.backend = "odd\n\"\\";
  const std::string text = text_of(seen);
  CHECK(has_line(text, "hinge_backend_info{backend=\"odd\\n\\\"\\\\\"} 1"));
  // The address writes a backslash as \x5c, which the label escapes once more.
  CHECK(has_line(text, "hinge_listener_accepting{listener=\"0\",address=\"unix:" + folder.path() +
                           "/a\\\"b\\\\x5cc\"} 1"));
  CHECK(has_line(text, "hinge_listener_accepting{listener=\"1\",address=\"" +
                           tested.listener_at(1).local().text() + "\"} 1"));
}

TEST_CASE("Of a server each loop has its figures, under one family") {
  hinge::server_statistics seen;
  seen.loops.resize(2);
  for (hinge::loop_statistics& one : seen.loops) one.backend = "epoll";
  seen.loops[0].counters.accepted = 7;
  seen.loops[1].counters.accepted = 8;
  seen.loops[1].counters.accept_misses = 3;
  seen.loops[1].counters.closed[static_cast<std::size_t>(hinge::close_cause::peer_reset)] = 2;
  seen.loops[1].open = 6;
  seen.loops[1].max_connections = 9;
  seen.loops[1].stopping = true;
  seen.loops[1].queued_bytes = 77;
  seen.loops[1].late = true;
  seen.loops[1].work = {.waiting = 1s, .working = 2s, .longest_work = 3ms};
  seen.fairness = 0.75;
  seen.listeners.resize(1);
  seen.listeners[0].where = hinge::address::loopback(80);
  seen.listeners[0].accepts = {.accepted = 15, .turns = 5, .lag = 20ms, .longest_lag = 9ms};
  const std::string text = text_of(seen);
  for (const std::string_view line :
       {"hinge_accepted_total{loop=\"0\"} 7", "hinge_accepted_total{loop=\"1\"} 8",
        "hinge_accept_misses_total{loop=\"1\"} 3",
        "hinge_backend_info{loop=\"1\",backend=\"epoll\"} 1",
        "hinge_closed_total{loop=\"1\",cause=\"peer_reset\"} 2", "hinge_connections{loop=\"1\"} 6",
        "hinge_connections_limit{loop=\"1\"} 9", "hinge_stopping{loop=\"1\"} 1",
        "hinge_queued_bytes{loop=\"1\"} 77", "hinge_late{loop=\"0\"} 0", "hinge_late{loop=\"1\"} 1",
        "hinge_working_seconds_total{loop=\"1\"} 2.000000000", "hinge_accept_fairness 0.750000000",
        "hinge_listener_accept_lag_seconds_total{listener=\"0\",address=\"127.0.0.1:80\"} "
        "0.020000000"}) {
    CAPTURE(line);
    CHECK(has_line(text, line));
  }
  // What isn't measured, and who accepts for others where nobody does.
  for (const std::string_view absent : {"working_seconds_total{loop=\"0\"", "acceptor"})
    CHECK(text.find(absent) == text.npos);
  for (const hinge::loop_counter& one : hinge::loop_counter_table) {
    const std::string type = "# TYPE hinge_" + std::string(one.metric) + " counter\n";
    CHECK(text.find(type) != text.npos);
    CHECK(text.find(type) == text.rfind(type));
  }
  seen.acceptor.emplace();
  seen.acceptor->counters.handed_over = 15;
  seen.acceptor->work = {.waiting = 1s, .working = 4s};
  const std::string with_it = text_of(seen);
  CHECK(has_line(with_it, "hinge_handed_over_total{loop=\"acceptor\"} 15"));
  CHECK(has_line(with_it, "hinge_working_seconds_total{loop=\"acceptor\"} 4.000000000"));
}

TEST_CASE("A room that is too small is never written past, and is told") {
  written_loop tested;
  REQUIRE(tested.listen(hinge::address::loopback(0)));
  const telemetry seen(tested);
  const std::string whole = text_of(seen);
  for (const std::size_t less : {std::size_t{1}, whole.size() / 2, whole.size()}) {
    std::string room(whole.size(), '#');
    const std::size_t size = whole.size() - less;
    CHECK(prometheus_text(seen, std::span(room).first(size)) == whole.size());
    CHECK(room.substr(0, size) == whole.substr(0, size));
    CHECK(room.substr(size) == std::string(less, '#'));
  }
}
