// Makes the n-th system call of a piece of work fail, for each n.
#pragma once

#include "sys.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cerrno>
#include <string_view>
#include <type_traits>

namespace hinge::test {

constexpr int injected = EIO;
inline int calls_until_failure = -1;  // -1: none fails
inline const char* failed_call = nullptr;

inline bool fails_now(const char* call) {
  if (calls_until_failure < 0 || calls_until_failure-- > 0) return false;
  failed_call = call;
  return true;
}

template <class Returned>
Returned refusal_of() {
  if constexpr (std::is_signed_v<Returned>)
    return -injected;
  else
    return {};
}

// A close that fails has closed all the same, as on Linux.
#define HINGE_FAILING(returned, name, parameters, arguments)                \
  [] parameters noexcept -> returned {                                      \
    if (!fails_now(#name)) return sys::real.name arguments;                 \
    if (std::string_view(#name) == "close") (void)sys::real.name arguments; \
    return refusal_of<returned>();                                          \
  },
inline const sys::call_table failing = {HINGE_SYS_CALLS(HINGE_FAILING)};
#undef HINGE_FAILING

/// For each n: prepares, works with the n-th call failing, checks; until the work runs without a
/// failure, which must succeed. Returns how many calls it makes.
template <class Prepare, class Work, class Check>
int fail_each_call(Prepare prepare, Work work, Check check) {
  for (int nth = 0; nth < 200; ++nth) {
    prepare();
    sys::current = failing;
    failed_call = nullptr;
    calls_until_failure = nth;
    const bool worked = work();
    calls_until_failure = -1;
    sys::current = sys::real;
    INFO("call " << nth << ": " << (failed_call != nullptr ? failed_call : "none fails"));
    check();
    if (failed_call != nullptr) continue;
    CHECK(worked);
    return nth;
  }
  FAIL("the work never runs without a failure");
  return 0;
}

}  // namespace hinge::test
