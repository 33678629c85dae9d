// A hand-over is one or more messages. Each is a head, and an entry for each of its descriptors,
// which travel with its first byte. Numbers are as this machine has them.

#include <hinge/listener_passing.hpp>

#include "descriptor_mail.hpp"
#include "fixed_text.hpp"
#include "listener_options.hpp"
#include "sys.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

namespace hinge {
namespace {

constexpr std::uint32_t mark = 0x32'65'67'68;  // "hge2"

struct message_head {
  std::uint32_t mark = hinge::mark;
  std::uint32_t body_bytes = 0;
  std::uint32_t total = 0;  // of the whole hand-over
  std::uint32_t count = 0;  // of this message
};

struct entry_head {
  path_identity path_file;
  std::uint8_t options = 0;
  std::uint8_t held_elsewhere = 0;
  std::uint8_t name_bytes = 0;
  std::uint8_t address_bytes = 0;
};
constexpr std::size_t longest_body =
    passed_at_once * (sizeof(entry_head) + longest_listener_name + address::kernel_capacity);

constexpr const char* sending = "send listeners";
constexpr const char* receiving = "receive listeners";

// Of entry_head::options.
constexpr int shares = 1;
constexpr int ipv6_alone = 2;

/// Or -errno.
int options_of(int fd, const address& at) noexcept {
  const int first = at.is_inet() ? shares_port(fd) : 0;
  const int second = at.family() == family::ipv6 ? takes_ipv6_alone(fd) : 0;
  return std::min({first, second, 0}) < 0 ? std::min(first, second)
                                          : first * shares + second * ipv6_alone;
}

template <class Head>
void append(std::string& to, const Head& head) {
  to.append(reinterpret_cast<const char*>(&head), sizeof head);
}

result<void> append_entry(std::string& to, const outgoing_listener& one) noexcept {
  const auto refuse = [&](std::string_view why, int code) {
    fixed_text<error::argument_capacity> text;
    add_escaped(text, one.name).add(": descriptor ", one.fd, why);
    return fail(sending, text.view(), code);
  };
  if (!is_listener_name(one.name)) return refuse(" has a name that can't be one", EINVAL);
  const result<address> at = listener::examine(one.fd);
  if (!at) return fail(at);
  const int options = options_of(one.fd, *at);
  if (options < 0) return refuse(": its options", -options);
  std::array<std::byte, address::kernel_capacity> name;
  const std::size_t length = at->to_kernel(name);
  append(to, entry_head{.path_file = one.path_file,
                        .options = static_cast<std::uint8_t>(options),
                        .held_elsewhere = one.held_elsewhere,
                        .name_bytes = static_cast<std::uint8_t>(one.name.size()),
                        .address_bytes = static_cast<std::uint8_t>(length)});
  to.append(one.name).append(reinterpret_cast<const char*>(name.data()), length);
  return {};
}

// Takes pieces off the front of a body; false when it is too short for that.
class body_reader {
public:
  explicit body_reader(std::string_view body) noexcept : left_(body) {}

