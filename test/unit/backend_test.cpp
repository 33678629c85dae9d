// The names of backends, which of them a build has, and the report on their use.
#include <hinge/backend.hpp>

#include "support/descriptors.hpp"
#include "support/readiness_poller.hpp"

#include <catch2/catch_test_macros.hpp>

#include <sys/utsname.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

using hinge::backend;
using hinge::backend_choice;
using hinge::backend_list;
using hinge::backend_named;
using hinge::backend_verdict;

TEST_CASE("a backend and its name belong to one another, built or not") {
  CHECK(hinge::backend_name(backend::automatic) == "auto");
  CHECK(hinge::backend_name(backend::epoll) == "epoll");
  CHECK(hinge::backend_name(backend::io_uring) == "uring");
  CHECK(hinge::backend_name(backend::kqueue) == "kqueue");
  CHECK(hinge::backend_name(static_cast<backend>(200)) == "unknown");
  for (const backend one : {backend::automatic, backend::epoll, backend::io_uring, backend::kqueue})
    CHECK(backend_named(hinge::backend_name(one)) == one);
  for (const char* stranger : {"", "unknown", "Epoll", "epoll ", "io_uring", "list"})
    CHECK_FALSE(backend_named(stranger));
}

TEST_CASE("what is built stands in the order of preference") {
  const auto built = hinge::built_backends();
  const std::vector<backend> found(built.begin(), built.end());
  std::vector<backend> wanted;
#ifdef HINGE_HAVE_URING
  wanted.push_back(backend::io_uring);
#endif
#ifdef HINGE_HAVE_EPOLL
  wanted.push_back(backend::epoll);
#endif
#ifdef HINGE_HAVE_KQUEUE
  wanted.push_back(backend::kqueue);
#endif
  CHECK(found == wanted);
}

TEST_CASE("the report has all candidates in order, and the first usable one is chosen") {
  const backend_choice report = hinge::backend_report();
  std::vector<backend> built;
  for (const backend_verdict& one : report.candidates()) {
    CAPTURE(hinge::backend_name(one.which));
    if (one.built) built.push_back(one.which);
    CHECK(one.built == (one.text() != "not built"));
    if (!one.built) CHECK(one.usable.error().code() == EINVAL);
  }
  CHECK(std::equal(built.begin(), built.end(), hinge::built_backends().begin(),
                   hinge::built_backends().end()));
  CHECK(report.candidates().size() == hinge::backend_count);
  const auto first = std::find_if(report.candidates().begin(), report.candidates().end(),
                                  [](const backend_verdict& one) { return bool(one.usable); });
  REQUIRE(first != report.candidates().end());
  CHECK(report.chosen() == first->which);
}

TEST_CASE("the report is one sentence that says why") {
  const backend_choice report = hinge::backend_report();
  const std::string said = report.text();
  CAPTURE(said);
  CHECK(said.find('\n') == std::string::npos);
  utsname system;
  REQUIRE(::uname(&system) == 0);
  if (report.chosen() == backend::io_uring) {
    CHECK(said == "io_uring: self-test passed on Linux " + std::string(system.release));
  } else {
    const std::string chosen(backend_name(report.chosen()));
    CHECK(said.starts_with(chosen + ": usable (" + report.candidates().front().line()));
    CHECK(said.ends_with(")"));
  }
}

TEST_CASE("a verdict says what was refused, and what may be why") {
  backend_verdict one{.which = backend::io_uring, .built = true};
  CHECK(one.line() == "io_uring: usable");
  one.circumstances = {"Linux 6.1.0"};
  CHECK(one.line() == "io_uring: self-test passed on Linux 6.1.0");
  one.circumstances = {};
  one.usable = hinge::fail("io_uring_setup", "a ring", EPERM);
  CHECK(one.line() == "io_uring: refused: EPERM");
  one.circumstances = {"seccomp mode 2"};
  CHECK(one.line() == "io_uring: refused: EPERM, seccomp mode 2");
  one.usable = hinge::fail("self-test:", "receive", EACCES);
  CHECK(one.text() == "refused: EACCES at self-test: receive, seccomp mode 2");
  one.usable = hinge::fail("epoll_create1", "EPOLL_CLOEXEC", EMFILE);
  CHECK(one.text() == "refused: EMFILE at epoll_create1, seccomp mode 2");
  one.usable = hinge::fail("io_uring:", "killed by SIGSYS", EPERM);
  CHECK(one.text() == "killed by SIGSYS, seccomp mode 2");
  one.built = false;
  CHECK(one.line() == "io_uring: not built");
  // Of no backend at all.
  CHECK(backend_verdict().line() == "auto: not built");
  CHECK(backend_verdict{.which = backend::automatic, .built = true}.line() == "auto: usable");
  CHECK(backend_verdict{.which = static_cast<backend>(200)}.line() == "unknown: not built");
}

