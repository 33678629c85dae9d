// hinge-bench: loads a server with connections and says what came back. The server is another
// program's, or hinge's own in a thread of this process.
//
// Exit codes: 0 measured; 1 what was wanted is missed: a threshold, a restart without loss, an
// answer at all, a written report; 2 bad arguments; 3 this machine's limits don't permit the load;
// 4 the figures aren't valid; 130 interrupted, with what there was.
#include <signal.h>

#include <atomic>
#include <exception>
#include <utility>
#include <variant>

#include "bench_options.hpp"
#include "exit_code.hpp"
#include "print_error.hpp"
#include "server_process.hpp"
#include "stored_result.hpp"
#include "units.hpp"

namespace {

using namespace hinge::bench;

std::atomic<bool> stop = false;
static_assert(std::atomic<bool>::is_always_lock_free, "set in a signal handler");

void on_interrupt(int) { stop = true; }

void stop_on_signals() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

int bad_arguments(const std::exception& wrong) {
  hinge::print_error("hinge-bench: {}\n", wrong.what());
  return usage;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (const auto ended = serve_as_contender(argc, argv)) return *ended;
    command_arguments given;
    if (const auto ended = parse_options(argc, argv, given)) return *ended;
    stop_on_signals();
    return std::visit([](auto& asked) { return run_command(std::move(asked), stop); }, given);
  } catch (const hinge::units::unit_error& wrong) {
    return bad_arguments(wrong);
  } catch (const stored_error& wrong) {
    return bad_arguments(wrong);
  } catch (const std::exception& wrong) {
    hinge::print_error("hinge-bench: {}\n", wrong.what());
    return unfit;
  }
}
