// Which listener of a group (SO_REUSEPORT) the kernel gives a connection to, and whom a listener
// doesn't hear. Classic BPF, which needs no privilege (Linux 4.5, socket(7)); elsewhere each says
// -EOPNOTSUPP. 0 or -errno.
#pragma once

#include <hinge/address.hpp>

#include <cstdint>
#include <span>

namespace hinge {

/// Whether the system has any of this.
bool can_steer() noexcept;

/// Listener i of the group, in the order of listen(2), is of the CPU cpus[i % cpus.size()]: it gets
/// what that CPU receives; several of one CPU get it at random. What another CPU receives goes to
/// any. `fd` is one of the group.
int steer_by_cpu(int fd, std::span<const int> cpus, std::uint32_t listeners) noexcept;

/// Each new connection goes to one of these places of the group, at random. The kernel numbers the
/// places from 0, in the order of listen(2); who leaves gives his to the last one
/// (__reuseport_detach_sock in net/core/sock_reuseport.c).
int steer_to(int fd, std::span<const std::uint32_t> places) noexcept;
/// What comes from that port of that family goes to one place, everything else by the kernel's own
/// hash.
int steer_port(int fd, family of, std::uint16_t port, std::uint32_t place) noexcept;
/// By the kernel's own hash.
int steer_freely(int fd) noexcept;

/// The listener doesn't hear who begins to connect: he tries again, after a second. Handshakes that
/// have begun go on. What it has accepted meanwhile has the filter, too, and isn't harmed.
int put_off(int listener) noexcept;
/// It doesn't hear of who comes from that port.
int put_off_port(int listener, std::uint16_t port) noexcept;
/// A socket hears nothing.
int deafen(int fd) noexcept;
/// It hears all.
int hear_all(int fd) noexcept;

/// SO_INCOMING_CPU: the listener of a group that the kernel takes for what that CPU receives. 0 or
/// -errno; -EOPNOTSUPP where there is no such option.
int prefer_cpu(int fd, int cpu) noexcept;

}  // namespace hinge
