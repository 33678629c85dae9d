// Looking at a listener from outside.
#pragma once

#include <hinge/fd.hpp>
#include <hinge/listener.hpp>
#include <hinge/socket.hpp>

#include "support/descriptors.hpp"

#include <catch2/catch_test_macros.hpp>

#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <fstream>
#include <string>

namespace hinge::test {

/// Checks at its end that as many descriptors are open as at its start.
struct leak_check {
  leak_check() : before(open_descriptors()) {}
  leak_check(const leak_check&) = delete;
  leak_check& operator=(const leak_check&) = delete;
  ~leak_check() { CHECK(open_descriptors() == before); }

  std::size_t before;
};

inline listener opened(const address& at, const listener_options& options = {}) {
  auto made = listener::open(at, options);
  INFO(made.error().text());
  REQUIRE(made);
  return *std::move(made);
}

inline std::string refusal(const address& at, const listener_options& options = {}) {
  const auto made = listener::open(at, options);
  REQUIRE_FALSE(made);
  return made.error().text();
}

inline int option(int fd, int level, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  REQUIRE(::getsockopt(fd, level, name, &value, &length) == 0);
  return value;
}

inline int domain_of(const address& at) {
  if (at.is_unix()) return AF_UNIX;
  return at.family() == family::ipv4 ? AF_INET : AF_INET6;
}

/// 0, or the errno of connect(2).
inline int try_connect(const address& at) {
  const unique_fd fd(::socket(domain_of(at), SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(fd);
  return -sockets::connect(fd.get(), at);
}

inline unique_fd connected(const address& at) {
  unique_fd fd(::socket(domain_of(at), SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(fd);
  REQUIRE(sockets::connect(fd.get(), at) == 0);
  return fd;
}

inline unique_fd accepted(const listener& from) {
  unique_fd fd(::accept4(from.fd(), nullptr, nullptr, SOCK_CLOEXEC));
  REQUIRE(fd);
  return fd;
}

/// The number in a file below /proc/sys, -1 if there is none.
inline int setting(const std::string& path) {
  int number = -1;
  std::ifstream(path) >> number;
  return number;
}

}  // namespace hinge::test
