// The sockets that listen together on one port (SO_REUSEPORT), as the system tells of them.
#pragma once

#include <hinge/address.hpp>

#include <cstdint>
#include <span>
#include <vector>

namespace hinge {

/// By sock_diag(7), which needs no privilege. Elsewhere -EOPNOTSUPP; where a system call filter or
/// a kernel without the module forbids it, that call's -errno.

/// How many sockets are in the group of a listening TCP socket, with itself: they have its address,
/// port, interface and owner. 1: it is alone.
int group_size(int listener, const address& at) noexcept;

/// Who has begun to connect to that port of this machine, and has not been heard again yet. One
/// that the kernel answers by a SYN cookie isn't remembered, and not among them.
int handshakes_at(const address& at, std::vector<inet_name>& into) noexcept;

/// net.ipv4.tcp_migrate_req: a socket that leaves the group gives its clients to another one.
bool clients_migrate() noexcept;

/// Which of `ours`, sockets of one group, is at that place of it: its index, -1: none of them, or
/// -errno. A SYN of this machine is sent there, whose answer nobody hears: if it was somebody
/// else's, that handshake is known for a second more, from one of the ports that are appended to
/// `asked_from`. The group's program is gone then, and filters of `ours`.
int who_is_at(std::uint32_t place, std::span<const int> ours, const address& at,
              std::vector<std::uint16_t>& asked_from) noexcept;

}  // namespace hinge
