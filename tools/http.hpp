// The server's side of HTTP/1.1 (RFC 9112), as far as one fixed page needs it: bytes in, bytes out,
// no sockets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace hinge::http {

/// Most bytes of a request's head, that is, its request line and fields; above that: 431.
inline constexpr std::size_t head_limit = 8 * 1024;

/// What a 200 carries; to HEAD it tells the length alone.
inline constexpr std::string_view page = "hello from hinge\n";

/// The answers to N bytes are at most answer_growth * N + longest_answer bytes long.
inline constexpr std::size_t answer_growth = 8;
inline constexpr std::size_t longest_answer = 256;

enum class method : std::uint8_t { none, get, head, other };
enum class status : std::uint8_t { none, ok, bad, method, too_large, encoding, version, missing };
inline constexpr std::size_t statuses = 8;

/// What to do with the connection once the answers are sent.
enum class outcome : std::uint8_t {
  open,    ///< more requests may come
  finish,  ///< close; the client has nothing under way
  linger,  ///< end the sending side and discard what the client still sends
};

/// One page in place of the fixed one: any other target gets 404.
struct site {
  std::string_view target;  ///< "/metrics"; what follows a '?' is ignored
  std::string_view type;    ///< Content-Type
  std::function<std::string()> page;
};

/// The head of one request, line by line.
struct request {
  std::uint64_t body = 0;  ///< Content-Length
  std::uint16_t bytes = 0;
  http::method method = http::method::none;
  bool version_1_1 : 1 = false;
  bool host : 1 = false;
  bool length : 1 = false;
  bool encoding : 1 = false;
  bool expects : 1 = false;
  bool close : 1 = false;
  bool keep_alive : 1 = false;
  bool elsewhere : 1 = false;  ///< not the site's target

  /// Takes a line with its end. `none` while lines follow; otherwise what to answer. Null: every
  /// target is there.
  status read(std::string_view line, const site* of = nullptr);
  /// After `ok` or `method`: whether the answer leaves the connection open.
  bool persists() const noexcept;

private:
  status read_request_line(std::string_view line, const site* of);
  status read_field(std::string_view line);
  status read_length(std::string_view value);
  void read_connection(std::string_view value);
  status end() const;
};

/// One connection's requests. 32 bytes, and a buffer while a line is incomplete.
///
/// GET and HEAD get 200 for any target, other methods 405; a body that Content-Length announces is
/// skipped. Transfer-Encoding gets 501, another major version 505, a head over head_limit 431, and
/// what is malformed 400; these close. Malformed is also what two readers might read differently
/// (RFC 9112, 11.2): a bare LF or CR, a folded field, a blank before a colon, HTTP/1.1 without
/// Host, a second Host or Content-Length, Content-Length beside Transfer-Encoding.
class session {
public:
  /// Reads the next bytes of the stream, cut anywhere, and appends the answers that they complete;
  /// with `last` the first of them closes. Anything but `open` is the session's end.
  /// The answers of a site can be long: ask for one at a time, with `last`.
  outcome receive(std::string_view bytes, std::string& answers, bool last = false,
                  const site* of = nullptr);

  /// Nothing of a request has been read since the last one ended.
  bool between_requests() const noexcept { return request_.bytes == 0 && body_left_ == 0; }

private:
  std::unique_ptr<std::string> line_;  // the beginning of a line whose end has not come
  std::uint64_t body_left_ = 0;
  request request_;
};
static_assert(sizeof(session) == 32);

}  // namespace hinge::http
