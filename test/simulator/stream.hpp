// A simulated connection, as the server's kernel keeps it: two byte streams with bounded buffers.
#pragma once

#include <hinge/address.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

namespace hinge::sim {

class byte_queue {
public:
  std::size_t size() const { return bytes_.size() - first_; }
  bool empty() const { return size() == 0; }

  void push(std::span<const std::byte> bytes) {
    bytes_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  std::size_t pop(std::span<std::byte> into) {
    const std::size_t count = std::min(into.size(), size());
    std::memcpy(into.data(), bytes_.data() + first_, count);
    first_ += count;
    if (empty()) {
      bytes_.clear();
      first_ = 0;
    }
    return count;
  }
  void cut(std::size_t size) { bytes_.resize(first_ + size); }

private:
  std::string bytes_;
  std::size_t first_ = 0;
};

struct stream {
  inet_name peer;
  std::uint32_t number = 0;  // in the order of connecting
  byte_queue incoming;       // not yet read by the server
  byte_queue outgoing;       // not yet read by the peer
  std::size_t incoming_limit = 0;
  std::size_t outgoing_limit = 0;
  int error = 0;           // pending, positive
  std::int32_t edges = 0;  // bits of hinge::readiness that rose since they were last told
  bool urgent = false;     // urgent data of the peer is there
  bool urgent_told = false;
  bool peer_ended = false;      // the peer's FIN
  bool peer_closed = false;     // nobody reads there any more
  bool dead = false;            // reset by the peer
  bool end_sent = false;        // our FIN
  bool closed = false;          // the server has closed its descriptor
  bool reset_sent = false;      // with a reset
  bool reset_on_close = false;  // SO_LINGER with 0 s
  bool full = false;            // a send found no room for everything: an edge is owed
  bool corked = false;          // the last bytes were sent with MSG_MORE
  bool end_joined = false;      // the FIN left together with the last bytes

  std::size_t room() const { return outgoing_limit - std::min(outgoing.size(), outgoing_limit); }
  bool readable() const { return !incoming.empty() || peer_ended || dead || error != 0; }
};

}  // namespace hinge::sim
