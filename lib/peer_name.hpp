// The peer of an accepted connection, from the kernel's form into ours.
#pragma once

#include <hinge/address.hpp>

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

namespace hinge {

inline void compact(const sockaddr_storage& from, inet_name& into) noexcept {
  if (from.ss_family == AF_INET) [[likely]] {
    const auto& in = reinterpret_cast<const sockaddr_in&>(from);
    into = {.port = ntohs(in.sin_port), .family = family::ipv4};
    std::memcpy(into.ip.data(), &in.sin_addr, 4);
  } else if (from.ss_family == AF_INET6) {
    const auto& in = reinterpret_cast<const sockaddr_in6&>(from);
    into = {.scope = in.sin6_scope_id, .port = ntohs(in.sin6_port), .family = family::ipv6};
    std::memcpy(into.ip.data(), &in.sin6_addr, 16);
  } else {
    into = {.family = from.ss_family == AF_UNIX ? family::unix_unnamed : family::none};
  }
}

}  // namespace hinge
