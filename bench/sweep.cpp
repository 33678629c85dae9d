#include "sweep.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include <fmt/format.h>

namespace hinge::bench {

namespace {

constexpr unsigned rungs = 10;
constexpr double completed_at_least = 0.98;  // of what is asked a second
constexpr double times_the_first = 10;       // the p99
constexpr double close_enough = 1.05;        // the bound, in terms of the highest that followed
constexpr unsigned most_halvings = 4;

bool has(const std::vector<finding>& flaws, flaw what) {
  return std::any_of(flaws.begin(), flaws.end(),
                     [what](const finding& one) { return one.what == what; });
}

std::string text_of(const std::vector<finding>& flaws) {
  std::string all;
  for (const finding& one : flaws) {
    all += fmt::format("{}{}: {}", all.empty() ? "" : "; ", name_of(one.what), one.reason);
  }
  return all;
}

}  // namespace

std::string_view name_of(step_outcome outcome) noexcept {
  constexpr std::array<std::string_view, 3> names = {"follows", "behind", "unknown"};
  return names[static_cast<std::size_t>(outcome)];
}

sweep::sweep(sweep_range range, std::optional<nanoseconds> most_p99)
    : range_(range), most_p99_(most_p99), next_(range.from) {}

void sweep::add(report shown, std::vector<finding> flaws) {
  sweep_step step{std::move(shown), std::move(flaws), step_outcome::unknown, {}};
  judge(step);
  steps_.push_back(std::move(step));
  choose_next();
}

const sweep_step* sweep::highest() const noexcept {
  const sweep_step* found = nullptr;
  for (const sweep_step& one : steps_) {
    if (one.outcome != step_outcome::follows) continue;
    if (found == nullptr || one.shown.asked.rate > found->shown.asked.rate) found = &one;
  }
  return found;
}

const sweep_step* sweep::bound() const noexcept {
  const sweep_step* found = nullptr;
  for (const sweep_step& one : steps_) {
    if (one.outcome != step_outcome::behind) continue;
    if (found == nullptr || one.shown.asked.rate < found->shown.asked.rate) found = &one;
  }
  return found;
}

bool sweep::answered() const noexcept {
  const sweep_step* const top = highest();
  return top != nullptr && (bound() != nullptr || top->shown.asked.rate >= range_.to);
}

// A client or a machine that wasn't up to it says nothing of the server. A queue that overflows, or
// operations without an end, are what an overload looks like; so is a rate that scatters.
void sweep::judge(sweep_step& step) const {
  step.why = text_of(step.flaws);
  if (has(step.flaws, flaw::saturated_client) || has(step.flaws, flaw::throttled)) return;
  if (!asks_enough(step.shown.asked)) return;
  const std::string shortfall = shortfall_of(step.shown);
  if (!shortfall.empty()) {
    step.outcome = step_outcome::behind;
    step.why = shortfall;
  } else if (has(step.flaws, flaw::overflowed_queue) || has(step.flaws, flaw::unfinished)) {
    step.outcome = step_outcome::behind;
  } else if (step.flaws.empty()) {
    step.outcome = step_outcome::follows;
  }
}

std::string sweep::shortfall_of(const report& shown) const {
  if (shown.per_second() < completed_at_least * shown.asked.rate) {
    return fmt::format("{:.0f} of {:.0f} a second are completed, {:.0f} % at least",
                       shown.per_second(), shown.asked.rate, 100 * completed_at_least);
  }
  const auto first = std::find_if(steps_.begin(), steps_.end(), [](const sweep_step& one) {
    return one.outcome == step_outcome::follows;
  });
  const auto p99 = static_cast<double>(shown.found.latency.percentile(99));
  double most = p99;
  if (most_p99_) {
    most = static_cast<double>(most_p99_->count());
  } else if (first != steps_.end()) {
    most = times_the_first * static_cast<double>(first->shown.found.latency.percentile(99));
  }
  if (p99 <= most) return {};
  return fmt::format("its p99 is {}, {} at most", short_time(p99), short_time(most));
}

void sweep::choose_next() {
  const sweep_step& last = steps_.back();
  if (last.shown.found.interrupted) return stop("it was interrupted");
  if (last.shown.found.nothing_answers) return stop("nothing answers");
  const bool again =
      steps_.size() >= 2 && steps_[steps_.size() - 2].shown.asked.rate == last.shown.asked.rate;
  if (last.outcome == step_outcome::unknown && !again) return;
  if (bound() == nullptr) {
    climb();
  } else {
    halve();
  }
}

void sweep::climb() {
  const sweep_step& last = steps_.back();
  if (has(last.flaws, flaw::saturated_client))
    return stop(fmt::format("the client can do no more than that: {}", last.why));
  if (++rung_ == rungs) return stop("that is the end of the range");
  const double ratio = std::pow(range_.to / range_.from, rung_ / (rungs - 1.0));
  next_ = rung_ + 1 == rungs ? range_.to : std::round(range_.from * ratio);
}

void sweep::halve() {
  const double behind = bound()->shown.asked.rate;
  const std::string why = fmt::format("at {:.0f} {}", behind, bound()->why);
  const sweep_step* const low = highest();
  if (low == nullptr) return stop(why);
  const double middle = std::round(std::sqrt(low->shown.asked.rate * behind));
  const bool narrow = behind <= close_enough * low->shown.asked.rate || middle >= behind;
  if (narrow || halved_ == most_halvings || steps_.back().outcome == step_outcome::unknown)
    return stop(why);
  ++halved_;
  next_ = middle;
}

void sweep::stop(std::string why) {
  next_.reset();
  end_ = std::move(why);
}

}  // namespace hinge::bench
