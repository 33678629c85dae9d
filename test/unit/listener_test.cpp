#include <hinge/listener.hpp>

#include "support/listening.hpp"
#include "support/masked.hpp"
#include "support/privileges.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using hinge::address;
using hinge::listener;
using hinge::listener_options;
using hinge::unique_fd;
using namespace hinge::test;
namespace sockets = hinge::sockets;

static_assert(!std::is_copy_constructible_v<listener>);
static_assert(std::is_nothrow_move_constructible_v<listener>);
static_assert(std::is_nothrow_move_assignable_v<listener>);

namespace {

const address here = address::loopback(0);
const address abstract =
    address::unix_abstract("hinge-listener-test-" + std::to_string(getpid())).value_or(address());
const std::vector<address> places = masked ? std::vector{here} : std::vector{here, abstract};

void need_ipv6() {
  if (!listener::open(address::loopback6(0))) SKIP("no IPv6 here");
}

bool change_setting(const char* path, int value) {
  std::ofstream(path) << value << std::flush;
  return setting(path) == value;
}

// What a listener's socket option is where a setting of the system differs: in a child, since
// settings belong to a network namespace.
int option_under(const char* path, int value, const address& at, const listener_options& options,
                 int level, int name) {
  enum outcome { fine, no_namespace, no_setting, not_opened };
  struct report {
    outcome what;
    int value;
  };
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  const unique_fd reading(ends[0]);
  unique_fd writing(ends[1]);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    report told{fine, -1};
    if (::unshare(CLONE_NEWNET) != 0) {
      told.what = no_namespace;
    } else if (!change_setting(path, value)) {
      told.what = no_setting;
    } else if (const auto made = listener::open(at, options); !made) {
      told.what = not_opened;
    } else {
      socklen_t length = sizeof told.value;
      ::getsockopt(made->fd(), level, name, &told.value, &length);
    }
    ::_exit(::write(writing.get(), &told, sizeof told) == sizeof told ? 0 : 1);
  }
  writing.reset();
  report told{};
  const auto length = ::read(reading.get(), &told, sizeof told);
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  REQUIRE(length == sizeof told);
  if (told.what == no_namespace) SKIP("needs the right to make a network namespace");
  if (told.what == no_setting) SKIP("can't change " << path);
  REQUIRE(told.what == fine);
  return told.value;
}

int somaxconn() { return setting("/proc/sys/net/core/somaxconn"); }

}  // namespace

TEST_CASE("a listener accepts what connects") {
  const leak_check leaks;
  for (const address& at : places) {
    const listener made = opened(at);
    CHECK(made);
    CHECK(made.tcp() == at.is_inet());
    const unique_fd client = connected(made.local());
    const unique_fd served = accepted(made);
    CHECK(*sockets::peer_of(client.get()) == made.local());
  }
}

TEST_CASE("port 0 is resolved") {
  const listener made = opened(here);
  CHECK(made.local().port() != 0);
  CHECK(made.local() == *sockets::name_of(made.fd()));
  CHECK(made.local().text() == "127.0.0.1:" + std::to_string(made.local().port()));
  if (!masked) CHECK(opened(abstract).local() == abstract);
}

