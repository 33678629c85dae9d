#include <hinge/inherited_listeners.hpp>

#include "support/listening.hpp"
#include "support/temporary_folder.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

using hinge::address;
using hinge::inherited_listeners;
using hinge::listener;
using hinge::listener_variables;
using hinge::unique_fd;
using namespace hinge::test;
namespace sockets = hinge::sockets;

namespace {

/// Duplicates of descriptors at 3 and on, as a supervisor leaves them; what was there comes back.
class placed_descriptors {
public:
  explicit placed_descriptors(const std::vector<int>& fds) {
    constexpr int apart = 200;
    std::vector<int> high;
    for (const int fd : fds) high.push_back(::fcntl(fd, F_DUPFD_CLOEXEC, apart));
    for (std::size_t i = 0; i < fds.size(); ++i) {
      const int number = 3 + static_cast<int>(i);
      saved_.push_back(::fcntl(number, F_DUPFD_CLOEXEC, apart));
      flags_.push_back(::fcntl(number, F_GETFD));
      if (high[i] < 0) {
        ::close(number);
        continue;
      }
      REQUIRE(::dup2(high[i], number) == number);
      ::close(high[i]);
    }
  }
  placed_descriptors(const placed_descriptors&) = delete;
  placed_descriptors& operator=(const placed_descriptors&) = delete;
  ~placed_descriptors() {
    for (std::size_t i = 0; i < saved_.size(); ++i) {
      const int number = 3 + static_cast<int>(i);
      ::close(number);
      if (saved_[i] < 0) continue;
      ::dup2(saved_[i], number);
      ::fcntl(number, F_SETFD, flags_[i]);
      ::close(saved_[i]);
    }
  }

private:
  std::vector<int> saved_;
  std::vector<int> flags_;
};

std::string my_pid() { return std::to_string(::getpid()); }

std::string inheriting_refused(const listener_variables& said) {
  const auto got = inherited_listeners(said);
  REQUIRE_FALSE(got);
  return got.error().text();
}

bool says(const std::string& text, const std::string& part) {
  INFO(text);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("what systemd passes is taken over: listeners, datagrams, names") {
  const leak_check leaks;
  const temporary_folder folder;
  const listener web = opened(address::loopback(0));
  const listener door = opened(*address::unix_path(folder / "door"));
  const unique_fd datagrams(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  REQUIRE(sockets::bind(datagrams.get(), address::loopback(0)) == 0);
  const placed_descriptors placed({web.fd(), datagrams.get(), door.fd()});
  const auto got = inherited_listeners(
      {.listen_pid = my_pid(), .listen_fds = "3", .listen_fdnames = "web:names:the door"});
  INFO(got.error().text());
  REQUIRE(got);
  REQUIRE(got->size() == 3);
  CHECK((*got)[0].name == "web");
  CHECK((*got)[0].local == web.local());
  CHECK_FALSE((*got)[0].datagram);
  CHECK((*got)[1].name == "names");
  CHECK((*got)[1].datagram);
  CHECK((*got)[2].name == "the door");
  CHECK((*got)[2].local == door.local());
  for (const auto& one : *got) {
    CHECK((::fcntl(one.socket.get(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(one.held_elsewhere);
  }
}

TEST_CASE("without names all are called unknown; another process's variables mean nothing") {
  const listener web = opened(address::loopback(0));
  {
    const placed_descriptors placed({web.fd()});
    const auto got = inherited_listeners({.listen_pid = my_pid(), .listen_fds = "1"});
    REQUIRE(got);
    REQUIRE(got->size() == 1);
    CHECK((*got)[0].name == "unknown");
  }
  for (const listener_variables& said :
       {listener_variables{}, listener_variables{.listen_fds = "7"},
        listener_variables{.listen_pid = my_pid()},
        listener_variables{.listen_pid = std::to_string(::getppid()), .listen_fds = "nonsense"}}) {
    const auto none = inherited_listeners(said);
    REQUIRE(none);
    CHECK(none->empty());
  }
}

TEST_CASE("what systemd's variables can't say is refused by name") {
  const auto refused = [](const char* fds, std::optional<std::string> names = {}) {
    return inheriting_refused(
        {.listen_pid = my_pid(), .listen_fds = fds, .listen_fdnames = std::move(names)});
  };
  for (const char* pid : {"", "x", "0", "-1", " 1", "99999999999"})
    CHECK(says(inheriting_refused({.listen_pid = pid, .listen_fds = "1"}), "LISTEN_PID="));
  for (const char* fds : {"", "x", "-1", "+1", "1 ", "99999999999"})
    CHECK(says(refused(fds), std::string("LISTEN_FDS=") + fds));
  CHECK(says(refused("1000000000"), "over the limit of descriptors"));
  CHECK(says(refused("2", "a"), "1 names of 2 descriptors"));
  CHECK(says(refused("1", "a:b"), "2 names of 1 descriptors"));
  CHECK(says(refused("2", "a:b\n"), "descriptor 4 has a name that can't be one"));
  CHECK(says(refused("1", std::string(256, 'a')), "descriptor 3 has a name"));
}

TEST_CASE("what is passed has to be a socket that listens; else all of it is closed") {
  const listener web = opened(address::loopback(0));
  const unique_fd client = connected(web.local());
  const unique_fd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const unique_fd unbound(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto refused = [&](int second) {
    const placed_descriptors placed({web.fd(), second});
    const std::string text = inheriting_refused(
        {.listen_pid = my_pid(), .listen_fds = "2", .listen_fdnames = "good:bad"});
    CHECK(::fcntl(3, F_GETFD) == -1);
    CHECK(::fcntl(4, F_GETFD) == -1);
    return text;
  };
  CHECK(says(refused(client.get()), "bad: descriptor 4 does not listen"));
  CHECK(says(refused(file.get()), "ENOTSOCK"));
  CHECK(says(refused(unbound.get()), "descriptor 4, of datagrams, is not bound"));
  CHECK(says(refused(-1), "bad: descriptor 4: EBADF"));
}

TEST_CASE("a variable of hinge's own passes listeners on") {
  const leak_check leaks;
  const listener web = opened(address::loopback(0));
  const listener admin = opened(address::loopback(0));
  const int first = ::dup(web.fd());
  const int second = ::dup(admin.fd());
  ::fcntl(first, F_SETFD, FD_CLOEXEC);
  const std::array<hinge::bequest, 2> all = {{{first, "web"}, {second, "a=b"}}};
  const auto value = hinge::bequeath_listeners(all);
  REQUIRE(value);
  CHECK(*value == std::to_string(first) + "=web;" + std::to_string(second) + "=a=b");
  CHECK(::fcntl(first, F_GETFD) == 0);
  const auto got = inherited_listeners({.listeners = *value});
  REQUIRE(got);
  REQUIRE(got->size() == 2);
  CHECK((*got)[0].name == "web");
  CHECK((*got)[1].name == "a=b");
  CHECK((*got)[1].local == admin.local());
  CHECK((*got)[1].held_elsewhere);
  CHECK(::fcntl(first, F_GETFD) == FD_CLOEXEC);

  const hinge::bequest only{::dup(web.fd()), "web"};
  const auto in_place = hinge::bequeath_listeners({&only, 1}, true);
  REQUIRE(in_place);
  CHECK(*in_place == "alone;" + std::to_string(only.fd) + "=web");
  const auto alone = inherited_listeners({.listeners = *in_place});
  REQUIRE(alone);
  REQUIRE(alone->size() == 1);
  CHECK_FALSE((*alone)[0].held_elsewhere);

  const hinge::bequest semicolon{web.fd(), "a;b"};
  CHECK_FALSE(hinge::bequeath_listeners({&semicolon, 1}));
  for (const char* nothing : {"", "alone", "alone;"}) {
    const auto none = inherited_listeners({.listeners = nothing});
    REQUIRE(none);
    CHECK(none->empty());
  }
}

TEST_CASE("what hinge's variable can't say is refused") {
  const auto refused = [](const std::string& text) {
    return inheriting_refused({.listeners = text});
  };
  CHECK(says(refused("web"), "HINGE_LISTENERS: 'web' is no descriptor"));
  CHECK(says(refused("=web"), "HINGE_LISTENERS: '' is no descriptor"));
  CHECK(says(refused("1000000000=web"), "is no descriptor"));
  CHECK(says(refused("2=web"), "2 is a standard descriptor"));
  CHECK(says(refused("190=a;190=b"), "190 is there twice"));
  CHECK(says(refused("190=a:b"), "190 has a name that can't be one"));
  CHECK(says(refused("190=web"), "web: descriptor 190: EBADF"));
}

TEST_CASE("the variables are taken out of the environment") {
  ::setenv("LISTEN_PID", "1", 1);
  ::setenv("LISTEN_FDS", "2", 1);
  ::setenv("LISTEN_FDNAMES", "a:b", 1);
  ::setenv("HINGE_LISTENERS", "3=a", 1);
  const listener_variables said = listener_variables::take();
  CHECK(said.listen_pid == "1");
  CHECK(said.listen_fds == "2");
  CHECK(said.listen_fdnames == "a:b");
  CHECK(said.listeners == "3=a");
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "HINGE_LISTENERS"})
    CHECK(::getenv(name) == nullptr);
  CHECK_FALSE(listener_variables::take().listeners);
}
