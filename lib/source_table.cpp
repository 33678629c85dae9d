#include <hinge/source_table.hpp>

#include <hinge/fd.hpp>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <span>

#include "ip_prefix.hpp"
#include "siphash.hpp"
#include "sys.hpp"

namespace hinge {
namespace {

constexpr std::uint32_t most_connections = 1U << 30;

/// 0, or -errno.
int read_random(std::span<std::uint64_t> into) noexcept {
  const int opened = sys::open("/dev/urandom", O_RDONLY | O_CLOEXEC);
  if (opened < 0) return opened;
  const unique_fd source(opened);
  const ssize_t count = sys::read(source.get(), into.data(), into.size_bytes());
  if (count < 0) return static_cast<int>(count);
  return static_cast<std::size_t>(count) == into.size_bytes() ? 0 : -EIO;
}

}  // namespace

result<void> source_table::open(const source_options& options, std::uint32_t connections) noexcept {
  if (options.ipv4_prefix > 32) return fail("open source table", "ipv4_prefix", EINVAL);
  if (options.ipv6_prefix > 128) return fail("open source table", "ipv6_prefix", EINVAL);
  if (connections > most_connections) return fail("open source table", "connections", EINVAL);
  if (const int failed = read_random(key_); failed < 0)
    return fail("read", "/dev/urandom", -failed);
  options_ = options;
  rate_ = rate_limit(options.new_connections);
  // At least every second one has no connection: a place is found soon, and always.
  capacity_ = std::bit_ceil(std::max<std::uint32_t>(2 * connections, 64));
  if (!sources_.open(capacity_) || !buckets_.open(capacity_))
    return fail("open source table", "memory", ENOMEM);
  std::fill_n(buckets_.data(), capacity_, none);
  used_ = hand_ = 0;
  return {};
}

std::optional<ip_number> source_table::source_of(const inet_name& peer) const noexcept {
  const std::optional<ip_number> number = ip_number_of(peer);
  if (!number) return {};
  const bool is_ipv4 = first_of(*number, 96) == network::of_ipv4().first();
  return first_of(*number, is_ipv4 ? 96 + options_.ipv4_prefix : options_.ipv6_prefix);
}

std::uint32_t& source_table::bucket_of(ip_number of) const noexcept {
  return buckets_[siphash(key_).of(of.high, of.low) & (capacity_ - 1)];
}

std::uint32_t source_table::find(ip_number of) const noexcept {
  std::uint32_t index = bucket_of(of);
  while (index != none && sources_[index].of != of) index = sources_[index].next;
  return index;
}

void source_table::forget(std::uint32_t index) noexcept {
  std::uint32_t* link = &bucket_of(sources_[index].of);
  while (*link != index) link = &sources_[*link].next;
  *link = sources_[index].next;
}

std::uint32_t source_table::add(ip_number of) noexcept {
  std::uint32_t index = used_;
  if (used_ < capacity_) {
    ++used_;
  } else {
    do index = hand_++ & (capacity_ - 1);
    while (sources_[index].connections != 0);
    forget(index);
  }
  std::uint32_t& bucket = bucket_of(of);
  sources_[index] = {.of = of, .full_at = 0, .connections = 0, .next = bucket};
  bucket = index;
  return index;
}

source_table::verdict source_table::enter(const inet_name& peer, instant now) noexcept {
  const std::optional<ip_number> of = source_of(peer);
  if (!of) return verdict::admitted;
  std::uint32_t index = find(*of);
  if (index == none) index = add(*of);
  source& one = sources_[index];
  if (options_.max_connections != 0 && one.connections >= options_.max_connections)
    return verdict::too_many;
  if (rate_.limits() && !rate_.take(now, one.full_at)) return verdict::too_fast;
  ++one.connections;
  return verdict::admitted;
}

void source_table::leave(const inet_name& peer) noexcept {
  const std::optional<ip_number> of = source_of(peer);
  if (of) --sources_[find(*of)].connections;
}

void source_table::withdraw(const inet_name& peer) noexcept {
  const std::optional<ip_number> of = source_of(peer);
  if (!of) return;
  source& one = sources_[find(*of)];
  --one.connections;
  rate_.put_back(one.full_at);
}

std::uint32_t source_table::connections_of(const inet_name& peer) const noexcept {
  const std::optional<ip_number> of = source_of(peer);
  const std::uint32_t index = of ? find(*of) : none;
  return index == none ? 0 : sources_[index].connections;
}

}  // namespace hinge
