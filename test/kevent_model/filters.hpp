// What the model knows of a registration, and what its filters find.
#pragma once

#include "kevent_model/model.hpp"

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <utility>

namespace hinge::test::kevent_model {

using event = struct ::kevent;
using file = std::pair<dev_t, ino_t>;  // which a descriptor's number is not

/// A registration.
struct note {
  event wanted{};
  file of{};
  bool enabled = true;
  bool active = false;  // an edge has come, or at first it was so
  std::uint64_t acknowledged = 0;
  std::uint64_t turn = 0;
};

/// What a filter finds.
struct found {
  bool fires = false;
  bool ended = false;
  int error = 0;
  std::int64_t data = 0;
};

struct queue {
  std::map<std::pair<std::uintptr_t, short>, note> notes;
  std::map<std::uintptr_t, std::pair<file, int>> errors;  // that were taken from a socket
};

/// Nothing when it is closed.
std::optional<file> file_of(std::uintptr_t fd);
/// Bytes that the peer of a TCP socket has acknowledged; 0 of others.
std::uint64_t acknowledged(int fd);
/// What is so now of a registration that is not of a closed descriptor.
found look(queue& of, const note& one, const behaviour& how);

}  // namespace hinge::test::kevent_model
