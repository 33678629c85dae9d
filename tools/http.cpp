#include "http.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace hinge::http {
namespace {

enum class persistence : std::uint8_t { implied, keep_alive, close };

struct answer {
  std::string text;
  std::size_t head = 0;  // bytes of the text before the body
};

answer make_answer(status what, persistence how, std::string_view type, std::string_view page) {
  static constexpr std::array<std::string_view, statuses> lines = {
      "",
      "200 OK",
      "400 Bad Request",
      "405 Method Not Allowed",
      "431 Request Header Fields Too Large",
      "501 Not Implemented",
      "505 HTTP Version Not Supported",
      "404 Not Found",
  };
  static constexpr std::array<std::string_view, 3> connections = {"", "Connection: keep-alive\r\n",
                                                                  "Connection: close\r\n"};
  const std::string line(lines[static_cast<std::size_t>(what)]);
  const std::string body = what == status::ok ? std::string(page) : line + "\n";
  answer made;
  made.text = "HTTP/1.1 " + line + "\r\n";
  if (what == status::method) made.text += "Allow: GET, HEAD\r\n";
  made.text.append("Content-Type: ").append(type);
  made.text += "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  made.text += connections[static_cast<std::size_t>(how)];
  made.text += "\r\n";
  made.head = made.text.size();
  made.text += body;
  return made;
}

const answer& answer_of(status what, persistence how) {
  static const auto all = [] {
    std::array<std::array<answer, 3>, statuses> made;
    for (std::size_t s = 0; s < statuses; ++s)
      for (std::size_t p = 0; p < 3; ++p)
        made[s][p] =
            make_answer(static_cast<status>(s), static_cast<persistence>(p), "text/plain", page);
    return made;
  }();
  return all[static_cast<std::size_t>(what)][static_cast<std::size_t>(how)];
}

constexpr bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/// RFC 9110, 5.6.2.
bool is_token(std::string_view text) {
  constexpr std::string_view others = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return is_letter_or_digit(c) || others.find(c) != std::string_view::npos;
  });
}

/// Control characters; among them the NUL, and the CR that no LF follows.
constexpr bool is_control(char c) { return (c >= 0 && c < ' ') || c == 0x7f; }

/// `lower` is in lower case.
bool is_name(std::string_view text, std::string_view lower) {
  return text.size() == lower.size() &&
         std::equal(text.begin(), text.end(), lower.begin(), [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
         });
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view blanks = " \t";
  const std::size_t begin = text.find_first_not_of(blanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

}  // namespace

status request::read(std::string_view line, const site* of) {
  if (line.size() < 2 || line[line.size() - 2] != '\r') return status::bad;
  line.remove_suffix(2);
  if (method == http::method::none) {
    if (!line.empty()) return read_request_line(line, of);
    bytes = 0;  // an empty line before a request is ignored (RFC 9112, 2.2)
    return status::none;
  }
  return line.empty() ? end() : read_field(line);
}

status request::read_request_line(std::string_view line, const site* of) {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == last) return status::bad;  // none, or one
  const std::string_view name = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (!is_token(name) || target.empty() ||
      std::any_of(target.begin(), target.end(), [](char c) { return c == ' ' || is_control(c); }))
    return status::bad;
  if (version.size() != 8 || !version.starts_with("HTTP/") || !is_digit(version[5]) ||
      version[6] != '.' || !is_digit(version[7]))
    return status::bad;
  if (version[5] != '1') return status::version;
  version_1_1 = version[7] != '0';
  elsewhere = of != nullptr && target.substr(0, target.find('?')) != of->target;
  if (name == "GET") {
    method = http::method::get;
  } else if (name == "HEAD") {
    method = http::method::head;
  } else {
    method = http::method::other;
  }
  return status::none;
}

status request::read_field(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return status::bad;
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trim(line.substr(colon + 1));
  if (!is_token(name)) return status::bad;
  if (std::any_of(value.begin(), value.end(), [](char c) { return c != '\t' && is_control(c); }))
    return status::bad;
  if (is_name(name, "host")) {
    if (host) return status::bad;
    host = true;
  } else if (is_name(name, "connection")) {
    read_connection(value);
  } else if (is_name(name, "content-length")) {
    return read_length(value);
  } else if (is_name(name, "transfer-encoding")) {
    encoding = true;
  } else if (is_name(name, "expect")) {
    expects = true;
  }
  return status::none;
}

status request::read_length(std::string_view value) {
  const char* const end = value.data() + value.size();
  const auto [read, failed] = std::from_chars(value.data(), end, body);
  if (length || failed != std::errc() || read != end) return status::bad;
  length = true;
  return status::none;
}

void request::read_connection(std::string_view value) {
  while (true) {
    const std::size_t comma = value.find(',');
    const std::string_view option = trim(value.substr(0, comma));
    if (is_name(option, "close")) close = true;
    if (is_name(option, "keep-alive")) keep_alive = true;
    if (comma == std::string_view::npos) return;
    value.remove_prefix(comma + 1);
  }
}

status request::end() const {
  if (version_1_1 && !host) return status::bad;
  if (encoding && (length || !version_1_1)) return status::bad;
  if (method == http::method::other) return status::method;
  if (encoding) return status::encoding;
  return elsewhere ? status::missing : status::ok;
}

bool request::persists() const noexcept {
  // Whether an expected body comes is the client's decision after the answer (RFC 9110, 10.1.1).
  if (encoding || (expects && body != 0) || close) return false;
  return version_1_1 || keep_alive;
}

outcome session::receive(std::string_view bytes, std::string& answers, bool last, const site* of) {
  while (!bytes.empty()) {
    const auto skipped = std::min<std::uint64_t>(body_left_, bytes.size());
    body_left_ -= skipped;
    bytes.remove_prefix(skipped);
    if (bytes.empty()) break;

    const std::size_t end = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, end == bytes.npos ? end : end + 1);
    bytes.remove_prefix(piece.size());
    status found = status::too_large;
    if (request_.bytes + piece.size() <= head_limit) {
      request_.bytes = static_cast<std::uint16_t>(request_.bytes + piece.size());
      if (line_ != nullptr) {
        line_->append(piece);
      } else if (end == bytes.npos) {
        line_ = std::make_unique<std::string>(piece);
      }
      if (end == bytes.npos) break;
      found = request_.read(line_ != nullptr ? *line_ : piece, of);
      line_.reset();
    }
    if (found == status::none) continue;

    const bool understood =
        found == status::ok || found == status::method || found == status::missing;
    const bool persists = understood && !last && request_.persists();
    const persistence how = !persists               ? persistence::close
                            : !request_.version_1_1 ? persistence::keep_alive
                                                    : persistence::implied;
    answer own;
    const bool of_site = of != nullptr && found == status::ok;
    if (of_site) own = make_answer(found, how, of->type, of->page());
    const answer& reply = of_site ? own : answer_of(found, how);
    const bool head = request_.method == method::head;
    answers.append(reply.text, 0, head ? reply.head : reply.text.size());
    const request answered = std::exchange(request_, {});
    if (!persists) {
      const bool all_read = understood && !answered.encoding && bytes.size() == answered.body;
      return all_read ? outcome::finish : outcome::linger;
    }
    body_left_ = answered.body;
  }
  return outcome::open;
}

}  // namespace hinge::http
