#include <hinge/error.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cerrno>
#include <memory>
#include <string>

using hinge::error;
using hinge::fail;
using hinge::result;

namespace {

result<std::unique_ptr<int>> halve(int number) {
  if (number % 2 != 0) return fail("halve", std::to_string(number), EINVAL);
  return std::make_unique<int>(number / 2);
}

result<void> check_even(int number) {
  const auto half = halve(number);
  if (!half) return fail(half.error());
  return {};
}

}  // namespace

TEST_CASE("an error shows call, argument, errno and meaning") {
  CHECK(error("bind", "127.0.0.1:80", EACCES).text() ==
        "bind 127.0.0.1:80: EACCES: Permission denied");
  CHECK(error("epoll_create1", "", EMFILE).text() == "epoll_create1: EMFILE: Too many open files");
  CHECK(error("parse", "x", 0).text() == "parse x");
}

TEST_CASE("an error owns its argument") {
  std::string argument = "127.0.0.1:80";
  const error made("bind", argument, EACCES);
  argument.assign(argument.size(), '!');
  const error copy = made;  // NOLINT: the copy is the point
  CHECK(copy.argument() == "127.0.0.1:80");
  CHECK(copy.code() == EACCES);
  CHECK(std::string(copy.call()) == "bind");
}

TEST_CASE("an argument is cut to its capacity, not beyond") {
  const std::string fits(error::argument_capacity, 'a');
  CHECK(error("open", fits, ENOENT).argument() == fits);
  CHECK(error("open", fits + "b", ENOENT).argument() == fits);
  CHECK(error("open", std::string(100'000, 'a'), ENOENT).argument() == fits);
}

TEST_CASE("every errno of this system has a name and a meaning") {
  CHECK(hinge::errno_name(EADDRINUSE) == "EADDRINUSE");
  CHECK(hinge::errno_name(EAGAIN) == "EAGAIN");
  CHECK(hinge::errno_name(ENOTSOCK) == "ENOTSOCK");
  CHECK(hinge::errno_name(ECONNRESET) == "ECONNRESET");
  CHECK(hinge::errno_name(4711) == "errno 4711");
  CHECK(hinge::errno_name(-5) == "errno -5");
  CHECK(hinge::errno_meaning(EADDRINUSE) == "Address already in use");
  CHECK_FALSE(hinge::errno_meaning(4711).empty());
}

TEST_CASE("a result holds a value or the reason") {
  auto good = halve(84);
  REQUIRE(good);
  CHECK(good.has_value());
  CHECK(**good == 42);
  const std::unique_ptr<int> taken = *std::move(good);
  CHECK(*taken == 42);

  const auto bad = halve(7);
  REQUIRE_FALSE(bad);
  CHECK(bad.error().text() == "halve 7: EINVAL: Invalid argument");
}

TEST_CASE("value_or gives the value or the other") {
  CHECK(result<int>(4).value_or(9) == 4);
  CHECK(result<int>(fail("read", "", EIO)).value_or(9) == 9);
}

TEST_CASE("a result without a value passes the reason on") {
  CHECK(check_even(8));
  const result<void> odd = check_even(9);
  REQUIRE_FALSE(odd);
  CHECK(odd.error().code() == EINVAL);
  CHECK(odd.error().argument() == "9");
}
