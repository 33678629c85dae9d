#include "comparison.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include "blocks.hpp"
#include "compared_loads.hpp"
#include "own_network.hpp"
#include "rounds.hpp"
#include "server_process.hpp"
#include "way.hpp"

namespace hinge::bench {

namespace {

using clock = std::chrono::steady_clock;

constexpr std::size_t least_rounds = 20;  // an interval of fewer says little
constexpr std::size_t rounds_between_looks = 10;

bool all_started(const std::vector<contender>& all) {
  return std::none_of(all.begin(), all.end(),
                      [](const contender& one) { return one.program.empty(); });
}

bool all_in_process(const std::vector<contender>& all) {
  return std::all_of(all.begin(), all.end(), [](const contender& one) { return one.in_process; });
}

/// `make` makes a server of a contender; each stays for all rounds.
template <class Make>
way way_of_blocks(std::string name, const compare_options& options, server_work work,
                  const std::vector<contender>& all, Make make) {
  using server = decltype(make(all.front()));
  auto servers = std::make_shared<std::vector<server>>();
  for (const contender& one : all) servers->push_back(make(one));
  servers->push_back(make(all.front()));
  const block what{work, options.block, options.waiting, options.gone};
  return {.name = std::move(name),
          .figures = {"server CPU us", "CPU us of both ends"},
          .warm_up = 5,
          .run =
              [servers, what](std::size_t who) {
                const block_cost cost = run_block(*(*servers)[who], what);
                return std::vector{cost.server, cost.both};
              },
          .about = [servers](std::size_t who) { return (*servers)[who]->about(); }};
}

way blocks(const compare_options& options, server_work work, const std::vector<contender>& all,
           unsigned cpu) {
  stand_on(cpu);
  if (all_in_process(all) && !options.apart) {
    return way_of_blocks("one process", options, work, all,
                         [work](const contender& one) { return make_subject(one.name, work); });
  }
  return way_of_blocks("two processes on one CPU", options, work, all,
                       [work, cpu](const contender& one) {
                         return std::make_unique<server_process>(one, work, cpu);
                       });
}

/// The widest half of an interval, as a part of its ratio.
double precision_of(const rounds& done, std::size_t contenders) {
  double widest = 0;
  for (std::size_t who = 1; who <= contenders; ++who) {
    const interval ratio = done.ratio(who, 0);
    widest = std::max(widest, (ratio.high - ratio.low) / 2 / ratio.median);
  }
  return widest;
}

void judge(comparison& of, const way& how, const compare_options& options, double precision,
           double seconds) {
  const auto add = [&of](flaw what, std::string reason) {
    if (!reason.empty()) of.flaws.push_back({what, std::move(reason)});
  };
  add(flaw::overflowed_queue, overflow_in(of.kernel));
  // Told in ticks of 10 ms: of less than a second it is no measure.
  add(flaw::throttled, taken_by_others(of.kernel, std::max(seconds, 1.0)));
  add(flaw::saturated_client, how.saturation());
  if (of.rounds < least_rounds) {
    add(flaw::too_short, fmt::format("{} rounds, {} at least", of.rounds, least_rounds));
  } else if (precision > options.precision) {
    add(flaw::too_noisy,
        fmt::format("an interval is +-{:.1f} % wide after {} rounds, wanted +-{:.1f} %",
                    100 * precision, of.rounds, 100 * options.precision));
  }
  if (of.rounds == 0) return;
  const interval control = of.found.back().front().ratio;
  if (control.low > 1 + options.precision / 2 || control.high < 1 - options.precision / 2) {
    add(flaw::too_noisy, fmt::format("the reference differs from itself: {:.3f} .. {:.3f}",
                                     control.low, control.high));
  }
}

void take(comparison& into, const rounds& done, std::size_t contenders) {
  into.rounds = done.done();
  if (into.rounds == 0) return;
  for (std::size_t who = 0; who <= contenders; ++who) {
    std::vector<compared_figure> figures;
    for (std::size_t i = 0; i < into.figures.size(); ++i)
      figures.push_back({done.median(who, i), done.ratio(who, i)});
    into.found.push_back(std::move(figures));
  }
}

using teller = std::function<void(const std::string&)>;

/// Rounds until enough is known, or the time is over. Returns the precision that was reached.
double run_rounds(rounds& all, const compare_options& options, std::size_t contenders,
                  const std::atomic<bool>& stop, const teller& about) {
  const auto begin = clock::now();
  while (!stop && (options.rounds == 0 || all.done() < options.rounds)) {
    all.one();
    if (options.rounds != 0) continue;
    if (clock::now() - begin >= options.longest) break;
    if (all.done() < least_rounds || all.done() % rounds_between_looks != 0) continue;
    const double reached = precision_of(all, contenders);
    if (reached <= options.precision) return reached;
    about(fmt::format("{} rounds, +-{:.1f} %", all.done(), 100 * reached));
  }
  return all.done() == 0 ? 0 : precision_of(all, contenders);
}

comparison compare_one(const compare_options& options, server_work work,
                       const std::vector<contender>& all, const std::vector<unsigned>& cpus,
                       const std::atomic<bool>& stop, const teller& about) {
  comparison made;
  made.work = work;
  made.own_network = all_started(all) && enter_fresh_network();
  const kernel_counts before = read_kernel_counts();
  const auto begin = clock::now();
  {
    const way how = work == server_work::echo || options.rate > 0
                        ? loads(options, work, all, cpus)
                        : blocks(options, work, all, cpus.front());
    made.way = how.name;
    made.figures = how.figures;
    rounds running(all.size(), options.seed, how.run);
    about("warming up");
    for (unsigned i = 0; i < how.warm_up && !stop; ++i) running.warm_up();
    const double precision = run_rounds(running, options, all.size(), stop, about);
    take(made, running, all.size());
    for (std::size_t i = 0; i < all.size(); ++i) made.about.push_back(how.about(i));
    made.kernel = read_kernel_counts() - before;
    judge(made, how, options, options.rounds != 0 ? 0 : precision,
          std::chrono::duration<double>(clock::now() - begin).count());
  }
  stand_on(cpus.front());
  for (std::size_t i = 0; i < all.size() && !options.uncounted && !stop; ++i) {
    const auto same = std::find_if(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(i),
                                   [&](const contender& one) { return one.name == all[i].name; });
    const auto counted = static_cast<std::size_t>(same - all.begin());
    about("counting " + all[i].name);
    made.counted.push_back(counted < i ? made.counted[counted]
                                       : count_each(all[i], work, cpus.front(), made.own_network));
  }
  return made;
}

}  // namespace

std::vector<comparison> compare(const compare_options& options,
                                const std::vector<contender>& contenders,
                                const std::atomic<bool>& stop, const teller& about) {
  const std::vector<unsigned> cpus = permitted_cpus();
  std::vector<comparison> all;
  for (const server_work work : options.works) {
    if (stop) break;
    const bool all_do = std::all_of(contenders.begin(), contenders.end(),
                                    [work](const contender& one) { return does(one, work); });
    if (!all_do) continue;
    const std::string name(name_of(work));
    const auto named = [&](const std::string& what) { about(fmt::format("{}: {}", name, what)); };
    all.push_back(compare_one(options, work, contenders, cpus, stop, named));
  }
  // As it was found.
  stand_on(cpus);
  return all;
}

}  // namespace hinge::bench
