// A further backend is one more line in backends(). Each loop is compiled here, once.
#include "conformance/backends.hpp"

#include <hinge/backend.hpp>
#ifdef HINGE_HAVE_EPOLL
#include <hinge/epoll.hpp>
#endif
#include <hinge/kqueue.hpp>
#ifdef HINGE_HAVE_URING
#include <hinge/uring.hpp>

#include "conformance/uring_world.hpp"
#endif
#include "conformance/kqueue_world.hpp"
#include "simulator/sim_poller.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <stdexcept>

namespace hinge::test {

namespace {

#ifdef HINGE_HAVE_URING
/// The io_uring backend with options of its own.
struct uring_polls_first : uring_poller {
  uring_polls_first() noexcept : uring_poller({.receive = uring_receive::poll_first}) {}
};
struct uring_accepts_one : uring_poller {
  result<void> open(poller_options options) noexcept {
    options.accepting = accept_sharing::first_come;
    return uring_poller::open(options);
  }
};
#endif

/// Where the system refuses io_uring, and hinge falls back by itself.
struct refusing_world : real_world {
  static result<void> usable() {
    if (backend_report().fell_back()) return {};
    return fail("backend", "automatic: nothing is refused", EINVAL);
  }
};

std::vector<tested_backend> family(bool completes) {
  std::vector<tested_backend> all = backends();
  std::erase_if(all, [=](const tested_backend& one) { return one.completes != completes; });
  return all;
}

class case_on final : public Catch::ITestInvoker {
public:
  case_on(const tested_backend& backend, void (*run)(const tested_backend&))
      : backend_(backend), run_(run) {}
  void invoke() const override {
    if (const result<void> usable = backend_.usable(); !usable) SKIP(usable.error().text());
    run_(backend_);
  }

private:
  tested_backend backend_;
  void (*run_)(const tested_backend&);
};

}  // namespace

std::vector<tested_backend> backends() {
  // Of fallback.py.
  if (std::getenv("HINGE_TEST_AUTOMATIC") != nullptr)
    return {automatic<refusing_world>("automatic")};
  return {
#ifdef HINGE_HAVE_EPOLL
      plain<epoll_poller, real_world>("epoll"),
      chosen<epoll_poller, real_world>("any epoll"),
#endif
      plain<kqueue_poller, kqueue_world>("kqueue"),
      chosen<kqueue_poller, lean_kqueue_world>("any kqueue"),
      plain<kqueue_poller, libkqueue_world>("libkqueue"),
      chosen<kqueue_poller, libkqueue_world>("any libkqueue"),
      plain<sim::readiness_poller, simulated_world>("simulated readiness"),
      plain<sim::completion_poller, simulated_world>("simulated completion"),
      chosen<sim::readiness_poller, simulated_world>("any simulated readiness"),
      chosen<sim::completion_poller, simulated_world>("any simulated completion"),
#ifdef HINGE_HAVE_URING
      plain<uring_poller, uring_world>("uring", receives::go_on_unless_once),
      plain<uring_polls_first, uring_world>("uring polls first", receives::never_go_on),
      plain<uring_accepts_one, uring_world>("uring accepts one", receives::go_on_unless_once),
      chosen<uring_poller, uring_world>("any uring", receives::go_on_unless_once),
#endif
  };
}

std::vector<tested_backend> chosen_backends() {
  std::vector<tested_backend> all = backends();
  std::erase_if(all, [](const tested_backend& one) {
    constexpr std::array names = {"epoll", "kqueue", "uring", "automatic"};
    return std::find(names.begin(), names.end(), one.name) == names.end();
  });
  return all;
}
std::vector<tested_backend> readiness_backends() { return family(false); }
std::vector<tested_backend> completion_backends() { return family(true); }

tested_backend find_backend(std::string_view name) {
  const std::vector<tested_backend> all = backends();
  const auto found = std::find_if(all.begin(), all.end(),
                                  [=](const tested_backend& one) { return one.name == name; });
  if (found == all.end()) throw std::out_of_range("no backend is called " + std::string(name));
  return *found;
}

bool list_case(const std::string& name, const std::vector<tested_backend>& on,
               void (*run)(const tested_backend&), const Catch::SourceLineInfo& where) {
  for (const tested_backend& one : on) {
    const std::string backend(one.name);
    Catch::AutoReg(Catch::Detail::make_unique<case_on>(one, run), where, "",
                   {name + " - " + backend, "[" + backend + "]"});
  }
  return true;
}

}  // namespace hinge::test