TEST_CASE("a choice tells of the one that is taken, and of those before it") {
  const backend_verdict epoll{.which = backend::epoll, .built = true};
  const backend_verdict missing{.which = backend::io_uring};
  backend_verdict refused{.which = backend::io_uring, .built = true};
  refused.usable = hinge::fail("io_uring_setup", "a ring", EPERM);
  const auto choice_of = [](const backend_verdict& first, const backend_verdict& second) {
    backend_choice made;
    made.add(first);
    made.add(second);
    return made;
  };
  CHECK(choice_of(epoll, refused).text() == "epoll: usable");
  CHECK_FALSE(choice_of(epoll, refused).fell_back());
  CHECK(choice_of(refused, epoll).text() == "epoll: usable (io_uring: refused: EPERM)");
  CHECK(choice_of(refused, epoll).chosen() == backend::epoll);
  CHECK(choice_of(refused, epoll).fell_back());
  CHECK(choice_of(missing, epoll).text() == "epoll: usable (io_uring: not built)");
  CHECK_FALSE(choice_of(missing, epoll).fell_back());
  backend_choice none;
  none.add(refused);
  CHECK(none.text() == "no backend can be used (io_uring: refused: EPERM)");
  CHECK(none.chosen() == backend::automatic);
}

TEST_CASE("a list has each backend once, in the order in which they are wanted") {
  const auto in = [](const backend_list& list) {
    return std::vector<backend>(list.begin(), list.end());
  };
  const std::vector<backend> all = in({});
  CHECK(all.size() == hinge::backend_count);
  CHECK(in(backend::automatic) == all);
  CHECK(in(backend::epoll) == std::vector{backend::epoll});
  CHECK(in({backend::epoll, backend::io_uring, backend::epoll}) ==
        std::vector{backend::epoll, backend::io_uring});
  const std::vector<backend> first = in({backend::epoll, backend::automatic});
  CHECK(first.front() == backend::epoll);
  CHECK(std::is_permutation(first.begin(), first.end(), all.begin(), all.end()));
  CHECK(in(hinge::built_backends()).size() == hinge::built_backends().size());
  CHECK(in(static_cast<backend>(200)).empty());
}

TEST_CASE("a list is read from the names, and the wrong one is told") {
  const auto in = [](std::string_view names) {
    const auto list = backend_list::parse(names);
    REQUIRE(list);
    return std::vector<backend>(list->begin(), list->end());
  };
  CHECK(in("epoll") == std::vector{backend::epoll});
  CHECK(in("epoll,uring") == std::vector{backend::epoll, backend::io_uring});
  CHECK(in("auto").size() == hinge::backend_count);
  CHECK(in("epoll,auto").front() == backend::epoll);
  for (const auto& [names, wrong] : {std::pair{"", ""},
                                     {"epoll,", ""},
                                     {"uring, epoll", " epoll"},
                                     {"epoll,select,poll", "select"}}) {
    const auto list = backend_list::parse(names);
    REQUIRE_FALSE(list);
    CHECK(list.error().code() == EINVAL);
    CHECK(list.error().argument() == wrong);
  }
}

TEST_CASE("only what is wanted is asked, in that order") {
  using hinge::test::readiness_backend;
  const backend_choice one = hinge::backend_report(readiness_backend);
  CHECK(one.candidates().size() == 1);
  CHECK(one.chosen() == readiness_backend);
  const backend_choice two = hinge::backend_report({readiness_backend, backend::io_uring});
  CHECK(two.candidates().size() == 2);
  CHECK(two.chosen() == readiness_backend);
  CHECK(two.text() == std::string(backend_name(readiness_backend)) + ": usable");
}

TEST_CASE("asking leaves nothing open, and any thread may ask") {
  const std::string said = hinge::backend_report().text();
  const std::size_t before = hinge::test::open_descriptors();
  std::vector<std::string> answers(8);
  std::vector<std::thread> threads;
  for (std::string& answer : answers)
    threads.emplace_back([&answer] { answer = hinge::backend_report().text(); });
  for (std::thread& one : threads) one.join();
  for (const std::string& answer : answers) CHECK(answer == said);
  CHECK(hinge::test::open_descriptors() == before);
}
