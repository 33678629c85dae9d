#include "simulation/model.hpp"

#include <algorithm>

namespace hinge::sim {

namespace {

std::byte mix(std::uint64_t value) {
  return static_cast<std::byte>(value * 0x9e3779b97f4a7c15 >> 56);
}

}  // namespace

std::byte peer_byte(std::uint32_t number, std::uint64_t offset) {
  return mix(std::uint64_t{number} << 32 | offset);
}

std::byte server_byte(std::uint64_t offset) { return mix(~offset); }

void model::send(std::size_t number, std::size_t most) {
  actor& from = actors[number];
  const std::size_t count = std::min<std::uint64_t>(most, from.to_send - from.sent);
  std::vector<std::byte> bytes(count);
  for (std::size_t i = 0; i < count; ++i)
    bytes[i] = peer_byte(static_cast<std::uint32_t>(number), from.sent + i);
  from.sent += from.end.send(bytes);
}

void model::receive(std::size_t number, std::size_t most) {
  actor& to = actors[number];
  const served& from = servers[number];
  const std::string bytes = to.end.receive(most);
  for (const char byte : bytes) {
    const std::uint64_t at = to.received++;
    const bool right = at < from.said.size() ? from.said[at] == byte
                                             : at - from.said.size() < from.refused.size() &&
                                                   from.refused[at - from.said.size()] == byte;
    if (right) continue;
    outcome.fail("peer " + std::to_string(number) + " received a wrong byte at " +
                 std::to_string(at));
    return;
  }
  check_end(number);
}

void model::check_end(std::size_t number) {
  const actor& to = actors[number];
  if (!to.end.ended() || servers[number].closes < 0) return;
  if (to.received != servers[number].said.size())
    outcome.fail("peer " + std::to_string(number) + " read the end after " +
                 std::to_string(to.received) + " of " +
                 std::to_string(servers[number].said.size()) + " bytes");
}

}  // namespace hinge::sim
