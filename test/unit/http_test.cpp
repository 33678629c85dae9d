#include <http.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace http = hinge::http;
using http::outcome;

namespace {

constexpr std::string_view get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

struct exchange {
  std::string answers;
  outcome end = outcome::open;

  /// The status codes, in order.
  std::vector<int> codes() const {
    std::vector<int> found;
    for (std::size_t at = 0; (at = answers.find("HTTP/1.1 ", at)) != std::string::npos; ++at)
      found.push_back(std::stoi(answers.substr(at + 9, 3)));
    return found;
  }
};

/// What one session makes of the stream when it arrives in pieces of at most `piece` bytes.
exchange talk(std::string_view stream, std::size_t piece = 1 << 20, bool last = false) {
  http::session session;
  exchange made;
  while (!stream.empty() && made.end == outcome::open) {
    made.end = session.receive(stream.substr(0, piece), made.answers, last);
    stream.remove_prefix(std::min(piece, stream.size()));
  }
  return made;
}

std::string request(std::string_view line, std::string_view fields = "Host: a\r\n") {
  return std::string(line) + "\r\n" + std::string(fields) + "\r\n";
}

std::vector<int> codes(const std::string& stream) { return talk(stream).codes(); }

const std::vector<int> ok = {200};
const std::vector<int> bad = {400};

}  // namespace

TEST_CASE("GET answers the page and leaves the connection open") {
  const exchange made = talk(get);
  CHECK(made.end == outcome::open);
  CHECK(made.answers ==
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 17\r\n\r\n"
        "hello from hinge\n");
}

TEST_CASE("HEAD answers what GET would, without the body") {
  const std::string whole = talk(get).answers;
  CHECK(talk(request("HEAD / HTTP/1.1")).answers ==
        whole.substr(0, whole.size() - http::page.size()));
  CHECK(talk(request("HEAD / HTTP/1.1", "")).answers.ends_with("\r\n\r\n"));
}

TEST_CASE("any target is the page") {
  for (const char* target : {"/", "/a/b?c=d", "*", "http://a/b", "/\x80\xff"})
    CHECK(codes(request("GET " + std::string(target) + " HTTP/1.1")) == ok);
}

TEST_CASE("pipelined requests are answered in order") {
  std::string stream;
  for (int i = 0; i < 100; ++i)
    stream += request(i % 3 == 0 ? "BREW / HTTP/1.1" : "GET / HTTP/1.1");
  const std::vector<int> found = codes(stream);
  REQUIRE(found.size() == 100);
  for (std::size_t i = 0; i < found.size(); ++i) CHECK(found[i] == (i % 3 == 0 ? 405 : 200));
}

TEST_CASE("a method that isn't served is told which are, and the connection goes on") {
  const exchange made = talk(request("DELETE /x HTTP/1.1") + std::string(get));
  CHECK(made.codes() == std::vector{405, 200});
  CHECK(made.answers.find("Allow: GET, HEAD\r\n") != std::string::npos);
  CHECK(codes(request("get / HTTP/1.1")) == std::vector{405});
}

TEST_CASE("who closes") {
  struct row {
    const char* line;
    const char* fields;
    outcome end;
    const char* connection;
  };
  const row rows[] = {
      {"GET / HTTP/1.1", "Host: a\r\n", outcome::open, ""},
      {"GET / HTTP/1.1", "Host: a\r\nConnection: keep-alive\r\n", outcome::open, ""},
      {"GET / HTTP/1.1", "Host: a\r\nConnection: close\r\n", outcome::finish, "close"},
      {"GET / HTTP/1.1", "Host: a\r\nconnection: Upgrade ,\tCLOSE\r\n", outcome::finish, "close"},
      {"GET / HTTP/1.1", "Host: a\r\nConnection: closed\r\n", outcome::open, ""},
      {"GET / HTTP/1.7", "Host: a\r\n", outcome::open, ""},
      {"GET / HTTP/1.0", "", outcome::finish, "close"},
      {"GET / HTTP/1.0", "Connection: Keep-Alive\r\n", outcome::open, "keep-alive"},
      {"GET / HTTP/1.0", "Connection: keep-alive, close\r\n", outcome::finish, "close"},
      {"PUT / HTTP/1.0", "Connection: keep-alive\r\n", outcome::open, "keep-alive"},
  };
  for (const row& r : rows) {
    INFO(r.line << " " << r.fields);
    const exchange made = talk(request(r.line, r.fields));
    CHECK(made.end == r.end);
    const std::size_t at = made.answers.find("Connection: ");
    const std::string named = at == std::string::npos ? "" : made.answers.substr(at + 12);
    CHECK(named.substr(0, named.find('\r')) == r.connection);
  }
}

