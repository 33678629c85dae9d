#include "steering.hpp"

#include <sys/socket.h>

#ifdef SO_ATTACH_REUSEPORT_CBPF
#include <linux/filter.h>
#endif

#include <algorithm>
#include <cerrno>
#include <initializer_list>
#include <vector>

#include "sys.hpp"

namespace hinge {

#ifdef SO_ATTACH_REUSEPORT_CBPF

namespace {

using bpf_program = std::vector<sock_filter>;

constexpr sock_filter does(unsigned what, std::uint32_t with) noexcept {
  return {static_cast<std::uint16_t>(what), 0, 0, with};
}
constexpr sock_filter load(unsigned size, std::uint32_t from) noexcept {
  return does(BPF_LD | BPF_ABS | size, from);
}
constexpr sock_filter answer(std::uint32_t with) noexcept { return does(BPF_RET | BPF_K, with); }
/// The next `skipped` ones are for that value alone.
constexpr sock_filter unless_equal(std::uint32_t value, std::uint8_t skipped) noexcept {
  return {BPF_JMP | BPF_JEQ | BPF_K, 0, skipped, value};
}
constexpr std::uint32_t ancillary(int which) noexcept {
  return static_cast<std::uint32_t>(SKF_AD_OFF + which);
}

int attach(int fd, int option, const bpf_program& program) noexcept {
  if (program.size() > BPF_MAXINSNS) return -E2BIG;
  const sock_fprog attached = {static_cast<unsigned short>(program.size()),
                               const_cast<sock_filter*>(program.data())};
  return sys::setsockopt(fd, SOL_SOCKET, option, &attached, sizeof attached);
}

// A place that no group has: the kernel's hash chooses (reuseport_select_sock).
constexpr std::uint32_t any_place = 0xffff'ffff;
// Of a socket filter: how much of the packet is taken.
constexpr std::uint32_t nothing = 0;
constexpr std::uint32_t all_of_it = 0xffff'ffff;

}  // namespace

bool can_steer() noexcept { return true; }

int steer_by_cpu(int fd, std::span<const int> cpus, std::uint32_t listeners) noexcept {
  const auto cpu_count = static_cast<std::uint32_t>(cpus.size());
  bpf_program program = {load(BPF_W, ancillary(SKF_AD_CPU))};
  // With fewer listeners than CPUs those left over share them.
  for (std::uint32_t i = 0; i < cpu_count; ++i) {
    const std::uint32_t first = i % listeners;
    const std::uint32_t of_this = 1 + (listeners - 1 - first) / cpu_count;
    const bpf_program choice = {
        load(BPF_W, ancillary(SKF_AD_RANDOM)),
        does(BPF_ALU | BPF_MOD | BPF_K, of_this),
        does(BPF_ALU | BPF_MUL | BPF_K, cpu_count),
        does(BPF_ALU | BPF_ADD | BPF_K, first),
        does(BPF_RET | BPF_A, 0),
    };
    program.push_back(unless_equal(static_cast<std::uint32_t>(cpus[i]),
                                   static_cast<std::uint8_t>(choice.size())));
    program.insert(program.end(), choice.begin(), choice.end());
  }
  program.push_back(does(BPF_ALU | BPF_MOD | BPF_K, listeners));
  program.push_back(does(BPF_RET | BPF_A, 0));
  return attach(fd, SO_ATTACH_REUSEPORT_CBPF, program);
}

int steer_to(int fd, std::span<const std::uint32_t> places) noexcept {
  const auto count = static_cast<std::uint32_t>(places.size());
  if (count == 0) return -EINVAL;
  bpf_program program = {load(BPF_W, ancillary(SKF_AD_RANDOM)),
                         does(BPF_ALU | BPF_MOD | BPF_K, count)};
  for (std::uint32_t i = 0; i < count; ++i) {
    program.push_back(unless_equal(i, 1));
    program.push_back(answer(places[i]));
  }
  program.push_back(answer(any_place));
  return attach(fd, SO_ATTACH_REUSEPORT_CBPF, program);
}

int steer_port(int fd, family of, std::uint16_t port, std::uint32_t place) noexcept {
  // Behind a header without options, which is how this machine sends to itself.
  const std::uint32_t header = of == family::ipv4 ? 20 : 40;
  return attach(fd, SO_ATTACH_REUSEPORT_CBPF,
                {load(BPF_H, static_cast<std::uint32_t>(SKF_NET_OFF) + header),
                 unless_equal(port, 1), answer(place), answer(any_place)});
}

int steer_freely(int fd) noexcept {
#ifdef SO_DETACH_REUSEPORT_BPF  // Linux 5.3
  const int none = 0;
  const int done = sys::setsockopt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &none, sizeof none);
  if (done == 0 || done == -ENOENT) return 0;
#endif
  return attach(fd, SO_ATTACH_REUSEPORT_CBPF, {answer(any_place)});
}

// A filter of a TCP socket sees the packet from TCP's header on (tcp_filter in tcp_ipv4.c): the
// source port first, the flags in byte 13.

int put_off(int listener) noexcept {
  constexpr std::uint32_t syn = 2;
  constexpr std::uint32_t ack = 16;
  return attach(listener, SO_ATTACH_FILTER,
                {load(BPF_B, 13), does(BPF_ALU | BPF_AND | BPF_K, syn | ack), unless_equal(syn, 1),
                 answer(nothing), answer(all_of_it)});
}

int put_off_port(int listener, std::uint16_t port) noexcept {
  return attach(listener, SO_ATTACH_FILTER,
                {load(BPF_H, 0), unless_equal(port, 1), answer(nothing), answer(all_of_it)});
}

int deafen(int fd) noexcept { return attach(fd, SO_ATTACH_FILTER, {answer(nothing)}); }

int hear_all(int fd) noexcept {
  const int none = 0;
  return sys::setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none);
}

#else

bool can_steer() noexcept { return false; }
int steer_by_cpu(int, std::span<const int>, std::uint32_t) noexcept { return -EOPNOTSUPP; }
int steer_to(int, std::span<const std::uint32_t>) noexcept { return -EOPNOTSUPP; }
int steer_port(int, family, std::uint16_t, std::uint32_t) noexcept { return -EOPNOTSUPP; }
int steer_freely(int) noexcept { return -EOPNOTSUPP; }
int put_off(int) noexcept { return -EOPNOTSUPP; }
int put_off_port(int, std::uint16_t) noexcept { return -EOPNOTSUPP; }
int deafen(int) noexcept { return -EOPNOTSUPP; }
int hear_all(int) noexcept { return -EOPNOTSUPP; }

#endif

int prefer_cpu([[maybe_unused]] int fd, [[maybe_unused]] int cpu) noexcept {
#ifdef SO_INCOMING_CPU
  return sys::setsockopt(fd, SOL_SOCKET, SO_INCOMING_CPU, &cpu, sizeof cpu);
#else
  return -EOPNOTSUPP;
#endif
}

}  // namespace hinge
