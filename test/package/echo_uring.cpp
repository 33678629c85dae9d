// An echo server on io_uring where the package says that there is such a backend, and where this
// machine lets it be used; on epoll elsewhere. What the package says has to be true.
#include <hinge/backend.hpp>
#include <hinge/epoll.hpp>
#include <hinge/loop.hpp>
#ifdef HINGE_HAVE_URING
#include <hinge/uring.hpp>
#endif

#include <algorithm>
#include <cstdio>

#ifdef HINGE_HAVE_URING
using preferred_poller = hinge::uring_poller;
constexpr bool has_uring = true;
#else
using preferred_poller = hinge::epoll_poller;
constexpr bool has_uring = false;
#endif

struct echo {
  void on_data(hinge::connection peer, std::span<std::byte> bytes) {
    if (!peer.send(bytes)) peer.abort();
  }
};

int complain(const hinge::error& reason) {
  std::fprintf(stderr, "%s\n", reason.text().c_str());
  return 1;
}

template <class Poller>
int serve(const hinge::address& where) {
  hinge::loop<Poller, echo> server;
  if (const auto opened = server.open(); !opened) return complain(opened.error());
  if (const auto door = server.listen(where); !door) return complain(door.error());
  std::printf("listening on %s\n", server.listener_at(0).local().text().c_str());
  std::fflush(stdout);
  std::fprintf(stderr, "polling with %s\n", Poller::name().data());
  return server.run() < 0;
}

int main(int count, char** arguments) {
  const auto where = hinge::address::parse(count > 1 ? arguments[1] : "7000");
  if (!where) return complain(where.error());
  const auto built = hinge::built_backends();
  const bool linked =
      std::find(built.begin(), built.end(), hinge::backend::io_uring) != built.end();
  if (has_uring != linked) {
    std::fprintf(stderr, "HINGE_HAVE_URING says %d, the library %d\n", has_uring, linked);
    return 1;
  }
  const hinge::backend_choice report = hinge::backend_report();
  if (linked && report.chosen() != hinge::backend::io_uring) {
    std::fprintf(stderr, "%s\n", report.text().c_str());
    return serve<hinge::epoll_poller>(*where);
  }
  return serve<preferred_poller>(*where);
}
