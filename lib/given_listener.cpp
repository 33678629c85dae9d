#include <hinge/given_listener.hpp>

#include <algorithm>
#include <utility>

namespace hinge {
namespace {

bool fits(const address& found, const address& where) noexcept {
  if (found == where) return true;
  if (where.port() != 0 || !where.is_inet()) return false;
  inet_name portless = found.inet();
  portless.port = 0;
  return portless == where.inet();
}

}  // namespace

result<listener> given_listener::adopt(const listener_options& options) && noexcept {
  return listener::adopt(socket, options);
}

bool is_listener_name(std::string_view name) noexcept {
  return name.size() <= longest_listener_name &&
         std::all_of(name.begin(), name.end(),
                     [](char one) { return one >= ' ' && one < 0x7f && one != ':'; });
}

std::vector<given_listener> take_listeners(std::vector<given_listener>& from, const address& where,
                                           std::string_view except) noexcept {
  const auto meant = [&](const given_listener& one) {
    return !one.datagram && (except.empty() || one.name != except);
  };
  std::vector<given_listener> taken;
  const auto exact = [&](const auto& one) { return meant(one) && one.local == where; };
  const auto any = [&](const auto& one) { return meant(one) && fits(one.local, where); };
  auto first = std::find_if(from.begin(), from.end(), exact);
  if (first == from.end()) first = std::find_if(from.begin(), from.end(), any);
  if (first == from.end()) return taken;
  const address at = first->local;
  const auto same = [&](const auto& one) { return meant(one) && one.local == at; };
  for (given_listener& one : from)
    if (same(one)) taken.push_back(std::move(one));
  // Those are empty now, and stand for nothing.
  std::erase_if(from, [](const given_listener& one) { return !one.socket; });
  return taken;
}

}  // namespace hinge
