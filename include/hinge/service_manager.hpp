// What a service tells who started it: sd_notify(3)'s protocol, without libsystemd.
#pragma once

#include <hinge/address.hpp>
#include <hinge/error.hpp>
#include <hinge/export.hpp>
#include <hinge/time.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hinge {

/// Datagrams to the manager's socket. Where there is no manager, all of this does nothing, and
/// succeeds. Any thread. A message waits for room in the manager's queue, up to one second unless
/// it says otherwise. Errors: whatever socket(2), connect(2) and sendmsg(2) say; ETIMEDOUT, no
/// room.
class service_manager {
public:
  /// Nobody listens.
  service_manager() noexcept = default;

  /// What the environment says, absent where the variable isn't set.
  struct variables {
    std::optional<std::string> notify_socket = {};  ///< NOTIFY_SOCKET
    std::optional<std::string> watchdog_usec = {};  ///< WATCHDOG_USEC
    std::optional<std::string> watchdog_pid = {};   ///< WATCHDOG_PID

    /// Reads them and takes them out of the environment, which is not thread-safe (unsetenv(3)).
    HINGE_API static variables take() noexcept;
  };
  /// Errors: EINVAL, neither a path from the root nor "@name", or WATCHDOG_USEC is no number over
  /// 0; EAFNOSUPPORT, "vsock:" or no abstract names here; ENAMETOOLONG.
  HINGE_API static result<service_manager> of(const variables& said) noexcept;

  explicit operator bool() const noexcept { return socket_.is_unix(); }
  /// Where it listens; address() if nowhere.
  const address& socket() const noexcept { return socket_; }

  /// READY=1: the service serves, or has done with reloading().
  HINGE_API result<void> ready() const noexcept;
  /// RELOADING=1 with MONOTONIC_USEC=, which ready() ends.
  HINGE_API result<void> reloading() const noexcept;
  /// STOPPING=1: the service ends.
  HINGE_API result<void> stopping() const noexcept;
  /// STATUS=, one line for people; an end of line and what follows is cut.
  HINGE_API result<void> status(std::string_view text) const noexcept;
  /// MAINPID=: another process is the service from now on.
  HINGE_API result<void> main_process(std::int64_t pid) const noexcept;

  /// How long the manager waits for alive() before it takes the service for dead; absent: it
  /// doesn't, or waits for another process. Half of it is a good interval.
  std::optional<nanoseconds> watchdog() const noexcept { return watchdog_; }
  /// WATCHDOG=1. Waits for nothing, so that a loop may say it.
  HINGE_API result<void> alive() const noexcept;

  /// FDSTORE=1, FDNAME=: the manager keeps a duplicate of the descriptor, and passes it to the next
  /// start as LISTEN_FDS does (FileDescriptorStoreMax=). EINVAL: no is_listener_name().
  HINGE_API result<void> keep(int fd, std::string_view name) const noexcept;
  /// FDSTOREREMOVE=1: it closes those of that name.
  HINGE_API result<void> forget(std::string_view name) const noexcept;

  /// Any of the above, as text: "READY=1\nSTATUS=well".
  HINGE_API result<void> tell(std::string_view message, int fd = -1,
                              nanoseconds patience = std::chrono::seconds(1)) const noexcept;

private:
  address socket_;
  std::optional<nanoseconds> watchdog_;
};

}  // namespace hinge
