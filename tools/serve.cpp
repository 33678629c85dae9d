// hinge-serve: echo, discard or a small page of HTTP on the addresses that it is told.
#include <hinge/any_poller.hpp>
#include <hinge/loop.hpp>
#include <hinge/prometheus.hpp>
#include <hinge/server.hpp>
#include <hinge/telemetry.hpp>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "backend_option.hpp"
#include "output.hpp"
#include "print_error.hpp"
#include "protocols.hpp"
#include "retiring.hpp"
#include "serve_options.hpp"
#include "signal_watch.hpp"
#include "statistics.hpp"

namespace {

using namespace hinge::serve;

exit_code complain(const std::string& reason) {
  hinge::print_error("hinge-serve: {}\n", reason);
  return failed;
}

/// Where it can't be written, that is told, and the server goes on.
void print_line(const std::string& text) {
  static hinge::line_output out(STDOUT_FILENO);
  const int failed = out.write(text);
  if (failed == EAGAIN) {
    complain("standard output is full: a line is dropped");
  } else if (failed != 0) {
    complain(fmt::format("standard output: {}: {}", hinge::errno_name(failed),
                         hinge::errno_meaning(failed)));
  }
}

/// In the words of the command line.
std::string why_not_open(const hinge::any_poller& poller, const serve_options& options,
                         const hinge::error& reason) {
  if (!reason.argument().starts_with("head_room")) return hinge::why_not_open(poller, reason);
  return fmt::format(
      "--max-connections: not given, and the limit of descriptors leaves none for connections: {} "
      "are kept for other things",
      options.limits.head_room);
}

hinge::result<void> listen(hinge::loop_base& loop, const serve_options& options) {
  for (const hinge::address& where : options.listen) {
    const auto index = loop.listen(where, door_for(where, options));
    if (!index) return hinge::fail(index.error());
    loop.set_door(*index, options.admission);
  }
  return {};
}

/// Of a loop, or of a server.
template <class Listening>
void announce(const Listening& of, std::string_view backend) {
  for (std::size_t i = 0; i < of.listeners(); ++i) {
    const hinge::listener& one = of.listener_at(i);
    print_line(fmt::format("listening on {} backend={} backlog={} (asked {})", one.local().text(),
                           backend, one.effective_backlog(), one.asked_backlog()));
  }
}

/// What the loop has opened. Another one than the preferred is told on stderr.
poller_in_use poller_of(const hinge::any_poller& opened, const hinge::backend_list& wanted) {
  const hinge::backend_choice& choice = opened.choice();
  if (choice.fell_back()) complain(choice.text());
  return {std::string(opened.name()), wanted.size() == 1 ? "asked for" : choice.text(),
          opened.limits().requests};
}

/// 0 is never.
hinge::nanoseconds drain_wait_of(const serve_options& options) {
  const hinge::nanoseconds wait = options.limits.drain_timeout;
  return wait.count() == 0 ? hinge::nanoseconds::max() : wait;
}

/// The snapshot as text; the room grows until it fits.
std::string metrics_of(hinge::loop_base& loop, std::string_view backend) {
  hinge::telemetry seen(loop);
  seen.backend = backend;
  std::string text(hinge::prometheus_text(seen, {}), '\0');
  hinge::prometheus_text(seen, text);
  return text;
}

/// One listener more, which is open to everybody who reaches it. Its index, or no listener's.
template <class Loop>
hinge::result<void> add_metrics(Loop& loop, const hinge::address& where, std::string_view backend) {
  const auto index = loop.listen(where);
  if (!index) return hinge::fail(index.error());
  loop.handler().metrics_listener = *index;
  loop.handler().site = {
      .target = "/metrics",
      .type = hinge::prometheus_content_type,
      .page = [&loop, name = std::string(backend)] { return metrics_of(loop, name); }};
  return {};
}

template <class Protocol>
exit_code serve(const serve_options& options) {
  hinge::result<hinge::any_poller> poller = hinge::any_poller::of(options.backends);
  if (!poller) return complain(poller.error().text());
  hinge::loop<hinge::any_poller, Protocol> loop(std::move(*poller), Protocol());
  loop.handler().loop = &loop;
  if (const auto opened = loop.open(options.limits); !opened)
    return complain(why_not_open(loop.poller(), options, opened.error()));
  if (const auto listening = listen(loop, options); !listening)
    return complain(listening.error().text());
  const poller_in_use used = poller_of(loop.poller(), options.backends);
  if constexpr (requires { loop.handler().metrics_listener; })
    if (const auto added = add_metrics(loop, *options.metrics, used.name); !added)
      return complain(added.error().text());

  const hinge::nanoseconds drain_wait = drain_wait_of(options);
  int broken = 0;
  retiring leaving;
  {
    signal_watch signals;
    announce(loop, used.name);
    bool stopping = false;
    signals.watch([&, stopping](int number) mutable {
      if (number == SIGUSR1) {
        loop.post([&] { print_line(statistics_of(hinge::telemetry(loop), used, {})); });
      } else if (!std::exchange(stopping, true)) {
        leaving.begin(loop, drain_wait, [&] { loop.post([&] { loop.drain(drain_wait); }); });
      } else {
        loop.post([&] { loop.stop(); });
      }
    });
    broken = loop.run();
  }
  const std::optional<hinge::retire_report>& retired = leaving.join();
  if (options.stats_json) print_line(statistics_of(hinge::telemetry(loop), used, retired));
  return broken == 0 ? served : complain(hinge::error("turn", used.name, -broken).text());
}

/// Where there are not rings for all.
void tell_other_backends(const hinge::server_base& server, const poller_in_use& first) {
  const auto loops = server.statistics().loops;
  const auto others = std::count_if(loops.begin(), loops.end(),
                                    [&](const auto& one) { return one.backend != first.name; });
  if (others != 0)
    complain(
        fmt::format("{} of {} loops are not on {}, which they were refused: see \"loops\" in "
                    "the statistics",
                    others, loops.size(), first.name));
}

/// Several loops: they are threads of a server, and this one waits for them.
template <class Protocol>
exit_code serve_by_threads(const serve_options& options) {
  if (const auto tried = hinge::any_poller::of(options.backends); !tried)
    return complain(tried.error().text());
  signal_watch signals;
  hinge::server<hinge::any_poller, Protocol> server(
      [](std::uint32_t) { return Protocol(); },
      [&] {
        auto made = hinge::any_poller::of(options.backends);
        return made ? *std::move(made) : hinge::any_poller();
      });
  hinge::server_options how = options.threads;
  how.loop = options.limits;
  const auto refused = [&](const hinge::error& reason) {
    return complain(fmt::format("--policy {}: {}", hinge::policy_name(how.policy), reason.text()));
  };
  if (const auto opened = server.open(how); !opened) return refused(opened.error());
  for (const hinge::address& where : options.listen)
    if (const auto one = server.listen(where, door_for(where, options), options.admission); !one)
      return one.error().code() == EOPNOTSUPP ? refused(one.error()) : complain(one.error().text());
  if constexpr (requires(Protocol & p) { p.loop; }) {
    const bool apart = server.policy() == hinge::accept_policy::dispatch ||
                       server.policy() == hinge::accept_policy::thread_per_connection;
    server.each_loop([number = 0, apart](auto& loop) mutable {
      loop.handler().loop = &loop;
      if (!apart) loop.handler().of_loop = fmt::format(" of loop {}", number++);
    });
  }
  const poller_in_use used = poller_of(server.first_poller(), options.backends);
  tell_other_backends(server, used);
  announce(server, used.name);
  if (const auto started = server.start(); !started) return complain(started.error().text());
  const hinge::nanoseconds wait = drain_wait_of(options);
  retiring leaving;
  signals.watch([&, stopping = false](int number) mutable {
    if (number == SIGUSR1) {
      print_line(statistics_of(server, used, {}));
    } else if (!std::exchange(stopping, true)) {
      leaving.begin(server, wait, [&] { server.drain(wait); });
    } else {
      server.stop();
    }
  });
  const auto ended = server.join();
  const std::optional<hinge::retire_report>& retired = leaving.join();
  if (options.stats_json) print_line(statistics_of(server, used, retired));
  return ended ? served : complain(ended.error().text());
}

template <class Protocol>
exit_code serve_protocol(const serve_options& options) {
  if (options.by_threads) return serve_by_threads<Protocol>(options);
  return options.metrics ? serve<with_metrics<Protocol>>(options) : serve<Protocol>(options);
}

}  // namespace

int main(int argc, char** argv) try {
  hinge::fill_standard_descriptors();
  const auto read = read_options(argc, argv);
  if (const exit_code* const said = std::get_if<exit_code>(&read)) return *said;
  const auto& options = std::get<serve_options>(read);
  switch (options.protocol) {
    case protocol_name::echo:
      return serve_protocol<echo>(options);
    case protocol_name::discard:
      return serve_protocol<discard>(options);
    case protocol_name::http:
      return serve_protocol<web>(options);
  }
  return usage;
} catch (const std::system_error& wrong) {
  return complain(std::string("the thread that hears signals: ") + wrong.what());
}