TEST_CASE("the last answer is so on request, and ends the session") {
  const exchange made = talk(get, 1 << 20, true);
  CHECK(made.end == outcome::finish);
  CHECK(made.answers.find("Connection: close\r\n") != std::string::npos);
  // What came after it means a client that is still sending.
  const exchange more = talk(std::string(get) + "GET", 1 << 20, true);
  CHECK(more.end == outcome::linger);
  CHECK(more.codes() == ok);
}

TEST_CASE("bodies are skipped") {
  const std::string body = "GET / HTTP/1.1\r\nHost: b\r\n\r\n";  // looks like a request, and isn't
  const std::string length = "Host: a\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  CHECK(codes(request("GET / HTTP/1.1", length) + body + std::string(get)) ==
        std::vector{200, 200});
  CHECK(codes(request("POST / HTTP/1.1", length) + body + std::string(get)) ==
        std::vector{405, 200});
  CHECK(codes(request("GET / HTTP/1.1", "Host: a\r\nContent-Length: 0\r\n") + std::string(get)) ==
        std::vector{200, 200});

  const std::string closing = request("POST / HTTP/1.1", length + "Connection: close\r\n");
  CHECK(talk(closing + body).end == outcome::finish);
  CHECK(talk(closing + body.substr(1)).end == outcome::linger);
  CHECK(talk(closing).end == outcome::linger);

  const std::string expecting = request("GET / HTTP/1.1", length + "Expect: 100-continue\r\n");
  CHECK(talk(expecting).end == outcome::linger);
  CHECK(talk(expecting).codes() == ok);
}

TEST_CASE("what is malformed is refused") {
  const std::string lines[] = {
      "GET",
      "GET /",
      "GET  / HTTP/1.1",
      "GET /  HTTP/1.1",
      " GET / HTTP/1.1",
      "GET / HTTP/1.1 ",
      "GET /a b HTTP/1.1",
      "GET / HTTP/1",
      "GET / HTTP/11",
      "GET / HTTP/1.x",
      "GET / http/1.1",
      "GET / HTTPS/1.1",
      "G\tT / HTTP/1.1",
      "GET /\r HTTP/1.1",
      std::string("GET /\0 HTTP/1.1", 15),
      "GET / HTTP/1.1\n",
      "{\"a\": 1}",
  };
  for (const std::string& line : lines) {
    INFO(line);
    CHECK(codes(request(line)) == bad);
  }
  const std::string fields[] = {
      "",
      "Host: a\r\nHost: a\r\n",
      "Host : a\r\n",
      "Host: a\r\n folded\r\n",
      "Host: a\r\nNo colon\r\n",
      "Host: a\r\n: empty\r\n",
      "Host: a\r\nX: a\rb\r\n",
      std::string("Host: a\r\nX: a\0b\r\n", 16),
      "Host: a\r\nX: a\nY: b\r\n",
      "Host: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
      "Host: a\r\nContent-Length: 1, 1\r\n",
      "Host: a\r\nContent-Length: -1\r\n",
      "Host: a\r\nContent-Length: +1\r\n",
      "Host: a\r\nContent-Length: 0x1\r\n",
      "Host: a\r\nContent-Length:\r\n",
      "Host: a\r\nContent-Length: 18446744073709551616\r\n",
      "Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
  };
  for (const std::string& field : fields) {
    INFO(field);
    const exchange made = talk(request("GET / HTTP/1.1", field));
    CHECK(made.codes() == bad);
    CHECK(made.end == outcome::linger);
    CHECK(made.answers.find("Connection: close\r\n") != std::string::npos);
  }
  CHECK(codes("GET / HTTP/1.1\nHost: a\n\n") == bad);
  CHECK(codes("\n" + std::string(get)) == bad);
  CHECK(codes(request("GET / HTTP/1.0", "Transfer-Encoding: chunked\r\n")) == bad);
}

TEST_CASE("what isn't served is refused by its name") {
  CHECK(codes(request("GET / HTTP/2.0")) == std::vector{505});
  CHECK(codes(request("GET / HTTP/1.1", "Host: a\r\nTransfer-Encoding: chunked\r\n")) ==
        std::vector{501});
  // A method that isn't served stays the first reason; without the body's length it closes.
  const exchange post =
      talk(request("POST / HTTP/1.1", "Host: a\r\nTransfer-Encoding: chunked\r\n"));
  CHECK(post.codes() == std::vector{405});
  CHECK(post.end == outcome::linger);
}

TEST_CASE("fields that mean nothing here are passed over") {
  CHECK(codes(request("GET / HTTP/1.1", "Host:\r\nX:\r\nY: \t a:b\tc \r\nZ: \xff\r\n")) == ok);
  CHECK(codes("\r\n\r\n" + std::string(get) + "\r\n" + std::string(get)) == std::vector{200, 200});
}

