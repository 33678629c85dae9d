// hinge-serve: echo, discard or a small page of HTTP on the addresses that it is told.
#include <hinge/loop.hpp>
#include <hinge/server.hpp>
#include <hinge/telemetry.hpp>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include "backend_option.hpp"
#include "listening.hpp"
#include "metrics_page.hpp"
#include "output.hpp"
#include "predecessor.hpp"
#include "print_error.hpp"
#include "protocols.hpp"
#include "retiring.hpp"
#include "serve_options.hpp"
#include "serving_poller.hpp"
#include "signal_watch.hpp"
#include "statistics.hpp"
#include "successor.hpp"
#include "supervision.hpp"
#include "watchdog.hpp"

namespace {

using namespace hinge::serve;

exit_code complain(const std::string& reason) {
  hinge::print_error("hinge-serve: {}\n", reason);
  return failed;
}

void tell(const hinge::result<void>& told) {
  if (!told) complain(told.error().text());
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

/// In the words of the command line; empty: it says nothing of that.
std::string told_by_options(const serve_options& options, const hinge::error& reason) {
  if (reason.argument().starts_with("head_room"))
    return fmt::format(
        "--max-connections: not given, and the limit of descriptors leaves none for connections: "
        "{} are kept for other things",
        options.limits.head_room);
  if (reason.argument().find("accept_sharing::") != std::string_view::npos)
    return fmt::format("--policy {}: not by this --backend ({}): {}",
                       hinge::policy_name(options.threads.policy), reason.call(),
                       hinge::errno_name(reason.code()));
  return {};
}

std::string why_not_open(const hinge::backend_choice& choice, const serve_options& options,
                         const hinge::error& reason) {
  std::string told = told_by_options(options, reason);
  return told.empty() ? hinge::why_not_open(choice, reason) : told;
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
poller_in_use poller_of(const serving_poller& opened, const hinge::backend_list& wanted) {
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

/// The page stays to the end, but where somebody else has its sockets.
void leave(std::optional<metrics_page>& page, const beginnings& from, bool held) {
  if (page) page->leave(held_in(page->loop(), from, held));
}

/// Of one loop; who is idle ends at once, since there may be no room for those who wait.
template <class Loop>
reactions reactions_of(Loop& loop, std::optional<metrics_page>& page, const serve_options& options,
                       const beginnings& from, const poller_in_use& used, retiring& leaving) {
  return {.print_statistics =
              [&](const auto& seen) {
                loop.post([&, seen] {
                  print_line(statistics_of(hinge::telemetry(loop), used, {}, seen));
                });
              },
          .retire =
              [&](bool held) {
                leave(page, from, held);
                loop.post([&loop, held = held_in(loop, from, held)] {
                  leave_paths(loop, held);
                  loop.wind_down();
                });
                leaving.begin(loop, drain_wait_of(options), held_in(loop, from, held),
                              [&](hinge::nanoseconds left) {
                                loop.post([&loop, left] { loop.drain(left); });
                              });
              },
          .stop = [&] { leaving.stop([&] { loop.post([&] { loop.stop(); }); }); }};
}

/// Of several.
reactions reactions_of_loops(hinge::server_base& server, std::optional<metrics_page>& page,
                             const serve_options& options, const beginnings& from,
                             const poller_in_use& used, retiring& leaving) {
  return {.print_statistics =
              [&](const auto& seen) { print_line(statistics_of(server, used, {}, seen)); },
          .retire =
              [&](bool held) {
                leave(page, from, held);
                leave_paths(server, held_in(server, from, held));
                server.wind_down();
                leaving.begin(server, drain_wait_of(options), held_in(server, from, held),
                              [&](hinge::nanoseconds left) { server.drain(left); });
              },
          .stop = [&] { leaving.stop([&] { server.stop(); }); }};
}

/// --metrics, where it was asked for. The service has at most so many connections.
hinge::result<void> open_page(std::optional<metrics_page>& page, std::optional<place> at,
                              std::function<std::string()> text, const serve_options& options,
                              std::uint64_t connections) {
  if (!at) return {};
  page.emplace(std::move(*at), std::move(text));
  return page->open(options.backends, connections, options.limits.head_room);
}

/// Its listeners are a successor's, too.
hinge::result<void> listen(std::optional<metrics_page>& page, const beginnings& from,
                           std::vector<hinge::outgoing_listener>& all) {
  if (!page) return {};
  auto listeners = page->listen(from);
  if (!listeners) return hinge::fail(listeners);
  std::ranges::move(*listeners, std::back_inserter(all));
  announce(page->loop(), page->backend());
  return {};
}

hinge::result<void> start(std::optional<metrics_page>& page) {
  return page ? page->start() : hinge::result<void>();
}

template <class Protocol>
exit_code serve(const serve_options& options, beginnings& from) {
  hinge::result<serving_poller> poller = serving_poller::of(options.backends);
  if (!poller) return complain(poller.error().text());
  hinge::loop<serving_poller, Protocol> loop(std::move(*poller), Protocol());
  loop.handler().loop = &loop;
  if (const auto opened = loop.open(options.limits); !opened)
    return complain(why_not_open(loop.poller().choice(), options, opened.error()));
  auto places = from.places(options, false, {});
  if (!places) return complain(places.error().text());
  const poller_in_use used = poller_of(loop.poller(), options.backends);
  loop_text text(loop, used.name);
  std::optional<metrics_page> page;
  if (const auto opened = open_page(
          page, std::move(places->metrics), [&] { return text.get(); }, options,
          loop.options().max_connections);
      !opened)
    return complain(opened.error().text());

  int broken = 0;
  retiring leaving;
  std::optional<upgrade_report> upgrades;
  {
    signal_watch signals;
    if (const auto may = from.take_over(); !may) return complain(may.error().text());
    if (const auto listening = listen(loop, std::move(places->served), options.admission);
        !listening)
      return complain(listening.error().text());
    const owned_paths owned(loop, from);
    std::vector<hinge::outgoing_listener> listeners = outgoing(loop, from);
    announce(loop, used.name);
    if (const auto listening = listen(page, from, listeners); !listening)
      return complain(listening.error().text());
    const supervision supervised(signals, options, from, std::move(listeners),
                                 reactions_of(loop, page, options, from, used, leaving));
    const watchdog alive(from.manager().watchdog(), [&] {
      if (!supervised.is_followed()) loop.post([&] { (void)from.manager().alive(); });
    });
    if (const auto started = start(page); !started) return complain(started.error().text());
    from.begin_to_serve();
    tell(from.manager().ready());
    broken = loop.run();
    text.end();
    if (page) page->end();
    upgrades = supervised.upgrades();
  }
  const std::optional<hinge::retire_report>& retired = leaving.join();
  if (options.stats_json)
    print_line(statistics_of(hinge::telemetry(loop), used, retired, upgrades));
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

/// Where each of them listens, and which one it is.
template <class Protocol>
void tell_handlers(hinge::server<serving_poller, Protocol>& server) {
  const bool apart = server.policy() == hinge::accept_policy::dispatch ||
                     server.policy() == hinge::accept_policy::thread_per_connection;
  server.each_loop([number = 0, apart](auto& loop) mutable {
    loop.handler().loop = &loop;
    if (!apart) loop.handler().of_loop = fmt::format(" of loop {}", number++);
  });
}

/// Several loops: they are threads of a server, and this one waits for them.
template <class Protocol>
exit_code serve_by_threads(const serve_options& options, beginnings& from) {
  if (const auto tried = serving_poller::of(options.backends); !tried)
    return complain(tried.error().text());
  signal_watch signals;
  hinge::server<serving_poller, Protocol> server([](std::uint32_t) { return Protocol(); },
                                                 [&] {
                                                   auto made = serving_poller::of(options.backends);
                                                   return made ? *std::move(made)
                                                               : serving_poller();
                                                 });
  hinge::server_options how = options.threads;
  how.loop = options.limits;
  const auto refused = [&](const hinge::error& reason) {
    const std::string told = told_by_options(options, reason);
    if (!told.empty()) return complain(told);
    return complain(fmt::format("--policy {}: {}", hinge::policy_name(how.policy), reason.text()));
  };
  if (const auto opened = server.open(how); !opened) return refused(opened.error());
  auto places =
      from.places(options, server.opens_groups(),
                  [&](const hinge::address& where, std::size_t sockets, bool reuse_port) {
                    return server.may_listen(where, sockets, reuse_port, options.admission);
                  });
  if (!places)
    return places.error().code() == EOPNOTSUPP ? refused(places.error())
                                               : complain(places.error().text());
  tell_handlers(server);
  const poller_in_use used = poller_of(server.first_poller(), options.backends);
  tell_other_backends(server, used);
  std::optional<metrics_page> page;
  if (const auto opened = open_page(
          page, std::move(places->metrics), [&] { return server_text(server); }, options,
          server.max_connections());
      !opened)
    return complain(opened.error().text());
  if (const auto may = from.take_over(); !may) return complain(may.error().text());
  if (const auto listening = listen(server, std::move(places->served), options.admission);
      !listening)
    return complain(listening.error().text());
  const owned_paths owned(server, from);
  std::vector<hinge::outgoing_listener> listeners = outgoing(server, from);
  announce(server, used.name);
  if (const auto listening = listen(page, from, listeners); !listening)
    return complain(listening.error().text());
  if (const auto started = start(page); !started) return complain(started.error().text());
  if (const auto started = server.start(); !started) return complain(started.error().text());
  retiring leaving;
  std::optional<upgrade_report> upgrades;
  hinge::result<void> ended;
  {
    const supervision supervised(signals, options, from, std::move(listeners),
                                 reactions_of_loops(server, page, options, from, used, leaving));
    const watchdog alive(from.manager().watchdog(), [&] {
      // All loops turn.
      if (!supervised.is_followed() && server.statistics(loop_patience).late == 0)
        (void)from.manager().alive();
    });
    from.begin_to_serve();
    tell(from.manager().ready());
    ended = server.join();
    if (page) page->end();
    upgrades = supervised.upgrades();
  }
  const std::optional<hinge::retire_report>& retired = leaving.join();
  if (options.stats_json) print_line(statistics_of(server, used, retired, upgrades));
  return ended ? served : complain(ended.error().text());
}

template <class Protocol>
exit_code serve_protocol(const serve_options& options, beginnings& from) {
  if (options.by_threads) return serve_by_threads<Protocol>(options, from);
  return serve<Protocol>(options, from);
}

}  // namespace

int main(int argc, char** argv) try {
  hinge::fill_standard_descriptors();
  const auto read = read_options(argc, argv);
  if (const exit_code* const said = std::get_if<exit_code>(&read)) return *said;
  serve_options options = std::get<serve_options>(read);
  hinge::result<beginnings> from = beginnings::take();
  if (!from) return complain(from.error().text());
  if (options.listen.empty()) options.listen = from->addresses();
  if (options.listen.empty()) {
    complain("--listen: where is missing");
    return usage;
  }
  switch (options.protocol) {
    case protocol_name::echo:
      return serve_protocol<echo>(options, *from);
    case protocol_name::discard:
      return serve_protocol<discard>(options, *from);
    case protocol_name::http:
      return serve_protocol<web>(options, *from);
  }
  return usage;
} catch (const std::system_error& wrong) {
  return complain(
      hinge::error("pthread_create", "of the thread that hears signals", wrong.code().value())
          .text());
}