  template <class Head>
  bool take(Head& into) noexcept {
    if (left_.size() < sizeof into) return false;
    std::memcpy(&into, left_.data(), sizeof into);
    left_.remove_prefix(sizeof into);
    return true;
  }
  bool take(std::size_t length, std::string_view& into) noexcept {
    if (left_.size() < length) return false;
    into = left_.substr(0, length);
    left_.remove_prefix(length);
    return true;
  }
  bool empty() const noexcept { return left_.empty(); }

private:
  std::string_view left_;
};

failure not_ours(std::string_view why) noexcept { return fail(receiving, why, EPROTO); }

// The next entry, whose descriptor is `fd`: taken when all that is told of it is true.
result<given_listener> read_entry(body_reader& body, unique_fd& fd) noexcept {
  entry_head head;
  std::string_view name;
  std::string_view where;
  if (!body.take(head) || !body.take(head.name_bytes, name) ||
      !body.take(head.address_bytes, where) || head.address_bytes > address::kernel_capacity ||
      !is_listener_name(name))
    return not_ours("an entry that is none");
  sockaddr_storage announced{};
  std::memcpy(&announced, where.data(), where.size());
  const address told =
      address::from_kernel(reinterpret_cast<const sockaddr*>(&announced), where.size());
  const result<address> at = listener::examine(fd.get());
  const auto refuse = [&](std::string_view what, const address& told, int code) {
    std::array<char, address::text_capacity> room;
    fixed_text<error::argument_capacity> text;
    add_escaped(text, name).add(what, told.text_into(room));
    return fail(receiving, text.view(), code);
  };
  if (!at) {
    fixed_text<error::argument_capacity> text;
    add_escaped(text, name).add(": ", at.error().argument());
    return fail(receiving, text.view(), at.error().code());
  }
  if (*at != told) return refuse(": is not where it was announced, ", told, EADDRNOTAVAIL);
  const int options = options_of(fd.get(), *at);
  if (options < 0) return refuse(": its options, ", told, -options);
  if (((options ^ head.options) & shares) != 0)
    return refuse(": SO_REUSEPORT is not as announced, ", told, EADDRNOTAVAIL);
  if (options != head.options)
    return refuse(": IPV6_V6ONLY is not as announced, ", told, EADDRNOTAVAIL);
  given_listener taken{.name = std::string(name),
                       .local = *at,
                       .path_file = head.path_file,
                       .reuse_port = (options & shares) != 0,
                       .held_elsewhere = head.held_elsewhere != 0};
  taken.socket = std::move(fd);
  return taken;
}

// What one message brings is added to `all`; how many there are to be in the end.
result<std::size_t> receive_message(descriptor_mail& mail,
                                    std::vector<given_listener>& all) noexcept {
  message_head head;
  if (result<void> came = mail.receive({reinterpret_cast<std::byte*>(&head), sizeof head}); !came)
    return fail(came);
  if (head.mark != mark) return not_ours("not said in this version's words");
  if (head.count > passed_at_once || head.body_bytes > longest_body || head.total > most_passed ||
      head.total < all.size() + head.count || (head.count == 0 && head.total != 0))
    return not_ours("numbers that can't be");
  std::string text(head.body_bytes, '\0');
  if (result<void> came = mail.receive(std::as_writable_bytes(std::span(text))); !came)
    return fail(came);
  std::vector<unique_fd> came = mail.take_descriptors();
  if (came.size() != head.count) {
    fixed_text<64> counted;
    counted.add(came.size(), " descriptors, announced were ", head.count);
    return not_ours(counted.view());
  }
  body_reader body(text);
  for (unique_fd& fd : came) {
    result<given_listener> one = read_entry(body, fd);
    if (!one) return fail(one);
    all.push_back(std::move(*one));
  }
  if (!body.empty()) return not_ours("more than was announced");
  return head.total;
}

}  // namespace

result<void> send_listeners(int stream, std::span<const outgoing_listener> all,
                            nanoseconds patience) noexcept {
  if (all.size() > most_passed) return fail(sending, "at most 16384", E2BIG);
  descriptor_mail mail(stream, sending, patience);
  if (result<void> fine = mail.check(); !fine) return fine;
  // Nothing is sent before all of them are known to be right.
  std::vector<std::string> messages;
  std::size_t next = 0;
  do {
    const std::size_t count = std::min(passed_at_once, all.size() - next);
    std::string body;
    for (const outgoing_listener& one : all.subspan(next, count))
      if (result<void> added = append_entry(body, one); !added) return added;
    std::string message;
    append(message, message_head{.body_bytes = static_cast<std::uint32_t>(body.size()),
                                 .total = static_cast<std::uint32_t>(all.size()),
                                 .count = static_cast<std::uint32_t>(count)});
    messages.push_back(message + body);
    next += count;
  } while (next < all.size());
  next = 0;
  for (const std::string& message : messages) {
    std::array<int, passed_at_once> fds;
    const std::size_t count = std::min(passed_at_once, all.size() - next);
    for (std::size_t i = 0; i < count; ++i) fds[i] = all[next + i].fd;
    next += count;
    if (result<void> sent = mail.send(std::as_bytes(std::span(message)), {fds.data(), count});
        !sent)
      return sent;
  }
  return {};
}

result<std::vector<given_listener>> receive_listeners(int stream, nanoseconds patience) noexcept {
  descriptor_mail mail(stream, receiving, patience);
  if (result<void> fine = mail.check(); !fine) return fail(fine);
  std::vector<given_listener> all;
  for (;;) {
    const result<std::size_t> total = receive_message(mail, all);
    if (!total) return fail(total);
    if (all.size() == *total) return all;
  }
}

}  // namespace hinge