TEST_CASE("a head of 8 KiB is read, a byte more is too large") {
  const auto of_size = [](std::size_t size) {
    const std::string frame = request("GET / HTTP/1.1", "Host: a\r\nX: \r\n");
    return request("GET / HTTP/1.1",
                   "Host: a\r\nX: " + std::string(size - frame.size(), 'x') + "\r\n");
  };
  const std::size_t piece = GENERATE(1UL, 100UL, 8191UL, 8192UL, 8193UL, 1UL << 20);
  CHECK(talk(of_size(http::head_limit), piece).codes() == ok);
  CHECK(talk(of_size(http::head_limit) + of_size(http::head_limit), piece).codes() ==
        std::vector{200, 200});
  const exchange over = talk(of_size(http::head_limit + 1), piece);
  CHECK(over.codes() == std::vector{431});
  CHECK(over.end == outcome::linger);
  CHECK(talk(std::string(1 << 20, 'G'), piece).codes() == std::vector{431});
}

TEST_CASE("between requests") {
  http::session session;
  std::string answers;
  CHECK(session.between_requests());
  session.receive("GET / HT", answers);
  CHECK_FALSE(session.between_requests());
  session.receive("TP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n", answers);
  CHECK_FALSE(session.between_requests());
  session.receive("x", answers);
  CHECK_FALSE(session.between_requests());
  session.receive("y", answers);
  CHECK(session.between_requests());
  session.receive("\r\n", answers);
  CHECK(session.between_requests());
}

TEST_CASE("the answers don't depend on where the reads cut the stream") {
  const std::string stream =
      "\r\n" + std::string(get) + request("HEAD /a HTTP/1.1") +
      request("POST /b HTTP/1.1", "Host: a\r\nContent-Length: 11\r\n") + "hello\r\n\r\n!!" +
      request("GET / HTTP/1.0", "Connection: keep-alive\r\n") + std::string(get);
  const std::string ends[] = {"",
                              request("GET / HTTP/1.1", ""),
                              request("GET / HTTP/3.0"),
                              "GET / HTTP/1.1\n\n",
                              request("GET / HTTP/1.1", "Host: a\r\nConnection: close\r\n"),
                              std::string(9000, 'x')};
  std::mt19937 random(4711);
  for (const std::string& end : ends) {
    const exchange whole = talk(stream + end);
    REQUIRE(whole.codes().size() >= 5);
    for (const std::size_t piece : {1, 2, 3, 7, 64, 100}) {
      const exchange cut = talk(stream + end, piece);
      CHECK(cut.answers == whole.answers);
      CHECK((cut.end == outcome::open) == (whole.end == outcome::open));
    }
    for (int i = 0; i < 200; ++i) {
      http::session session;
      std::string answers;
      std::string_view left = stream;
      const auto begin = left.substr(0, random() % left.size());
      CHECK(session.receive(begin, answers) == outcome::open);
      const std::string rest(stream.substr(begin.size()) + end);
      if (!rest.empty()) session.receive(rest, answers);
      CHECK(answers == whole.answers);
    }
  }
}

TEST_CASE("answers are bounded by what was read") {
  const std::string requests[] = {
      "G / HTTP/1.1\r\nHost:\r\n\r\n",
      "G / HTTP/1.0\r\nConnection:keep-alive\r\n\r\n",
      "HEAD / HTTP/1.1\r\nHost:\r\n\r\n",
      "GET / HTTP/1.1\r\nHost:\r\n\r\n",
  };
  for (const std::string& shortest : requests) {
    std::string stream;
    for (int i = 0; i < 1000; ++i) stream += shortest;
    const exchange made = talk(stream);
    CHECK(made.codes().size() == 1000);
    CHECK(made.answers.size() <= stream.size() * http::answer_growth);
  }
  CHECK(talk("\n").answers.size() <= http::longest_answer);
  CHECK(talk(std::string(9000, 'x')).answers.size() <= http::longest_answer);
}

TEST_CASE("a site has one page, made when it is asked for") {
  int made = 0;
  const http::site site{.target = "/figures", .type = "text/x", .page = [&] {
                          return "page " + std::to_string(++made) + "\n";
                        }};
  const auto answered = [&](const std::string& target) {
    std::string answers;
    http::session session;
    CHECK(session.receive("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n", answers, true, &site) ==
          http::outcome::finish);
    return answers;
  };
  CHECK(answered("/figures") ==
        "HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Length: 7\r\nConnection: "
        "close\r\n\r\npage 1\n");
  CHECK(answered("/figures?x").ends_with("page 2\n"));
  CHECK(answered("/figures/").starts_with("HTTP/1.1 404 Not Found\r\n"));
  CHECK(answered("/").starts_with("HTTP/1.1 404 Not Found\r\n"));
  CHECK(made == 2);
}
