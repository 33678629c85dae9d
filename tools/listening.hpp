// What hinge-serve listens on: taken at its places, and told to a successor.
#pragma once

#include <hinge/address.hpp>
#include <hinge/door.hpp>
#include <hinge/error.hpp>
#include <hinge/listener.hpp>
#include <hinge/listener_passing.hpp>
#include <hinge/loop_base.hpp>
#include <hinge/server_base.hpp>

#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "predecessor.hpp"
#include "retiring.hpp"

namespace hinge::serve {

/// Nothing is done to what was given before the predecessor has said that it may be.
inline result<void> listen(loop_base& loop, std::vector<place> all, const door_options& door) {
  for (place& each : all) {
    auto listeners = each.take();
    if (!listeners) return fail(listeners);
    for (listener& one : *listeners) {
      const auto index = loop.listen(std::move(one));
      if (!index) return fail(index);
      loop.set_door(*index, door);
    }
  }
  return {};
}

/// Of a server: the same.
inline result<void> listen(server_base& server, std::vector<place> all, const door_options& door) {
  for (place& each : all) {
    auto listeners = each.take();
    if (!listeners) return fail(listeners);
    if (const auto first = server.listen(std::move(*listeners), each.how, door); !first)
      return fail(first);
  }
  return {};
}

/// What a successor is given, while these listen.
inline std::vector<outgoing_listener> outgoing(const loop_base& loop, const beginnings& from,
                                               std::string_view name = served_name) {
  std::vector<outgoing_listener> all;
  for (std::size_t i = 0; i < loop.listeners(); ++i) {
    const listener& one = loop.listener_at(i);
    all.push_back({one.fd(), name, one.path_file(), from.held(one.local())});
  }
  return all;
}

inline std::vector<outgoing_listener> outgoing(const server_base& server, const beginnings& from) {
  std::vector<outgoing_listener> all;
  server.each_listener([&](std::size_t, const listener& one) {
    all.push_back({one.fd(), served_name, one.path_file(), from.held(one.local())});
  });
  return all;
}

/// The predecessor's Unix paths are those of this loop or server from here on, unless the process
/// ends before it has begun to serve.
template <class Listening>
class owned_paths {
public:
  owned_paths(Listening& of, const beginnings& from) : of_(of), from_(from) {
    for (const auto& [where, file] : from_.paths()) own(where, file);
  }
  owned_paths(const owned_paths&) = delete;
  owned_paths& operator=(const owned_paths&) = delete;
  ~owned_paths() {
    if (from_.serves()) return;
    for (const auto& [where, file] : from_.paths()) own(where, {});
  }

private:
  void own(const address& where, const path_identity& file) {
    for (std::size_t i = 0; i < of_.listeners(); ++i)
      if (of_.listener_at(i).local() == where) of_.set_path_file(i, file);
  }

  Listening& of_;
  const beginnings& from_;
};

/// `all`: by a successor; else by a supervisor.
template <class Listening>
held_listeners held_in(const Listening& of, const beginnings& from, bool all) {
  return [&of, &from, all](std::size_t i) { return all || from.held(of.listener_at(i).local()); };
}

}  // namespace hinge::serve
