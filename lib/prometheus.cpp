#include <hinge/prometheus.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "fixed_text.hpp"

namespace hinge {

namespace {

struct seconds_text {
  nanoseconds length;
};

enum class kind : std::uint8_t { counter, gauge };

class exposition {
public:
  explicit exposition(std::span<char> room) noexcept : out_(room) {}

  /// What follows belongs to it.
  void family(std::string_view name, kind what, std::string_view help) noexcept {
    out_.add("# HELP hinge_", name, ' ', help, "\n# TYPE hinge_", name,
             what == kind::counter ? " counter\n" : " gauge\n");
    name_ = name;
  }

  void begin() noexcept { out_.add("hinge_", name_), labels_ = 0; }
  void label(std::string_view name, std::string_view value) noexcept {
    out_.add(labels_++ == 0 ? '{' : ',', name, "=\"");
    for (const char byte : value) {
      if (byte == '\n') {
        out_.add("\\n");
      } else if (byte == '\\' || byte == '"') {
        out_.add('\\', byte);
      } else {
        out_.add(byte);
      }
    }
    out_.add('"');
  }
  void end(std::uint64_t value) noexcept { close_labels(), out_.add(value, '\n'); }
  void end(seconds_text value) noexcept {
    constexpr std::int64_t second = 1'000'000'000;
    const std::int64_t whole = value.length.count();
    std::array<char, 9> digits;
    std::int64_t rest = whole % second;
    for (std::size_t i = digits.size(); i-- != 0; rest /= 10)
      digits[i] = static_cast<char>('0' + rest % 10);
    close_labels();
    out_.add(whole / second, '.', std::string_view(digits.data(), digits.size()), '\n');
  }

  /// A family of one sample without labels.
  template <class Value>
  void single(std::string_view name, kind what, std::string_view help, Value value) noexcept {
    family(name, what, help);
    begin();
    end(value);
  }

  std::size_t bytes() const noexcept { return out_.length_wanted(); }

private:
  void close_labels() noexcept { out_.add(labels_ == 0 ? " " : "} "); }

  text_writer out_;
  std::string_view name_;
  unsigned labels_ = 0;
};

void add_loop(exposition& out, const telemetry& seen) noexcept {
  if (!seen.backend.empty()) {
    out.family("backend_info", kind::gauge, "What the loop waits with.");
    out.begin();
    out.label("backend", seen.backend);
    out.end(1);
  }
  for (const loop_counter& one : loop_counter_table)
    out.single(one.metric, kind::counter, one.help, seen.counters.*one.count);
  out.family("closed_total", kind::counter, "Connections that have ended, by cause.");
  for (std::size_t cause = 1; cause < close_causes; ++cause) {
    out.begin();
    out.label("cause", close_cause_names[cause]);
    out.end(seen.counters.closed[cause]);
  }
  out.single("connections", kind::gauge, "Connections open now.", std::uint64_t{seen.open});
  out.single("connections_limit", kind::gauge, "Most connections at one time.",
             std::uint64_t{seen.max_connections});
  out.single("half_closed_connections", kind::gauge,
             "Of the open ones, those whose peer has ended and that are left open.",
             std::uint64_t{seen.half_closed});
  if (seen.oldest_half_closed)
    out.single("oldest_half_closed_seconds", kind::gauge, "Time since the first of them is so.",
               seconds_text{*seen.oldest_half_closed});
  out.single("queued_bytes", kind::gauge, "Bytes that wait to be sent.", seen.queued_bytes);
  out.single("stopping", kind::gauge, "1 when the loop accepts no more and comes to its end.",
             std::uint64_t{seen.stopping});
  if (!seen.work) return;
  out.single("waiting_seconds_total", kind::counter, "Time in the waits of the loop.",
             seconds_text{seen.work->waiting});
  out.single("working_seconds_total", kind::counter, "Time between the waits of the loop.",
             seconds_text{seen.work->working});
  out.single("longest_work_seconds", kind::gauge, "Longest time between two waits.",
             seconds_text{seen.work->longest_work});
}

/// A family over the listeners that have the figure. `figure_of` returns an optional.
template <class FigureOf>
void add_listeners(exposition& out, const telemetry& seen, std::string_view name, kind what,
                   std::string_view help, FigureOf figure_of) noexcept {
  bool begun = false;
  for (std::size_t i = 0; i < seen.listeners().size(); ++i) {
    const listener_telemetry& one = seen.listeners()[i];
    const auto figure = figure_of(one);
    if (!figure) continue;
    if (!std::exchange(begun, true)) out.family(name, what, help);
    out.begin();
    out.label("listener", fixed_text<24>().add(i).view());
    std::array<char, address::text_capacity> room;
    out.label("address", one.where.text_into(room));
    out.end(*figure);
  }
}

void add_all_listeners(exposition& out, const telemetry& seen) noexcept {
  using one = const listener_telemetry&;
  using number = std::optional<std::uint64_t>;
  using time = std::optional<seconds_text>;
  const auto add = [&](auto... what) { add_listeners(out, seen, what...); };
  add("listener_accepting", kind::gauge, "1 while it accepts; 0 while it pauses, or is closed.",
      [](one l) { return number(l.accepting); });
  add("listener_queue_length", kind::gauge, "Connections that wait to be accepted.",
      [](one l) { return number(l.waiting); });
  add("listener_queue_length_max", kind::gauge, "Most connections seen waiting to be accepted.",
      [](one l) { return number(l.most_waiting); });
  add("listener_backlog", kind::gauge, "Connections that may wait, as the system made it.",
      [](one l) { return number(l.effective_backlog); });
  add("listener_backlog_asked", kind::gauge, "Connections that may wait, as it was asked for.",
      [](one l) { return number(l.asked_backlog); });
  add("listener_drops_total", kind::counter, "What the system dropped at the full queue.",
      [](one l) { return number(l.drops); });
  add("listener_pauses_total", kind::counter, "Times that it stopped accepting for a while.",
      [](one l) { return number(l.pauses); });
  add("listener_paused_seconds_total", kind::counter, "Time in these pauses.",
      [](one l) { return time(seconds_text{l.paused}); });
  add("listener_accepted_total", kind::counter, "Connections accepted here.",
      [](one l) { return l.accepts ? number(l.accepts->accepted) : number(); });
  add("listener_accept_turns_total", kind::counter, "Turns of the loop that accepted here.",
      [](one l) { return l.accepts ? number(l.accepts->turns) : number(); });
  add("listener_accept_lag_seconds_total", kind::counter,
      "Time that the loop had worked before these turns.",
      [](one l) { return l.accepts ? time(seconds_text{l.accepts->lag}) : time(); });
  add("listener_accept_lag_max_seconds", kind::gauge,
      "Longest time that the loop had worked before a turn that accepted here.",
      [](one l) { return l.accepts ? time(seconds_text{l.accepts->longest_lag}) : time(); });
}

}  // namespace

std::size_t prometheus_text(const telemetry& seen, std::span<char> room) noexcept {
  exposition out(room);
  add_loop(out, seen);
  add_all_listeners(out, seen);
  return out.bytes();
}

}  // namespace hinge
