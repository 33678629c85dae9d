// The entry of every Catch2 program: its own, because Meson knows a skipped test by exit code 77
// and Catch2 reports "all skipped" as 4.
#include <catch2/catch_session.hpp>

namespace {
constexpr int catch_all_skipped = 4;
constexpr int meson_skipped = 77;
}  // namespace

int main(int argc, char** argv) {
  const int code = Catch::Session().run(argc, argv);
  return code == catch_all_skipped ? meson_skipped : code;
}
