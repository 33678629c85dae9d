// Any bytes as requests. The first byte says how the rest is cut: however that is, the answers are
// the same, and not longer than was promised.
#include <algorithm>

#include "fuzz/fuzz.hpp"
#include "http.hpp"

using hinge::fuzz::must;
namespace http = hinge::http;

namespace {

struct conversation {
  std::string answers;
  http::outcome end = http::outcome::open;
};

/// In pieces of `length`.
conversation talk(std::string_view bytes, std::size_t length) {
  http::session session;
  conversation heard;
  while (!bytes.empty() && heard.end == http::outcome::open) {
    const std::string_view piece = bytes.substr(0, length);
    bytes.remove_prefix(piece.size());
    const std::size_t before = heard.answers.size();
    heard.end = session.receive(piece, heard.answers);
    must(heard.answers.size() - before <= http::answer_growth * piece.size() + http::longest_answer,
         "longer answers than promised");
  }
  return heard;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes = hinge::fuzz::text_of({data + 1, size - 1});
  const conversation whole = talk(bytes, std::max<std::size_t>(bytes.size(), 1));
  const conversation cut = talk(bytes, 1 + data[0] % 32);
  must(whole.answers == cut.answers, "other answers when the bytes come in pieces");
  // Whether all of the last request was there by then is a matter of the pieces.
  must((whole.end == http::outcome::open) == (cut.end == http::outcome::open),
       "another end when the bytes come in pieces");
  must(whole.answers.empty() || whole.answers.starts_with("HTTP/1.1 "), "no HTTP");
  return 0;
}
