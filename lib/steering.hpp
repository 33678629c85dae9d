// Which listener of a group (SO_REUSEPORT) the kernel gives a connection to.
#pragma once

#include <cstdint>
#include <span>

namespace hinge {

/// Listener i of the group, in the order of listen(2), is of the CPU cpus[i % cpus.size()]: it gets
/// what that CPU receives; several of one CPU get it at random. What another CPU receives goes to
/// any. `fd` is one of the group. 0 or -errno; -EOPNOTSUPP where the system has no such option
/// (SO_ATTACH_REUSEPORT_CBPF: Linux 4.5, socket(7)).
int steer_by_cpu(int fd, std::span<const int> cpus, std::uint32_t listeners) noexcept;

}  // namespace hinge
