#include <hinge/prometheus.hpp>

#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <utility>

#include "fixed_text.hpp"

namespace hinge {

namespace {

/// Nanoseconds as seconds; or a ratio.
struct billionths {
  std::int64_t count;
};
billionths in_billionths(nanoseconds length) noexcept { return {length.count()}; }

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
  void end(billionths value) noexcept {
    constexpr std::int64_t one = 1'000'000'000;
    std::array<char, 9> digits;
    std::int64_t rest = value.count % one;
    for (std::size_t i = digits.size(); i-- != 0; rest /= 10)
      digits[i] = static_cast<char>('0' + rest % 10);
    close_labels();
    out_.add(value.count / one, '.', std::string_view(digits.data(), digits.size()), '\n');
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

using maybe_number = std::optional<std::uint64_t>;
using maybe_time = std::optional<billionths>;

template <class Figures>
maybe_time length(const std::optional<Figures>& of, nanoseconds Figures::*which) noexcept {
  return of ? maybe_time(in_billionths((*of).*which)) : maybe_time();
}

struct told_loop {
  std::string_view name;  // the label; of a loop alone there is none
  const loop_figures& told;
  maybe_number late = {};
};

struct listener_figures {
  std::size_t index;
  const listener_telemetry& told;
};

void add_labels(exposition& out, const told_loop& of) noexcept {
  if (!of.name.empty()) out.label("loop", of.name);
}

void add_labels(exposition& out, const listener_figures& of) noexcept {
  out.label("listener", fixed_text<24>().add(of.index).view());
  std::array<char, address::text_capacity> room;
  out.label("address", of.told.where.text_into(room));
}

/// A family over those that have the figure. `each` calls its argument with every one of them;
/// `figure_of` returns an optional.
template <class Each, class FigureOf>
void add_family(exposition& out, const Each& each, std::string_view name, kind what,
                std::string_view help, FigureOf figure_of) noexcept {
  bool begun = false;
  each([&](const auto& one) {
    const auto figure = figure_of(one);
    if (!figure) return;
    if (!std::exchange(begun, true)) out.family(name, what, help);
    out.begin();
    add_labels(out, one);
    out.end(*figure);
  });
}

/// Those with a label of their own. `each` is called with told_loop.
template <class Each>
void add_labelled(exposition& out, const Each& each) noexcept {
  bool begun = false;
  each([&](const told_loop& l) {
    if (l.told.backend.empty()) return;
    if (!std::exchange(begun, true))
      out.family("backend_info", kind::gauge, "What the loop waits with.");
    out.begin();
    add_labels(out, l);
    out.label("backend", l.told.backend);
    out.end(1);
  });
  out.family("closed_total", kind::counter, "Connections that have ended, by cause.");
  each([&](const told_loop& l) {
    for (std::size_t cause = 1; cause < close_causes; ++cause) {
      out.begin();
      add_labels(out, l);
      out.label("cause", close_cause_names[cause]);
      out.end(l.told.counters.closed[cause]);
    }
  });
}

template <class Each>
void add_loops(exposition& out, const Each& each) noexcept {
  using one = const told_loop&;
  const auto add = [&](auto... what) { add_family(out, each, what...); };
  add_labelled(out, each);
  for (const loop_counter& row : loop_counter_table)
    add(row.metric, kind::counter, row.help,
        [&](one l) { return maybe_number(l.told.counters.*row.count); });
  add("connections", kind::gauge, "Connections open now.",
      [](one l) { return maybe_number(l.told.open); });
  add("connections_limit", kind::gauge, "Most connections at one time.",
      [](one l) { return maybe_number(l.told.max_connections); });
  add("half_closed_connections", kind::gauge,
      "Of the open ones, those whose peer has ended and that are left open.",
      [](one l) { return maybe_number(l.told.half_closed); });
  add("oldest_half_closed_seconds", kind::gauge, "Time since the first of them is so.", [](one l) {
    const auto& age = l.told.oldest_half_closed;
    return age ? maybe_time(in_billionths(*age)) : maybe_time();
  });
  add("queued_bytes", kind::gauge, "Bytes that wait to be sent.",
      [](one l) { return maybe_number(l.told.queued_bytes); });
  add("stopping", kind::gauge, "1 when the loop accepts no more and comes to its end.",
      [](one l) { return maybe_number(l.told.stopping); });
  add("late", kind::gauge, "1 when the loop hangs, and its figures are those of before.",
      [](one l) { return l.late; });
  add("waiting_seconds_total", kind::counter, "Time in the waits of the loop.",
      [](one l) { return length(l.told.work, &work_figures::waiting); });
  add("working_seconds_total", kind::counter, "Time between the waits of the loop.",
      [](one l) { return length(l.told.work, &work_figures::working); });
  add("longest_work_seconds", kind::gauge, "Longest time between two waits.",
      [](one l) { return length(l.told.work, &work_figures::longest_work); });
}

void add_listeners(exposition& out, std::span<const listener_telemetry> all) noexcept {
  const auto each = [&](auto tell) {
    for (std::size_t i = 0; i < all.size(); ++i) tell(listener_figures{i, all[i]});
  };
  using one = const listener_figures&;
  const auto add = [&](auto... what) { add_family(out, each, what...); };
  add("listener_accepting", kind::gauge, "1 while it accepts; 0 while it pauses, or is closed.",
      [](one l) { return maybe_number(l.told.accepting); });
  add("listener_queue_length", kind::gauge, "Connections that wait to be accepted.",
      [](one l) { return maybe_number(l.told.waiting); });
  add("listener_queue_length_max", kind::gauge, "Most connections seen waiting to be accepted.",
      [](one l) { return maybe_number(l.told.most_waiting); });
  add("listener_backlog", kind::gauge, "Connections that may wait, as the system made it.",
      [](one l) { return maybe_number(l.told.effective_backlog); });
  add("listener_backlog_asked", kind::gauge, "Connections that may wait, as it was asked for.",
      [](one l) { return maybe_number(l.told.asked_backlog); });
  add("listener_drops_total", kind::counter, "What the system dropped at the full queue.",
      [](one l) { return maybe_number(l.told.drops); });
  add("listener_pauses_total", kind::counter, "Times that it stopped accepting for a while.",
      [](one l) { return maybe_number(l.told.pauses); });
  add("listener_paused_seconds_total", kind::counter, "Time in these pauses.",
      [](one l) { return maybe_time(in_billionths(l.told.paused)); });
  add("listener_accepted_total", kind::counter, "Connections accepted here.", [](one l) {
    return l.told.accepts ? maybe_number(l.told.accepts->accepted) : maybe_number();
  });
  add("listener_accept_turns_total", kind::counter, "Turns of the loop that accepted here.",
      [](one l) { return l.told.accepts ? maybe_number(l.told.accepts->turns) : maybe_number(); });
  add("listener_accept_lag_seconds_total", kind::counter,
      "Time that the loop had worked before these turns.",
      [](one l) { return length(l.told.accepts, &accept_figures::lag); });
  add("listener_accept_lag_max_seconds", kind::gauge,
      "Longest time that the loop had worked before a turn that accepted here.",
      [](one l) { return length(l.told.accepts, &accept_figures::longest_lag); });
}

}  // namespace

std::size_t prometheus_text(const telemetry& seen, std::span<char> room) noexcept {
  exposition out(room);
  add_loops(out, [&](auto tell) { tell(told_loop{.name = {}, .told = seen}); });
  add_listeners(out, seen.listeners());
  return out.bytes();
}

std::size_t prometheus_text(const server_statistics& seen, std::span<char> room) noexcept {
  exposition out(room);
  add_loops(out, [&](auto tell) {
    const auto tell_it = [&](std::string_view name, const loop_statistics& one) {
      tell(told_loop{.name = name, .told = one, .late = one.late});
    };
    for (std::size_t i = 0; i < seen.loops.size(); ++i)
      tell_it(fixed_text<24>().add(i).view(), seen.loops[i]);
    if (seen.acceptor) tell_it("acceptor", *seen.acceptor);
  });
  out.single("accept_fairness", kind::gauge,
             "1 when all loops have accepted as many, 1/N when one of N has accepted all.",
             billionths{std::llround(seen.fairness * 1e9)});
  add_listeners(out, seen.listeners);
  return out.bytes();
}

}  // namespace hinge
