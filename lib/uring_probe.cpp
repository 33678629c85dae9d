// There is no feature bit for most of what the backend needs (multishot accept and receive among
// it), and a kernel, a seccomp filter or a build of the kernel may lack any of it: so it is tried.

#include "uring_probe.hpp"

#include <hinge/fd.hpp>
#include <hinge/listener.hpp>
#include <hinge/socket.hpp>
#include <hinge/uring.hpp>

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <span>

#include "backend_probe.hpp"
#include "fixed_text.hpp"
#include "proc.hpp"
#include "seccomp.hpp"
#include "sys.hpp"
#include "uring_ring.hpp"

namespace hinge {

namespace {

constexpr nanoseconds self_test_patience = std::chrono::seconds(1);
constexpr std::array<std::byte, 8> question = {std::byte('h'),  std::byte('i'), std::byte('n'),
                                               std::byte('g'),  std::byte('e'), std::byte('?'),
                                               std::byte('\r'), std::byte('\n')};

bool is_question(std::span<const std::byte> bytes) noexcept {
  return std::equal(bytes.begin(), bytes.end(), question.begin(), question.end());
}

}  // namespace

/// One test. Leaves nothing open, however it ends.
class uring_self_test {
public:
  result<void> run() noexcept;

private:
  struct step {
    const char* name;
    int (uring_self_test::*make)() noexcept;
    const char* lacking = nullptr;  // what it means that the kernel knows no such request
  };

  result<void> meet() noexcept;
  result<void> meet(const address& where) noexcept;
  int take_client() noexcept;
  int receive() noexcept;
  int stop_receiving() noexcept;
  int send() noexcept;
  int read_reply() noexcept;
  int stop_accepting() noexcept;

  change of(operation what) const noexcept {
    return {.subject = connection_, .fd = accepted_.get(), .what = what};
  }
  int ask() noexcept;
  int await(event_kind wanted, std::span<const change> changes) noexcept;

