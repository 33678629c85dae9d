// The backends that must conform, and the cases that run on each of them.
#pragma once

#include "conformance/tested_backend.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace hinge::test {

/// Every backend of the build, and those of one family. The first is on real sockets.
std::vector<tested_backend> backends();
std::vector<tested_backend> readiness_backends();
std::vector<tested_backend> completion_backends();
/// One row each of those that real programs choose among.
std::vector<tested_backend> chosen_backends();
/// The one of that name, which there is.
tested_backend find_backend(std::string_view name);

/// Lists a case once for each backend, as "<name> - <backend>" with the tag [<backend>]. It is
/// skipped where the system refuses the backend. True.
bool list_case(const std::string& name, const std::vector<tested_backend>& on,
               void (*run)(const tested_backend&), const Catch::SourceLineInfo& where);

namespace {
/// A case of these sources.
template <int Number>
struct listed_case {
  static void run(const tested_backend& backend);
  static const bool listed;
};
}  // namespace

}  // namespace hinge::test

/// A case for each backend that `family` returns; its body sees `backend`. From the command line
/// "[uring]" chooses those of one backend.
#define HINGE_TEST_CASE(name, family) HINGE_NUMBERED_CASE(name, family, __COUNTER__)
#define HINGE_NUMBERED_CASE(name, family, number) HINGE_LISTED_CASE(name, family, number)
#define HINGE_LISTED_CASE(name, family, number)                                              \
  template <>                                                                                \
  void hinge::test::listed_case<number>::run(const tested_backend&);                         \
  template <>                                                                                \
  const bool hinge::test::listed_case<number>::listed = list_case(                           \
      name, family(), &listed_case<number>::run, Catch::SourceLineInfo(__FILE__, __LINE__)); \
  template <>                                                                                \
  void hinge::test::listed_case<number>::run([[maybe_unused]] const tested_backend& backend)
