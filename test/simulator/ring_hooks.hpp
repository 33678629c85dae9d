// Looks at every request to io_uring and every completion, and makes some of them go wrong as the
// kernel would: a request that is to fail is one that the kernel itself refuses, so that links
// break and multishot requests end as they do in earnest; only the errno is written in afterwards.
#pragma once

#include "ring_sys.hpp"
#include "simulator/random.hpp"
#include "sys.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hinge::test {

/// The calls of lib/ring_sys.hpp.
enum class ring_call_id : std::uint8_t {
#define HINGE_CALL_NAME(returned, name, parameters, arguments) name,
  HINGE_RING_CALLS(HINGE_CALL_NAME)
#undef HINGE_CALL_NAME
};
inline constexpr std::array ring_call_names = {
#define HINGE_CALL_TEXT(returned, name, parameters, arguments) std::string_view(#name),
    HINGE_RING_CALLS(HINGE_CALL_TEXT)
#undef HINGE_CALL_TEXT
};

/// A request as the library made it; the names are those of io_uring_enter(2).
struct request_seen {
  std::uint8_t opcode;  // IORING_OP_*
  std::uint8_t flags;   // IOSQE_*
  std::uint16_t ioprio;
  int fd;
  std::uint32_t length;
  std::uint32_t op_flags;
  std::uint32_t file_index;
  std::uint64_t name;
};

/// A completion as the library sees it.
struct completion_seen {
  std::uint64_t name;
  std::int32_t result;
  std::uint32_t flags;
};

/// What becomes of a request. It is untouched unless one of these is set.
struct request_fate {
  /// The errno with which it fails instead of being done. A close that fails has closed all the
  /// same, as on Linux; a request to cancel that fails came too late, for nothing was left of what
  /// it was about.
  int code = 0;
  /// send: bytes that go, when that is less than all; 0: as many as there are.
  std::uint32_t length = 0;
  /// A multishot request ends with its first completion.
  bool lone = false;
  /// A multishot receive says with its first bytes that it goes on and that more is there, and is
  /// never heard of again before it is cancelled.
  bool stalls = false;
};

/// In force while it lives, over the table that was in force before. The members are for the
/// thread that made it, while no other turns a loop.
class ring_hooks {
public:
  /// Asked for each request and each call with its number, counted from 1 for each opcode and
  /// each kind of call. A call: 0, or the -errno with which it fails instead of being made.
  using request_decision = std::function<request_fate(const request_seen&, std::uint64_t nth)>;
  using call_decision = std::function<int(ring_call_id, std::uint64_t nth)>;

  explicit ring_hooks(request_decision request = {}, call_decision call = {});
  ~ring_hooks();
  ring_hooks(const ring_hooks&) = delete;
  ring_hooks& operator=(const ring_hooks&) = delete;

  /// From here on completions of different tokens come in any order.
  void reorder(std::uint64_t seed) { order_.emplace(seed); }
  /// From here on some completions are seen a turn or more late; those of a token keep their order.
  void delay(std::uint64_t seed) { late_.emplace(seed); }
  /// After its completion number `nth` a request of that opcode that goes on ends with that errno.
  void end_after(std::uint8_t opcode, std::uint64_t nth, int code) {
    ending_ = {opcode, nth, code};
  }
  /// Whether that has happened.
  bool has_ended() const { return ending_.nth == 0; }

  std::uint64_t count(ring_call_id what) const { return calls_[static_cast<std::size_t>(what)]; }
  /// Times that the library entered the kernel to submit or to wait.
  std::uint64_t entered() const;
  std::uint64_t count(std::uint8_t opcode) const { return requests_made_[opcode]; }
  const std::vector<request_seen>& requests() const { return requests_; }
  const std::vector<completion_seen>& completions() const { return completions_; }

  /// Whether an accept is under way on that listening descriptor.
  bool accepts_on(int fd) const;
  /// Ends the accept that is under way there with that errno, told with the next turn.
  void fail_armed_accept(int fd, int code);

  /// What was closed while the kernel held a request on it.
  const std::vector<std::string>& violations() const { return violations_; }
  void forgive() { violations_.clear(); }

  // For the tables' functions.
  static ring_hooks& current() { return *current_; }
  const sys::ring_table& under() const { return under_; }
  int before(ring_call_id what);
  void opened(io_uring& ring);
  void exited(const io_uring* ring);
  void prepared(io_uring_sqe& request);
  void completed(io_uring& ring);
  int close(int fd);

private:
  /// What the kernel holds: a request, or a send and the close that is linked behind it.
  struct under_way {
    std::uint8_t opcode;
    int fd;
    std::uint64_t name;
    std::uint64_t close_name = 0;  // of the linked close; 0: none
    // A completion of `changed_name` that says `from` is made to say `to`.
    std::uint64_t changed_name = 0;
    int from = 0;
    int to = 0;
    bool stalls = false;   // with its first bytes
    bool stalled = false;  // the kernel has nothing of it any more
  };
  struct ring_state {
    std::vector<under_way> held;
    std::deque<completion_seen> late;
    unsigned seen = 0;  // completions that were looked at: the queue's tail of then
    bool link_open = false;
    bool link_broken = false;
  };

  /// What end_after() asks for; nth counts down.
  struct end_wanted {
    std::uint8_t opcode = 0;
    std::uint64_t nth = 0;
    int code = 0;
  };

  ring_state& ring_of(const io_uring_sqe& request);
  void prepared_unnamed(ring_state& of, io_uring_sqe& request, int code);
  void prepared_cancel(ring_state& of, io_uring_sqe& request, const request_fate& fate);
  void prepared_close(ring_state& of, io_uring_sqe& request, const request_fate& fate);
  void prepared_other(ring_state& of, io_uring_sqe& request, const request_fate& fate);
  void must_not_be_held(int fd, const char* closer);
  void permute(io_uring& ring, unsigned from, unsigned to);
  void put_off(io_uring& ring, ring_state& of, io_uring_cqe& one);
  void look_at(io_uring& ring, ring_state& of, io_uring_cqe& one);
  bool end(io_uring& ring, under_way& one, int code);

  static ring_hooks* current_;
  sys::ring_table under_;
  int (*under_close_)(int) noexcept;
  request_decision decide_request_;
  call_decision decide_call_;
  std::optional<sim::random_source> order_;
  std::optional<sim::random_source> late_;
  end_wanted ending_;
  std::array<std::uint64_t, ring_call_names.size()> calls_{};
  std::array<std::uint64_t, 256> requests_made_{};
  std::vector<request_seen> requests_;
  std::vector<completion_seen> completions_;
  std::vector<std::string> violations_;
  std::map<io_uring*, ring_state> rings_;
  std::mutex mutex_;
};

}  // namespace hinge::test
