#include "steering.hpp"

#include <sys/socket.h>

#ifdef SO_ATTACH_REUSEPORT_CBPF
#include <linux/filter.h>
#endif

#include <algorithm>
#include <cerrno>
#include <vector>

#include "sys.hpp"

namespace hinge {

#ifdef SO_ATTACH_REUSEPORT_CBPF

namespace {

constexpr sock_filter does(unsigned what, std::uint32_t with) noexcept {
  return {static_cast<std::uint16_t>(what), 0, 0, with};
}
constexpr std::uint32_t ancillary(int which) noexcept {
  return static_cast<std::uint32_t>(SKF_AD_OFF + which);
}

}  // namespace

int steer_by_cpu(int fd, std::span<const int> cpus, std::uint32_t listeners) noexcept {
  const auto cpu_count = static_cast<std::uint32_t>(cpus.size());
  std::vector<sock_filter> program = {does(BPF_LD | BPF_W | BPF_ABS, ancillary(SKF_AD_CPU))};
  // With fewer listeners than CPUs those left over share them.
  for (std::uint32_t i = 0; i < cpu_count; ++i) {
    const std::uint32_t first = i % listeners;
    const std::uint32_t of_this = 1 + (listeners - 1 - first) / cpu_count;
    const std::vector<sock_filter> choice = {
        does(BPF_LD | BPF_W | BPF_ABS, ancillary(SKF_AD_RANDOM)),
        does(BPF_ALU | BPF_MOD | BPF_K, of_this),
        does(BPF_ALU | BPF_MUL | BPF_K, cpu_count),
        does(BPF_ALU | BPF_ADD | BPF_K, first),
        does(BPF_RET | BPF_A, 0),
    };
    sock_filter other = does(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(cpus[i]));
    other.jf = static_cast<std::uint8_t>(choice.size());
    program.push_back(other);
    program.insert(program.end(), choice.begin(), choice.end());
  }
  program.push_back(does(BPF_ALU | BPF_MOD | BPF_K, listeners));
  program.push_back(does(BPF_RET | BPF_A, 0));
  if (program.size() > BPF_MAXINSNS) return -E2BIG;
  const sock_fprog attached = {static_cast<unsigned short>(program.size()), program.data()};
  return sys::setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &attached, sizeof attached);
}

#else

int steer_by_cpu(int, std::span<const int>, std::uint32_t) noexcept { return -EOPNOTSUPP; }

#endif

}  // namespace hinge
