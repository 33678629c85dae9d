#include "listener_path.hpp"

#include "fixed_text.hpp"
#include "stream_socket.hpp"
#include "sys.hpp"

#include <hinge/socket.hpp>

#include <algorithm>
#include <array>

namespace hinge {
namespace {

using path_text = std::array<char, address::unix_capacity + 1>;

path_text path_of(const address& at) noexcept {
  path_text path{};
  std::copy(at.unix_name().begin(), at.unix_name().end(), path.begin());
  return path;
}

int identify(const address& at, struct stat& into) noexcept {
  return sys::lstat(path_of(at).data(), &into);
}

// dev_t is signed on some systems.
path_identity identity_of(const struct stat& found) noexcept {
  return {static_cast<std::uint64_t>(found.st_dev), static_cast<std::uint64_t>(found.st_ino)};
}

failure failed(const char* call, std::string_view what, const address& at, int code) noexcept {
  std::array<char, address::text_capacity> room;
  fixed_text<error::argument_capacity> argument;
  return fail(call, argument.add(what, at.text_into(room)).view(), -code);
}

// Whether a path's socket is somebody's: -ECONNREFUSED says no; -EPROTOTYPE (a stream socket) and 0
// (a datagram socket) say yes. A datagram socket asks, as the BSDs say ECONNREFUSED to a stream
// socket also when the backlog is full; they compare the types before they look at that (as Linux).
// So a living server sees nothing of it, either.
int try_connect(const address& at) noexcept {
  const unique_fd probe(stream_socket::open(AF_UNIX, SOCK_DGRAM));
  return probe ? sockets::connect(probe.get(), at) : probe.get();
}

result<void> remove_stale(const address& at) noexcept {
  struct stat found;
  const int looked = identify(at, found);
  if (looked == -ENOENT) return {};
  if (looked < 0) return failed("lstat", "", at, looked);
  if (!S_ISSOCK(found.st_mode)) return failed("remove_stale_path", "", at, -ENOTSOCK);
  switch (const int connected = try_connect(at)) {
    case -ECONNREFUSED: {
      const int code = unlink_path(at, identity_of(found));
      if (code < 0) return failed("unlink", "", at, code);
      return {};
    }
    case -ENOENT:
      return {};
    case 0:
    case -EPROTOTYPE:
      return failed("bind", "", at, -EADDRINUSE);
    default:
      return failed("connect", "", at, connected);
  }
}

// By the calls that follow no symbolic link: where others may write to the folder, the path could
// be one by now.
result<void> set_permissions(const address& at, const listener_options& options) noexcept {
  const path_text path = path_of(at);
  if (options.unix_owner || options.unix_group) {
    constexpr std::uint32_t leave_it = UINT32_MAX;
    const std::uint32_t owner = options.unix_owner.value_or(leave_it);
    const std::uint32_t group = options.unix_group.value_or(leave_it);
    const int code = sys::fchownat(AT_FDCWD, path.data(), owner, group, AT_SYMLINK_NOFOLLOW);
    if (code < 0) {
      fixed_text<48> ids;
      const auto add = [&](const auto& id) { id ? ids.add(*id) : ids.add('-'); };
      add(options.unix_owner);
      ids.add(':');
      add(options.unix_group);
      return failed("chown", ids.add(" on ").view(), at, code);
    }
  }
  if (options.unix_mode) {
    const unsigned mode = *options.unix_mode;
    const int code = sys::fchmodat(AT_FDCWD, path.data(), mode, AT_SYMLINK_NOFOLLOW);
    if (code < 0) {
      fixed_text<48> octal;
      octal.add('0', mode >> 9, mode >> 6 & 7, mode >> 3 & 7, mode & 7, " on ");
      return failed("chmod", octal.view(), at, code);
    }
  }
  return {};
}

}  // namespace

result<path_identity> bind_path(int fd, const address& at,
                                const listener_options& options) noexcept {
  int code = sockets::bind(fd, at);
  if (code == -EADDRINUSE && options.remove_stale_path) {
    if (const auto removed = remove_stale(at); !removed) return fail(removed.error());
    code = sockets::bind(fd, at);
  }
  if (code < 0) return failed("bind", "", at, code);
  struct stat made;
  code = identify(at, made);
  if (code < 0) {
    sys::unlink(path_of(at).data());  // bind(2) has just made it
    return failed("lstat", "", at, code);
  }
  const path_identity identity = identity_of(made);
  if (const auto set = set_permissions(at, options); !set) {
    unlink_path(at, identity);
    return fail(set.error());
  }
  return identity;
}

int unlink_path(const address& at, path_identity made) noexcept {
  struct stat found;
  const int code = identify(at, found);
  if (code < 0) return code == -ENOENT ? 0 : code;
  if (identity_of(found) != made) return 0;
  return sys::unlink(path_of(at).data());
}

}  // namespace hinge
