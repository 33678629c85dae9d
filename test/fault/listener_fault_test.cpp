// Each system call of opening and adopting fails once, at each place: nothing may be left behind.
#include <hinge/listener.hpp>

#include "support/listening.hpp"
#include "support/temporary_folder.hpp"
#include "sys.hpp"

#include <cerrno>
#include <filesystem>
#include <string_view>
#include <type_traits>

using hinge::address;
using hinge::listener;
using hinge::listener_options;
using hinge::unique_fd;
using namespace hinge::test;
namespace sys = hinge::sys;

namespace {

constexpr int injected = EIO;
int calls_until_failure = -1;  // -1: none fails
const char* failed_call = nullptr;

bool fails_now(const char* call) {
  if (calls_until_failure < 0 || calls_until_failure-- > 0) return false;
  failed_call = call;
  return true;
}

template <class Returned>
Returned refusal_of() {
  if constexpr (std::is_signed_v<Returned>)
    return -injected;
  else
    return {};
}

// A close that fails has closed all the same, as on Linux.
#define FAILING(returned, name, parameters, arguments)                      \
  [] parameters noexcept -> returned {                                      \
    if (!fails_now(#name)) return sys::real.name arguments;                 \
    if (std::string_view(#name) == "close") (void)sys::real.name arguments; \
    return refusal_of<returned>();                                          \
  },
const sys::call_table failing = {HINGE_SYS_CALLS(FAILING)};
#undef FAILING

// For each n: prepares, works with the n-th call failing, checks; until the work runs without a
// failure, which must succeed. Returns how many calls it makes.
template <class Prepare, class Work, class Check>
int fail_each_call(Prepare prepare, Work work, Check check) {
  for (int nth = 0; nth < 200; ++nth) {
    prepare();
    sys::current = failing;
    failed_call = nullptr;
    calls_until_failure = nth;
    const bool worked = work();
    calls_until_failure = -1;
    sys::current = sys::real;
    INFO("call " << nth << ": " << (failed_call != nullptr ? failed_call : "none fails"));
    check();
    if (failed_call != nullptr) continue;
    CHECK(worked);
    return nth;
  }
  FAIL("the work never runs without a failure");
  return 0;
}

bool opens(const address& at, const listener_options& options) {
  const auto made = listener::open(at, options);
  calls_until_failure = -1;  // the destructor's calls are no part of opening
  if (made) return true;
  CHECK(made.error().code() == injected);
  CHECK_FALSE(made.error().argument().empty());
  return false;
}

const auto nothing = [] {};

}  // namespace

TEST_CASE("opening a TCP listener: whatever call fails, no descriptor is left") {
  const auto before = open_descriptors();
  const listener_options options = {.reuse_port = true, .no_delay = true, .keepalive = true};
  const int calls = fail_each_call(
      nothing, [&] { return opens(address::loopback(0), options); },
      [&] { CHECK(open_descriptors() == before); });
  CHECK(calls >= 8);
}

TEST_CASE("opening a Unix listener: whatever call fails, no descriptor and no path is left") {
  const temporary_folder folder;
  const address at = *address::unix_path(folder / "socket");
  const auto before = open_descriptors();
  const listener_options options = {.unix_mode = 0600, .unix_group = ::getegid()};
  const int calls = fail_each_call(
      nothing, [&] { return opens(at, options); },
      [&] {
        CHECK(open_descriptors() == before);
        CHECK(folder.empty());
      });
  CHECK(calls >= 7);
}

TEST_CASE("removing a stale path: whatever call fails, only the stale path may be left") {
  const temporary_folder folder;
  const address at = *address::unix_path(folder / "socket");
  const auto before = open_descriptors();
  const auto leave_stale = [&] {
    std::filesystem::remove(at.unix_name());
    const unique_fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(hinge::sockets::bind(fd.get(), at) == 0);
  };
  const int calls = fail_each_call(
      leave_stale, [&] { return opens(at, {.remove_stale_path = true}); },
      [&] {
        CHECK(open_descriptors() == before);
        CHECK((folder.empty() || try_connect(at) == ECONNREFUSED));
      });
  CHECK(calls >= 11);
}

TEST_CASE("adopting: whatever call fails, the caller keeps a descriptor that listens") {
  const auto before = open_descriptors();
  unique_fd fd;
  address at;
  const auto listen = [&] {
    fd.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(hinge::sockets::bind(fd.get(), address::loopback(0)) == 0);
    REQUIRE(::listen(fd.get(), 8) == 0);
    at = *hinge::sockets::name_of(fd.get());
  };
  const auto adopts = [&] {
    auto made = listener::adopt(fd, {.no_delay = true});
    calls_until_failure = -1;
    if (made) fd.reset(made->release());
    return made.has_value();
  };
  const int calls = fail_each_call(listen, adopts, [&] {
    CHECK(open_descriptors() == before + 1);
    CHECK(try_connect(at) == 0);
  });
  CHECK(calls >= 9);
}
