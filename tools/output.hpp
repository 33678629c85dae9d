// What a serving program says: it neither waits for its reader nor ends with it.
#pragma once

#include <algorithm>
#include <cerrno>
#include <climits>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/select.h>
#include <unistd.h>

namespace hinge {

/// Standard descriptors that were closed would be the server's own sockets. Each becomes one that
/// reads nothing and can't be written to, which is then told. Before anything is opened.
inline void fill_standard_descriptors() noexcept {
  int fd;
  do fd = ::open("/dev/null", O_RDONLY);
  while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) ::close(fd);
}

/// Writes `text` without waiting and without SIGPIPE, whose disposition stays. 0, or the errno of
/// what stopped it: EAGAIN, the reader is slow, and the rest is dropped. select(2) promises room
/// for PIPE_BUF bytes, so that no flag of the descriptor, which others share, has to change; a
/// filter may kill for poll(2), which a server has no other use for. `fd` is below FD_SETSIZE.
inline int write_at_once(int fd, std::string_view text) noexcept {
  sigset_t broken_pipe;
  sigset_t before;
  sigset_t pending;
  sigemptyset(&broken_pipe);
  sigaddset(&broken_pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &broken_pipe, &before);
  int failed = 0;
  while (!text.empty() && failed == 0) {
    fd_set room;
    FD_ZERO(&room);
    FD_SET(fd, &room);
    timeval at_once{};
    const int ready = ::select(fd + 1, nullptr, &room, nullptr, &at_once);
    if (ready < 0 && errno == EINTR) continue;
    const ssize_t written =
        ready == 1 ? ::write(fd, text.data(), std::min<std::size_t>(text.size(), PIPE_BUF)) : -1;
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (ready == 0) {
      failed = EAGAIN;
    } else if (errno != EINTR) {
      failed = errno;
    }
  }
  // A SIGPIPE of the write is for this thread; it was not pending before, or it stays.
  if (failed == EPIPE && sigismember(&before, SIGPIPE) == 0 && sigpending(&pending) == 0 &&
      sigismember(&pending, SIGPIPE) == 1) {
    int number = 0;
    sigwait(&broken_pipe, &number);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return failed;
}

/// Lines for a reader that may be slow: what is dropped is whole lines, or the end of one, and each
/// that comes after begins as a line.
class line_output {
public:
  explicit line_output(int fd) noexcept : fd_(fd) {}

  /// As write_at_once, of a line without its end.
  int write(const std::string& text) {
    const std::string line = (cut_ ? "\n" : "") + text + '\n';
    const int failed = write_at_once(fd_, line);
    // A line that goes in one piece is there whole, or not at all.
    cut_ = failed == EAGAIN && (cut_ || line.size() > PIPE_BUF);
    return failed;
  }

private:
  int fd_;
  bool cut_ = false;  // the last that was written may be no whole line
};

}  // namespace hinge
