#include <hinge/service_manager.hpp>

#include <hinge/fd.hpp>
#include <hinge/given_listener.hpp>
#include <hinge/socket.hpp>

#include "descriptor_mail.hpp"
#include "environment.hpp"
#include "fixed_text.hpp"
#include "stream_socket.hpp"
#include "sys.hpp"

#include <algorithm>
#include <string>

namespace hinge {
namespace {

constexpr const char* notifying = "notify the service manager";

result<address> socket_of(std::string_view text) noexcept {
  if (text.starts_with('/')) return address::unix_path(text);
  if (text.starts_with('@')) return address::unix_abstract(text.substr(1));
  fixed_text<error::argument_capacity> said;
  said.add("NOTIFY_SOCKET=", text);
  return fail(notifying, said.view(), text.starts_with("vsock:") ? EAFNOSUPPORT : EINVAL);
}

}  // namespace

service_manager::variables service_manager::variables::take() noexcept {
  return {.notify_socket = take_variable("NOTIFY_SOCKET"),
          .watchdog_usec = take_variable("WATCHDOG_USEC"),
          .watchdog_pid = take_variable("WATCHDOG_PID")};
}

result<service_manager> service_manager::of(const variables& said) noexcept {
  service_manager made;
  if (!said.notify_socket || said.notify_socket->empty()) return made;
  const result<address> at = socket_of(*said.notify_socket);
  if (!at) return fail(at);
  made.socket_ = *at;
  if (!said.watchdog_usec) return made;
  constexpr std::uint64_t longest = std::uint64_t{365} * 24 * 3600 * 1'000'000;
  const auto wait = number_of<std::uint64_t>(*said.watchdog_usec);
  const auto whose = said.watchdog_pid ? number_of<std::uint32_t>(*said.watchdog_pid)
                                       : static_cast<std::uint32_t>(sys::getpid());
  if (!wait || *wait == 0 || !whose)
    return fail(notifying, "WATCHDOG_USEC or WATCHDOG_PID is no number", EINVAL);
  if (*whose == static_cast<std::uint32_t>(sys::getpid()))
    made.watchdog_ = std::chrono::microseconds(std::min(*wait, longest));
  return made;
}

result<void> service_manager::ready() const noexcept { return tell("READY=1"); }
result<void> service_manager::stopping() const noexcept { return tell("STOPPING=1"); }
result<void> service_manager::alive() const noexcept { return tell("WATCHDOG=1", -1, {}); }

result<void> service_manager::reloading() const noexcept {
  fixed_text<64> said;
  return tell(said.add("RELOADING=1\nMONOTONIC_USEC=", now() / 1000).view());
}

result<void> service_manager::status(std::string_view text) const noexcept {
  return tell("STATUS=" + std::string(text.substr(0, text.find('\n'))));
}

result<void> service_manager::main_process(std::int64_t pid) const noexcept {
  fixed_text<64> said;
  return tell(said.add("MAINPID=", pid).view());
}

result<void> service_manager::keep(int fd, std::string_view name) const noexcept {
  if (!is_listener_name(name)) return fail(notifying, "a name that can't be one", EINVAL);
  if (fd < 0) return fail(notifying, "no descriptor to be kept", EBADF);
  return tell("FDSTORE=1\nFDNAME=" + std::string(name), fd);
}

result<void> service_manager::forget(std::string_view name) const noexcept {
  if (!is_listener_name(name)) return fail(notifying, "a name that can't be one", EINVAL);
  return tell("FDSTOREREMOVE=1\nFDNAME=" + std::string(name));
}

result<void> service_manager::tell(std::string_view message, int fd,
                                   nanoseconds patience) const noexcept {
  if (!*this) return {};
  // A socket for each message: the manager may have made its own anew.
  const unique_fd from(stream_socket::open(AF_UNIX, SOCK_DGRAM));
  if (!from) return fail(notifying, "socket", -from.get());
  if (const int code = sockets::connect(from.get(), socket_); code < 0)
    return fail(notifying, socket_.text(), -code);
  descriptor_mail mail(from.get(), notifying, patience);
  return mail.send(std::as_bytes(std::span(message)),
                   {&fd, fd < 0 ? std::size_t{0} : std::size_t{1}});
}

}  // namespace hinge
