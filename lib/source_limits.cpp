#include <hinge/source_limits.hpp>

namespace hinge {

result<void> source_limits::open(const source_options& source, const source_options& network,
                                 std::uint32_t connections) noexcept {
  first_ = source.limits() ? 0 : 1;
  end_ = network.limits() ? 2 : 1;
  for (unsigned i = first_; i < end_; ++i)
    if (auto opened = tables_[i].open(i == 0 ? source : network, connections); !opened)
      return opened;
  return {};
}

source_limits::verdict source_limits::turned_away(const inet_name& peer, unsigned by,
                                                  source_table::verdict found) noexcept {
  for (unsigned i = first_; i != by; ++i) tables_[i].withdraw(peer);
  if (found == source_table::verdict::too_many)
    return by == 0 ? verdict::source_full : verdict::network_full;
  return by == 0 ? verdict::source_rate : verdict::network_rate;
}

}  // namespace hinge
