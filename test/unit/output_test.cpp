// Lines into a pipe that is full now and then: none is glued to the half of another one.
#include <output.hpp>

#include <catch2/catch_test_macros.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <string>

using hinge::line_output;

namespace {

struct slow_reader {
  std::array<int, 2> ends{};

  slow_reader() { REQUIRE(::pipe(ends.data()) == 0); }
  slow_reader(const slow_reader&) = delete;
  slow_reader& operator=(const slow_reader&) = delete;
  ~slow_reader() {
    for (const int end : ends) ::close(end);
  }
  int to() const { return ends[1]; }
  /// All that is there.
  std::string read() const {
    std::string all;
    std::array<char, 1 << 16> room{};
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    for (ssize_t got = 0; (got = ::read(ends[0], room.data(), room.size())) > 0;)
      all.append(room.data(), static_cast<std::size_t>(got));
    return all;
  }
  /// Leaves room for one piece.
  void fill() const {
    const std::string piece(PIPE_BUF, '.');
    while (hinge::write_at_once(to(), piece) == 0)
      ;
    std::array<char, PIPE_BUF> room{};
    REQUIRE(::read(ends[0], room.data(), room.size()) == PIPE_BUF);
  }
};

}  // namespace

TEST_CASE("A line that was cut ends before the next one") {
  const slow_reader reader;
  line_output out(reader.to());
  reader.fill();
  REQUIRE(out.write(std::string(2 * PIPE_BUF, 'a')) == EAGAIN);
  // Those that are dropped whole meanwhile don't change that.
  CHECK(out.write("b") == EAGAIN);
  CHECK(out.write("c") == EAGAIN);
  const std::string before = reader.read();
  CHECK(before.ends_with(std::string(PIPE_BUF, 'a')));
  CHECK(out.write("d") == 0);
  CHECK(out.write("e") == 0);
  CHECK(reader.read() == "\nd\ne\n");
}

TEST_CASE("A line that is dropped whole leaves no trace") {
  const slow_reader reader;
  line_output out(reader.to());
  reader.fill();
  CHECK(out.write(std::string(PIPE_BUF - 1, 'a')) == 0);
  CHECK(out.write(std::string(PIPE_BUF - 1, 'b')) == EAGAIN);
  CHECK(reader.read().ends_with(std::string(PIPE_BUF - 1, 'a') + '\n'));
  CHECK(out.write("c") == 0);
  CHECK(reader.read() == "c\n");
}