  deadline until_ = deadline::never();  // once the ring is open
  const token door_ = token(role::listener, 0, 1);
  const token connection_ = token(role::connection, 0, 1);
  listener listener_;
  unique_fd client_;
  unique_fd accepted_;
  uring_poller poller_{uring_ring::least};  // is gone before the descriptors
  std::array<event, 8> events_;
  event answer_;            // the awaited one
  bool receiving_ = false;  // a receive goes on
  bool broken_ = false;     // a turn has failed altogether, which no request was the cause of
};

result<void> uring_self_test::run() noexcept {
  // As many buffers as a server has that asks for nothing else: their ring takes locked memory,
  // too.
  constexpr poller_options least = {
      .connections = 1, .accepts_per_turn = 1, .receive_buffer_bytes = 64};
  if (result<void> opened = poller_.open_untested(least); !opened) return opened;
  until_ = deadline::after(now(), self_test_patience);
  if (result<void> met = meet(); !met) return met;
  // The first receive is for one answer, the second goes on.
  constexpr const char* no_multishot_receive = "no multishot receive on this kernel";
  constexpr std::array<step, 7> steps = {{
      {"accept", &uring_self_test::take_client, "no multishot accept on this kernel"},
      {"receive", &uring_self_test::receive},
      {"receive again", &uring_self_test::receive, no_multishot_receive},
      {"stop receiving", &uring_self_test::stop_receiving, no_multishot_receive},
      {"send and close", &uring_self_test::send},
      {"the reply", &uring_self_test::read_reply},
      {"stop accepting", &uring_self_test::stop_accepting},
  }};
  for (const step& next : steps) {
    const int failed = (this->*next.make)();
    if (!broken_ && next.lacking != nullptr && (failed == -EINVAL || failed == -EOPNOTSUPP))
      return fail(uring_says, next.lacking, -failed);
    if (failed < 0) return fail("self-test:", next.name, -failed);
  }
  return {};
}

/// A listener, and a client that is on its way to it. A container may lack one or both kinds of
/// loopback, or forbid them; a Unix name lives in Linux's abstract namespace.
result<void> uring_self_test::meet() noexcept {
  const auto name = address::unix_abstract(fixed_text<64>().add("hinge-", until_.when()).view());
  result<void> met = meet(address::loopback(0));
  if (!met) met = meet(address::loopback6(0));
  if (!met && name) met = meet(*name);
  return met;
}

result<void> uring_self_test::meet(const address& where) noexcept {
  const int domain = where.is_unix() ? AF_UNIX : where == address::loopback(0) ? AF_INET : AF_INET6;
  // A filter may kill for one kind of socket, which this program may have no use for.
  const kernel_call made{"socket", SYS_socket, {domain, SOCK_STREAM | SOCK_CLOEXEC}};
  if (result<void> may = survives(uring_says, {&made, 1}); !may) return may;
  result<listener> opened = listener::open(where, {.backlog = 8});
  if (!opened) return fail(opened);
  listener_ = std::move(*opened);
  const int fd = sys::socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail("self-test:", "socket", -fd);
  client_.reset(fd);
  sockets::reset_on_close(fd);  // leaves no TIME_WAIT behind
  const int failed = sockets::connect(fd, listener_.local());
  if (failed < 0 && failed != -EINPROGRESS) return fail("self-test:", "connect", -failed);
  return {};
}

/// Turns until there is such an event: its result, or what has failed instead.
int uring_self_test::await(event_kind wanted, std::span<const change> changes) noexcept {
  turn_terms terms{.accept_room = wanted == event_kind::accepted, .until = until_};
  for (;;) {
    const int count = poller_.turn(changes, events_, terms);
    if (count < 0) {
      broken_ = true;
      return count;
    }
    for (const event& one : std::span(events_).first(static_cast<std::size_t>(count))) {
      answer_ = one;
      if (one.kind == wanted || one.kind == event_kind::failed) return one.result;
      if (one.kind == event_kind::sent) return one.result < 0 ? one.result : -EMSGSIZE;
    }
    if (until_.passed(terms.now)) return -ETIMEDOUT;
    changes = {};
  }
}

int uring_self_test::take_client() noexcept {
  const change wanted{.subject = door_, .fd = listener_.fd(), .what = operation::accept};
  const int fd = await(event_kind::accepted, std::span(&wanted, 1));
  if (fd < 0) return fd;
  accepted_.reset(fd);
  return answer_.more ? 0 : -EOPNOTSUPP;
}

int uring_self_test::ask() noexcept {
  const int sent = sockets::send(client_.get(), question);
  if (sent < 0) return sent;
  return sent == static_cast<int>(question.size()) ? 0 : -EMSGSIZE;
}

/// The bytes come whole, in a buffer of the ring; the one that was given before goes back.
int uring_self_test::receive() noexcept {
  if (const int failed = ask(); failed < 0) return failed;
  std::array<change, 2> changes;
  std::size_t count = 0;
  const bool again = answer_.kind == event_kind::received;
  if (again) changes[count++] = {.buffer = answer_.buffer, .what = operation::recycle};
  if (!receiving_) {
    changes[count++] = of(operation::receive);
    if (!again) changes[count - 1].flags = change::once;
  }
  const int got = await(event_kind::received, std::span(changes).first(count));
  if (got < 0) return got;
  receiving_ = answer_.more;
  if (answer_.buffer == no_buffer) return -ENODATA;
  const poller_limits at = poller_.limits();
  const std::byte* const bytes = at.buffers + std::size_t{answer_.buffer} * at.buffer_stride;
  return is_question({bytes, static_cast<std::size_t>(got)}) ? 0 : -EBADMSG;
}

int uring_self_test::stop_receiving() noexcept {
  if (!receiving_) return -EOPNOTSUPP;
  const std::uint16_t buffer = answer_.buffer;
  const change wanted = of(operation::stop_receive);
  const int ended = await(event_kind::received, std::span(&wanted, 1));
  answer_.buffer = buffer;
  return ended == -ECANCELED ? 0 : -EBADMSG;
}

/// The reply lies in the received buffer, and the close is linked behind it.
int uring_self_test::send() noexcept {
  const poller_limits at = poller_.limits();
  change wanted = of(operation::send);
  wanted.data = at.buffers + std::size_t{answer_.buffer} * at.buffer_stride;
  wanted.length = question.size();
  wanted.flags = change::then_close;
  // The ring's now, and not to be closed twice if it never answers.
  const int fd = accepted_.release();
  const int ended = await(event_kind::detached, std::span(&wanted, 1));
  if (answer_.kind == event_kind::sent || answer_.kind == event_kind::failed) accepted_.reset(fd);
  if (ended < 0) return ended;
  return ended == detach_result::closed ? 0 : -EBADMSG;
}

/// On loopback it is there by now; else each turn waits for a moment.
int uring_self_test::read_reply() noexcept {
  std::array<std::byte, question.size() + 1> read;
  std::size_t length = 0;
  for (turn_terms terms{.now = now()};;) {
    const int got = sockets::receive(client_.get(), std::span(read).subspan(length));
    if (got == 0) return is_question(std::span(read).first(length)) ? 0 : -EBADMSG;
    if (got < 0 && !sockets::would_block(got)) return got;
    if (got > 0 && (length += static_cast<std::size_t>(got)) == read.size()) return -EBADMSG;
    if (until_.passed(terms.now)) return -ETIMEDOUT;
    if (got > 0) continue;
    terms.until = deadline::after(terms.now, std::chrono::milliseconds(1));
    if (const int failed = poller_.turn({}, events_, terms); failed < 0) return failed;
  }
}

int uring_self_test::stop_accepting() noexcept {
  const change wanted{.subject = door_, .fd = listener_.fd(), .what = operation::detach};
  const int ended = await(event_kind::detached, std::span(&wanted, 1));
  return std::min(ended, 0);
}

// --- remembered ----------------------------------------------------------------------------------

namespace {

remembered_verdict verdict(backend::io_uring);

#ifdef SYS_mmap2
constexpr long map_memory = SYS_mmap2;
#else
constexpr long map_memory = SYS_mmap;
#endif

void test(backend_verdict& into) noexcept {
  // A ring's memory is mapped at these places of its descriptor.
  constexpr long mapped = PROT_READ | PROT_WRITE;
  constexpr long as_a_ring = MAP_SHARED | MAP_POPULATE;
  // What a server on this ring would not make by itself, too: its sockets may have been given to
  // it. The first is the usual one.
  static constexpr std::array<kernel_call, 14> calls = {{
      {"io_uring_setup", SYS_io_uring_setup, {0}},
      {"mmap", map_memory, {0, 4096, mapped, as_a_ring, -1, IORING_OFF_SQ_RING}},
      {"mmap", map_memory, {0, 4096, mapped, as_a_ring, -1, IORING_OFF_SQES}},
      {"io_uring_register", SYS_io_uring_register},
      {"eventfd", SYS_eventfd2, {0, -1}},
      {"io_uring_enter", SYS_io_uring_enter},
      {"bind", SYS_bind},
      {"listen", SYS_listen},
      {"getsockname", SYS_getsockname},
      {"connect", SYS_connect},
      {"sendto", SYS_sendto},
      {"recvfrom", SYS_recvfrom},
      {"setsockopt", SYS_setsockopt},
      {"getsockopt", SYS_getsockopt},
  }};
  into.usable = survives(uring_says, calls);
  if (into.usable) into.usable = uring_self_test().run();
  if (!into.usable) return;
  text_writer out(std::span(into.circumstances).first(into.circumstances.size() - 1));
  add_kernel(out);
}

}  // namespace

void ask_uring(backend_verdict& into) noexcept { verdict.ask(into, test); }

result<void> uring_verdict() noexcept {
  backend_verdict said{.which = backend::io_uring, .built = true};
  ask_uring(said);
  return said.usable;
}

#ifdef HINGE_SYS_SEAM
void forget_uring_verdict() noexcept {
  verdict.forget();
  uring_ring::forget_shortage();
}
#endif

}  // namespace hinge
