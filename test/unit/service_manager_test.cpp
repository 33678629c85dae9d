#include <hinge/service_manager.hpp>

#include <hinge/socket.hpp>

#include "support/listening.hpp"
#include "support/masked.hpp"
#include "support/temporary_folder.hpp"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <string>
#include <vector>

using hinge::address;
using hinge::service_manager;
using hinge::unique_fd;
using namespace hinge::test;
using namespace std::chrono_literals;
namespace sockets = hinge::sockets;

namespace {

/// The manager's end.
struct notified {
  explicit notified(const address& where) : at(where) {
    REQUIRE(socket);
    REQUIRE(sockets::bind(socket.get(), at) == 0);
  }
  /// The next message, and what descriptor came with it.
  std::string next(unique_fd* with = nullptr) {
    std::array<char, 512> bytes{};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    iovec piece{.iov_base = bytes.data(), .iov_len = bytes.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t length = ::recvmsg(socket.get(), &message, MSG_CMSG_CLOEXEC);
    if (length < 0) return "nothing";
    if (const cmsghdr* const head = CMSG_FIRSTHDR(&message)) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(head), sizeof fd);
      unique_fd came(fd);
      if (with != nullptr) *with = std::move(came);
    }
    return {bytes.data(), static_cast<std::size_t>(length)};
  }

  address at;
  unique_fd socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
};

service_manager manager_at(const std::string& socket) {
  auto made = service_manager::of({.notify_socket = socket});
  INFO(made.error().text());
  REQUIRE(made);
  return *made;
}

}  // namespace

TEST_CASE("each thing that a service can tell arrives, at a path and at an abstract name") {
  const leak_check leaks;
  const temporary_folder folder;
  const std::string name = "hinge-notify-" + std::to_string(::getpid());
  std::vector<std::pair<std::string, address>> places = {
      {folder / "notify", *address::unix_path(folder / "notify")}};
  if (!masked) places.emplace_back("@" + name, *address::unix_abstract(name));
  for (const auto& [text, at] : places) {
    notified manager(at);
    const service_manager told = manager_at(text);
    CHECK(told);
    CHECK(told.socket() == at);
    CHECK(told.ready());
    CHECK(manager.next() == "READY=1");
    CHECK(told.stopping());
    CHECK(manager.next() == "STOPPING=1");
    const auto before = hinge::now() / 1000;
    CHECK(told.reloading());
    const std::string reloading = manager.next();
    REQUIRE(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="));
    const auto moment = std::stoll(reloading.substr(reloading.rfind('=') + 1));
    CHECK(moment >= before);
    CHECK(moment <= hinge::now() / 1000);
    CHECK(told.status("all is well\nREADY=1"));
    CHECK(manager.next() == "STATUS=all is well");
    CHECK(told.main_process(4711));
    CHECK(manager.next() == "MAINPID=4711");
    CHECK(told.alive());
    CHECK(manager.next() == "WATCHDOG=1");
    CHECK(manager.next() == "nothing");
  }
}

TEST_CASE("a descriptor is given to be kept, under its name") {
  const leak_check leaks;
  const temporary_folder folder;
  notified manager(*address::unix_path(folder / "notify"));
  const service_manager told = manager_at(folder / "notify");
  const hinge::listener web = opened(address::loopback(0));
  CHECK(told.keep(web.fd(), "web"));
  unique_fd came;
  CHECK(manager.next(&came) == "FDSTORE=1\nFDNAME=web");
  REQUIRE(came);
  CHECK(*sockets::name_of(came.get()) == web.local());
  CHECK(told.forget("web"));
  CHECK(manager.next() == "FDSTOREREMOVE=1\nFDNAME=web");
  CHECK(told.keep(web.fd(), "a:b").error().code() == EINVAL);
  CHECK(told.forget("a\nb").error().code() == EINVAL);
  CHECK(told.keep(-2, "web").error().code() == EBADF);
  CHECK(manager.next() == "nothing");
}

TEST_CASE("without a manager nothing is done, and with a deaf one that is told") {
  const leak_check leaks;
  const temporary_folder folder;
  const service_manager nobody;
  CHECK_FALSE(nobody);
  CHECK(nobody.ready());
  CHECK_FALSE(manager_at(""));
  CHECK(manager_at(folder / "nobody").ready().error().code() == ENOENT);

  notified full(*address::unix_path(folder / "full"));
  const service_manager told = manager_at(folder / "full");
  int sent = 0;
  while (sent < 100'000 && told.alive()) ++sent;
  CHECK(told.alive().error().code() == ETIMEDOUT);
  CHECK(told.tell("READY=1", -1, 1ms).error().code() == ETIMEDOUT);
  CHECK(full.next() == "WATCHDOG=1");
  CHECK(told.ready());
}

TEST_CASE("a socket that can't be one is refused") {
  const auto code_of = [](const std::string& socket) {
    return service_manager::of({.notify_socket = socket}).error().code();
  };
  CHECK(code_of("notify") == EINVAL);
  CHECK(code_of("@") == EINVAL);
  if (masked) CHECK(code_of("@name") == EAFNOSUPPORT);
  CHECK(code_of("vsock:2:1234") == EAFNOSUPPORT);
  CHECK(code_of("/" + std::string(200, 'x')) == ENAMETOOLONG);
}

TEST_CASE("the watchdog is for the process that it names, or for any") {
  const auto made = [](std::optional<std::string> usec, std::optional<std::string> pid) {
    return service_manager::of(
        {.notify_socket = "/x", .watchdog_usec = std::move(usec), .watchdog_pid = std::move(pid)});
  };
  CHECK_FALSE(made({}, {})->watchdog());
  CHECK(made("3000000", {})->watchdog() == 3s);
  CHECK(made("3000000", std::to_string(::getpid()))->watchdog() == 3s);
  CHECK_FALSE(made("3000000", std::to_string(::getppid()))->watchdog());
  for (const char* usec : {"0", "", "x", "-1", "3s"})
    CHECK(made(usec, {}).error().code() == EINVAL);
  CHECK(made("1", "x").error().code() == EINVAL);
}

TEST_CASE("what the environment says is taken out of it") {
  ::setenv("NOTIFY_SOCKET", "/run/notify", 1);
  ::setenv("WATCHDOG_USEC", "5", 1);
  ::setenv("WATCHDOG_PID", "6", 1);
  const auto said = service_manager::variables::take();
  CHECK(said.notify_socket == "/run/notify");
  CHECK(said.watchdog_usec == "5");
  CHECK(said.watchdog_pid == "6");
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})
    CHECK(::getenv(name) == nullptr);
}