TEST_CASE("the descriptor doesn't block and is closed on exec") {
  for (const address& at : places) {
    const listener made = opened(at);
    CHECK((::fcntl(made.fd(), F_GETFL) & O_NONBLOCK) != 0);
    CHECK((::fcntl(made.fd(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(::accept(made.fd(), nullptr, nullptr) == -1);
    CHECK(errno == EAGAIN);
  }
}

TEST_CASE("asked and effective backlog are told") {
  CHECK(opened(here).asked_backlog() == 4096);
  for (const address& at : places) {
    for (const int asked : {1, 7, 1'000'000}) {
      const listener made = opened(at, {.backlog = asked});
      CHECK(made.asked_backlog() == asked);
      // Of a Unix socket Linux doesn't tell it: it is the least of two numbers that are known.
      const bool told = tells_queue && (at.is_inet() || !masked);
      CHECK(made.effective_backlog() == (told ? std::min(asked, somaxconn()) : -1));
    }
  }
}

TEST_CASE("an empty listener holds nothing") {
  listener empty;
  CHECK_FALSE(empty);
  CHECK(empty.fd() == -1);
  CHECK(empty.asked_backlog() == -1);
  CHECK(empty.effective_backlog() == -1);
  empty.close();
  CHECK(empty.release() == -1);
}

TEST_CASE("close, release and move") {
  const leak_check leaks;
  listener first = opened(here);
  const address at = first.local();
  const int fd = first.fd();
  listener second = std::move(first);
  CHECK(first.fd() == -1);  // NOLINT: moved from means empty
  CHECK(second.fd() == fd);
  CHECK(second.local() == at);
  CHECK(second.asked_backlog() == 4096);

  listener third = opened(here);
  const int other = third.fd();
  third = std::move(second);
  CHECK(third.fd() == fd);
  CHECK_FALSE(is_open(other));

  const unique_fd released(third.release());
  CHECK(released.get() == fd);
  CHECK_FALSE(third);
  CHECK(try_connect(at) == 0);

  listener fourth = opened(here);
  const address gone = fourth.local();
  fourth.close();
  CHECK_FALSE(fourth);
  CHECK(try_connect(gone) == ECONNREFUSED);
}

TEST_CASE("what can't be opened names the call and the address") {
  const leak_check leaks;
  const listener first = opened(here);
  CHECK(refusal(first.local()) ==
        "bind " + first.local().text() + ": EADDRINUSE: Address already in use");
  if (!masked) {
    const listener holder = opened(abstract);
    CHECK(refusal(abstract) == "bind " + abstract.text() + ": EADDRINUSE: Address already in use");
  }
  CHECK(refusal(*address::parse("192.0.2.1:0")) ==
        "bind 192.0.2.1:0: EADDRNOTAVAIL: Cannot assign requested address");
  CHECK(refusal(address()) == "listener::open none: EINVAL: Invalid argument");
  CHECK(refusal(address::from({.family = hinge::family::unix_path})) ==
        "listener::open unix:: EINVAL: Invalid argument");
}

TEST_CASE("a privileged port is refused with EACCES") {
  if (setting("/proc/sys/net/ipv4/ip_unprivileged_port_start") <= 80) SKIP("port 80 is for all");
  const unprivileged now;
  CHECK(refusal(address::loopback(80)) == "bind 127.0.0.1:80: EACCES: Permission denied");
}

TEST_CASE("any6 takes IPv4 too, unless v6_only") {
  need_ipv6();
  const listener both = opened(address::any6(0));
  CHECK(option(both.fd(), IPPROTO_IPV6, IPV6_V6ONLY) == 0);
  const unique_fd client = connected(address::loopback(both.local().port()));
  CHECK(sockets::peer_of(accepted(both).get())->text().starts_with("[::ffff:127.0.0.1]:"));

  const listener one = opened(address::any6(0), {.v6_only = true});
  CHECK(option(one.fd(), IPPROTO_IPV6, IPV6_V6ONLY) == 1);
  CHECK(try_connect(address::loopback(one.local().port())) == ECONNREFUSED);
  CHECK(try_connect(address::loopback6(one.local().port())) == 0);
}

TEST_CASE("reuse_address binds beside old connections of the port") {
  address at;
  {
    const listener first = opened(here);
    at = first.local();
    const unique_fd client = connected(at);
    unique_fd served = accepted(first);
    served.reset();  // the first to close keeps TIME_WAIT, on the listener's port
  }
  CHECK(refusal(at, {.reuse_address = false}) ==
        "bind " + at.text() + ": EADDRINUSE: Address already in use");
  CHECK(opened(at).local() == at);
}

TEST_CASE("reuse_port shares a port among those who ask") {
  const listener first = opened(here, {.reuse_port = true});
  const listener second = opened(first.local(), {.reuse_port = true});
  CHECK(first.local() == second.local());
  CHECK(refusal(first.local()).starts_with("bind "));
}

TEST_CASE("free_bind takes an address that nobody has yet") {
  need_linux();
  CHECK(opened(*address::parse("192.0.2.1:0"), {.free_bind = true})
            .local()
            .text()
            .starts_with("192.0.2.1:"));
  need_ipv6();
  CHECK(opened(*address::parse("[2001:db8::1]:0"), {.free_bind = true})
            .local()
            .text()
            .starts_with("[2001:db8::1]:"));
}

TEST_CASE("accepted connections have the listener's options") {
  const listener_options wanted = {
      .no_delay = true,
      .keepalive = true,
      .keepalive_idle_s = 11,
      .keepalive_interval_s = masked ? 0 : 12,
      .keepalive_count = masked ? 0 : 13,
      .user_timeout_ms = masked ? 0 : 14'000,
      .send_buffer_bytes = 20'000,
      .receive_buffer_bytes = 30'000,
  };
  const listener made = opened(here, wanted);
  const unique_fd client = connected(made.local());
  const unique_fd served = accepted(made);
  for (const int fd : {made.fd(), served.get()}) {
    CHECK(option(fd, IPPROTO_TCP, TCP_NODELAY) == 1);
    CHECK(option(fd, SOL_SOCKET, SO_KEEPALIVE) == 1);
    CHECK(option(fd, IPPROTO_TCP, TCP_KEEPIDLE) == 11);
    if (!masked) {
      CHECK(option(fd, IPPROTO_TCP, TCP_KEEPINTVL) == 12);
      CHECK(option(fd, IPPROTO_TCP, TCP_KEEPCNT) == 13);
      CHECK(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT) == 14'000);
    }
    CHECK(option(fd, SOL_SOCKET, SO_SNDBUF) == 40'000);  // the kernel doubles it
    CHECK(option(fd, SOL_SOCKET, SO_RCVBUF) == 60'000);
  }
}

TEST_CASE("without options the system's defaults stay") {
  const listener made = opened(here);
  const unique_fd plain(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CHECK(option(made.fd(), SOL_SOCKET, SO_REUSEADDR) == 1);
  using level_and_name = std::pair<int, int>;
  for (const auto& [level, name] :
       {level_and_name{SOL_SOCKET, SO_REUSEPORT}, level_and_name{SOL_SOCKET, SO_KEEPALIVE},
        level_and_name{SOL_SOCKET, SO_SNDBUF}, level_and_name{SOL_SOCKET, SO_RCVBUF},
        level_and_name{SOL_SOCKET, SO_INCOMING_CPU}, level_and_name{SOL_SOCKET, SO_MARK},
        level_and_name{IPPROTO_TCP, TCP_NODELAY}, level_and_name{IPPROTO_TCP, TCP_KEEPIDLE},
        level_and_name{IPPROTO_TCP, TCP_KEEPINTVL}, level_and_name{IPPROTO_TCP, TCP_KEEPCNT},
        level_and_name{IPPROTO_TCP, TCP_USER_TIMEOUT}, level_and_name{IPPROTO_TCP, TCP_FASTOPEN},
        level_and_name{IPPROTO_TCP, TCP_DEFER_ACCEPT}, level_and_name{IPPROTO_IP, IP_FREEBIND}}) {
    INFO("level " << level << " option " << name);
    CHECK(option(made.fd(), level, name) == option(plain.get(), level, name));
  }
}

TEST_CASE("defer_accept_s waits for the first bytes") {
  need_linux();
  const listener made = opened(here, {.defer_accept_s = 7});
  CHECK(option(made.fd(), IPPROTO_TCP, TCP_DEFER_ACCEPT) == 7);
  const unique_fd client = connected(made.local());
  CHECK(::accept(made.fd(), nullptr, nullptr) == -1);
  CHECK(errno == EAGAIN);
  REQUIRE(sockets::send(client.get(), std::as_bytes(std::span("x", 1))) == 1);
  CHECK(accepted(made));
}

TEST_CASE("incoming_cpu is set, CPU 0 too") {
  need_linux();
  CHECK(option(opened(here, {.incoming_cpu = 0}).fd(), SOL_SOCKET, SO_INCOMING_CPU) == 0);
}

TEST_CASE("bind_to_device takes connections from that interface alone") {
  need_linux();
  const listener made = opened(address::any(0), {.bind_to_device = "lo"});
  std::array<char, 32> name{};
  socklen_t length = name.size();
  REQUIRE(::getsockopt(made.fd(), SOL_SOCKET, SO_BINDTODEVICE, name.data(), &length) == 0);
  CHECK(std::string(name.data()) == "lo");
  CHECK(try_connect(address::loopback(made.local().port())) == 0);
  CHECK(refusal(here, {.bind_to_device = "no-such-if"}) ==
        "setsockopt SO_BINDTODEVICE=no-such-if on 127.0.0.1:0: ENODEV: No such device");
  CHECK(refusal(here, {.bind_to_device = "name-over-limit!"}) ==
        "listener_options bind_to_device=name-over-limit! on 127.0.0.1:0: "
        "EINVAL: Invalid argument");
}

TEST_CASE("mark is set with the privilege, and refused aloud without") {
  need_linux();
  {
    const unprivileged now;
    const leak_check leaks;
    CHECK(refusal(here, {.mark = 5}) ==
          "setsockopt SO_MARK=5 on 127.0.0.1:0: EPERM: Operation not permitted");
  }
  const auto marked = listener::open(here, {.mark = 0xfedcba98});
  if (!marked && marked.error().code() == EPERM) SKIP("SO_MARK needs CAP_NET_ADMIN");
  REQUIRE(marked);
  CHECK(static_cast<std::uint32_t>(option(marked->fd(), SOL_SOCKET, SO_MARK)) == 0xfedcba98);
}

TEST_CASE("fast_open_queue is refused while the system would ignore it") {
  need_linux();
  if (setting("/proc/sys/net/ipv4/tcp_fastopen") & 2) SKIP("fast open is on here");
  CHECK(refusal(here, {.fast_open_queue = 16}) ==
        "listener_options fast_open_queue=16 on 127.0.0.1:0: "
        "net.ipv4.tcp_fastopen lacks bit 2: EOPNOTSUPP: Operation not supported");
}

TEST_CASE("fast_open_queue is set where the system has it") {
  need_linux();
  CHECK(option_under("/proc/sys/net/ipv4/tcp_fastopen", 3, address::any(0), {.fast_open_queue = 16},
                     IPPROTO_TCP, TCP_FASTOPEN) == 16);
}

TEST_CASE("v6_only is off where the system's default is on") {
  need_ipv6();
  CHECK(option_under("/proc/sys/net/ipv6/bindv6only", 1, address::any6(0), {}, IPPROTO_IPV6,
                     IPV6_V6ONLY) == 0);
}

TEST_CASE("what the kind of socket hasn't is refused by name") {
  need_linux();
  const leak_check leaks;
  const auto refused_on_unix = [](const char* option, const listener_options& options) {
    CHECK(refusal(abstract, options) == "listener_options " + std::string(option) + " on " +
                                            abstract.text() +
                                            ": EOPNOTSUPP: Operation not supported");
  };
  refused_on_unix("reuse_port=1", {.reuse_port = true});
  refused_on_unix("v6_only=1", {.v6_only = true});
  refused_on_unix("defer_accept_s=1", {.defer_accept_s = 1});
  refused_on_unix("fast_open_queue=1", {.fast_open_queue = 1});
  refused_on_unix("no_delay=1", {.no_delay = true});
  refused_on_unix("keepalive=1", {.keepalive = true});
  refused_on_unix("keepalive_idle_s=1", {.keepalive_idle_s = 1});
  refused_on_unix("keepalive_interval_s=1", {.keepalive_interval_s = 1});
  refused_on_unix("keepalive_count=1", {.keepalive_count = 1});
  refused_on_unix("user_timeout_ms=1", {.user_timeout_ms = 1});
  refused_on_unix("send_buffer_bytes=1", {.send_buffer_bytes = 1});
  refused_on_unix("receive_buffer_bytes=1", {.receive_buffer_bytes = 1});
  refused_on_unix("incoming_cpu=0", {.incoming_cpu = 0});
  refused_on_unix("free_bind=1", {.free_bind = true});
  refused_on_unix("mark=1", {.mark = 1});
  refused_on_unix("bind_to_device=lo", {.bind_to_device = "lo"});
  refused_on_unix("unix_mode", {.unix_mode = 0600});  // an abstract name has no file

  const auto refused_on_tcp = [](const char* option, const listener_options& options) {
    CHECK(refusal(here, options) == "listener_options " + std::string(option) +
                                        " on 127.0.0.1:0: EOPNOTSUPP: Operation not supported");
  };
  refused_on_tcp("v6_only=1", {.v6_only = true});
  refused_on_tcp("unix_mode", {.unix_mode = 0600});
  refused_on_tcp("unix_owner", {.unix_owner = 0});
  refused_on_tcp("unix_group", {.unix_group = 0});
  refused_on_tcp("remove_stale_path", {.remove_stale_path = true});
}

TEST_CASE("a value that can't be is refused by name") {
  const leak_check leaks;
  CHECK(refusal(here, {.backlog = -1}) ==
        "listener_options backlog=-1 on 127.0.0.1:0: EINVAL: Invalid argument");
  if (!masked)
    CHECK(refusal(here, {.defer_accept_s = -1}) ==
          "listener_options defer_accept_s=-1 on 127.0.0.1:0: EINVAL: Invalid argument");
  CHECK(refusal(here, {.send_buffer_bytes = -1}) ==
        "listener_options send_buffer_bytes=-1 on 127.0.0.1:0: EINVAL: Invalid argument");
  if (!masked)
    CHECK(refusal(here, {.incoming_cpu = -2}) ==
          "listener_options incoming_cpu=-2 on 127.0.0.1:0: EINVAL: Invalid argument");
  CHECK(refusal(here, {.keepalive_idle_s = 1'000'000}) ==
        "setsockopt TCP_KEEPIDLE=1000000 on 127.0.0.1:0: EINVAL: Invalid argument");
}

TEST_CASE("what the system hasn't is refused by name") {
  if (!masked) SKIP("this system has all of it");
  const leak_check leaks;
  const auto refused = [](const char* option, const listener_options& options) {
    CHECK(refusal(here, options) == "listener_options " + std::string(option) +
                                        " on 127.0.0.1:0: EOPNOTSUPP: Operation not supported");
  };
  refused("defer_accept_s=1", {.defer_accept_s = 1});
  refused("fast_open_queue=1", {.fast_open_queue = 1});
  refused("keepalive_interval_s=1", {.keepalive_interval_s = 1});
  refused("keepalive_count=1", {.keepalive_count = 1});
  refused("user_timeout_ms=1", {.user_timeout_ms = 1});
  refused("incoming_cpu=0", {.incoming_cpu = 0});
  refused("free_bind=1", {.free_bind = true});
  refused("mark=1", {.mark = 1});
  refused("bind_to_device=lo", {.bind_to_device = "lo"});
}
