#include <hinge/listener.hpp>

#include "support/listening.hpp"
#include "support/masked.hpp"
#include "support/privileges.hpp"
#include "support/temporary_folder.hpp"

#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

using hinge::address;
using hinge::listener;
using hinge::unique_fd;
using namespace hinge::test;
namespace sockets = hinge::sockets;

namespace {

struct unix_folder : temporary_folder {
  address at(const std::string& name = "socket") const { return *address::unix_path(*this / name); }
};

struct stat file_of(const address& at) {
  struct stat found {};
  REQUIRE(::lstat(std::string(at.unix_name()).c_str(), &found) == 0);
  return found;
}

bool exists(const address& at) {
  return std::filesystem::exists(std::filesystem::symlink_status(at.unix_name()));
}

void remove(const address& at) { REQUIRE(std::filesystem::remove(at.unix_name())); }

// What a server leaves behind that ended without closing.
void leave_stale(const address& at, int type = SOCK_STREAM) {
  const unique_fd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  REQUIRE(sockets::bind(fd.get(), at) == 0);
}

class umask_of {
public:
  explicit umask_of(mode_t mask) : was_(::umask(mask)) {}
  umask_of(const umask_of&) = delete;
  umask_of& operator=(const umask_of&) = delete;
  ~umask_of() { ::umask(was_); }

private:
  mode_t was_;
};

}  // namespace

TEST_CASE("a path serves while the listener lives, and is gone with it") {
  const leak_check leaks;
  const unix_folder folder;
  const address at = folder.at();
  {
    const listener made = opened(at);
    CHECK(made.local() == at);
    CHECK_FALSE(made.tcp());
    CHECK(S_ISSOCK(file_of(at).st_mode));
    const unique_fd client = connected(at);
    CHECK(accepted(made));
  }
  CHECK(folder.empty());
  listener again = opened(at);
  again.close();
  CHECK(folder.empty());
}

TEST_CASE("a path of the longest kind") {
  const unix_folder folder;
  const std::size_t room = longest_unix_name - folder.path().size() - 1;
  const address at = folder.at(std::string(room, 'x'));
  {
    const listener made = opened(at);
    CHECK(made.local() == at);
    CHECK(try_connect(at) == 0);
  }
  CHECK(folder.empty());
}

TEST_CASE("a moved listener unlinks once, at the end of the last owner") {
  const unix_folder folder;
  const address at = folder.at();
  {
    listener outer;
    {
      listener inner = opened(at);
      outer = std::move(inner);
    }
    CHECK(try_connect(at) == 0);
    outer = opened(folder.at("other"));
    CHECK_FALSE(exists(at));
    CHECK(exists(folder.at("other")));
  }
  CHECK(folder.empty());
}

TEST_CASE("a released descriptor keeps its path") {
  const unix_folder folder;
  const address at = folder.at();
  unique_fd fd;
  {
    listener made = opened(at);
    fd.reset(made.release());
  }
  CHECK(try_connect(at) == 0);
}

TEST_CASE("close leaves what somebody else has put in the path's place") {
  const unix_folder folder;
  const address at = folder.at();
  listener first = opened(at);
  remove(at);
  const listener second = opened(at);
  first.close();
  CHECK(exists(at));
  CHECK(try_connect(at) == 0);

  listener third = opened(folder.at("file"));
  remove(third.local());
  std::ofstream(folder / "file") << "precious";
  third.close();
  CHECK(exists(folder.at("file")));

  listener fourth = opened(folder.at("gone"));
  remove(fourth.local());
  fourth.close();
  CHECK_FALSE(fourth);
}

TEST_CASE("a path in use stays, and so does its server") {
  const leak_check leaks;
  const unix_folder folder;
  const address at = folder.at();
  const std::string in_use = "bind " + at.text() + ": EADDRINUSE: Address already in use";
  const listener living = opened(at, {.backlog = 1});
  const auto inode = file_of(at).st_ino;
  CHECK(refusal(at) == in_use);
  CHECK(refusal(at, {.remove_stale_path = true}) == in_use);
  CHECK(::accept(living.fd(), nullptr, nullptr) == -1);  // it has seen nothing of the question

  std::vector<unique_fd> waiting;  // until the queue is full, and a connect would have to wait
  for (int client = 0; client < 8; ++client) {
    waiting.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (sockets::connect(waiting.back().get(), at) == -EAGAIN) break;
  }
  REQUIRE(waiting.size() < 8);
  CHECK(refusal(at, {.remove_stale_path = true}) == in_use);
  CHECK(file_of(at).st_ino == inode);
}

// As a full queue, this is ECONNREFUSED to a stream socket, there on the BSDs alone.
TEST_CASE("the path of a server that doesn't listen yet is in use") {
  const unix_folder folder;
  const address at = folder.at();
  const unique_fd soon(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(sockets::bind(soon.get(), at) == 0);
  REQUIRE(try_connect(at) == ECONNREFUSED);
  CHECK(refusal(at, {.remove_stale_path = true}) ==
        "bind " + at.text() + ": EADDRINUSE: Address already in use");
  CHECK(exists(at));
}

TEST_CASE("a datagram server's path is in use too") {
  const unix_folder folder;
  const address at = folder.at();
  const unique_fd datagrams(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  REQUIRE(sockets::bind(datagrams.get(), at) == 0);
  CHECK(refusal(at, {.remove_stale_path = true}) ==
        "bind " + at.text() + ": EADDRINUSE: Address already in use");
  CHECK(exists(at));
}

TEST_CASE("a stale path is removed when that is asked for, and only then") {
  const leak_check leaks;
  for (const int type : {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET}) {
    const unix_folder folder;
    const address at = folder.at();
    leave_stale(at, type);
    CHECK(refusal(at) == "bind " + at.text() + ": EADDRINUSE: Address already in use");
    CHECK(exists(at));
    {
      const listener made = opened(at, {.remove_stale_path = true});
      CHECK(try_connect(at) == 0);
    }
    CHECK(folder.empty());
  }
}

TEST_CASE("remove_stale_path means nothing where no path stands") {
  const unix_folder folder;
  CHECK(opened(folder.at(), {.remove_stale_path = true}).local() == folder.at());
}

TEST_CASE("what is no socket is never removed") {
  const leak_check leaks;
  const unix_folder folder;
  const auto no_socket = [](const address& at) {
    CHECK(refusal(at, {.remove_stale_path = true}) ==
          "remove_stale_path " + at.text() + ": ENOTSOCK: Socket operation on non-socket");
    CHECK(exists(at));
  };
  std::ofstream(folder / "file") << "precious";
  no_socket(folder.at("file"));
  std::filesystem::create_directory(folder / "folder");
  no_socket(folder.at("folder"));
  leave_stale(folder.at("stale"));
  std::filesystem::create_symlink(folder / "stale", folder / "link");
  no_socket(folder.at("link"));
  CHECK(exists(folder.at("stale")));
}

TEST_CASE("permissions are as asked, whatever the umask") {
  const unix_folder folder;
  for (const unsigned mode : {0600U, 0666U, 0000U, 0770U}) {
    for (const mode_t mask : {0000, 0077}) {
      const umask_of now(mask);
      const listener made = opened(folder.at(), {.unix_mode = mode});
      CHECK((file_of(folder.at()).st_mode & 07777) == mode);
    }
  }
  const umask_of now(0027);
  const listener made = opened(folder.at());
  CHECK((file_of(folder.at()).st_mode & 07777) == 0750);
}

TEST_CASE("owner and group are as asked") {
  if (!is_root()) SKIP("chown needs root");
  const unix_folder folder;
  {
    const listener made = opened(folder.at(), {.unix_owner = 4'711, .unix_group = 4'712});
    CHECK(file_of(folder.at()).st_uid == 4'711);
    CHECK(file_of(folder.at()).st_gid == 4'712);
  }
  const listener made = opened(folder.at(), {.unix_group = 4'713});
  CHECK(file_of(folder.at()).st_uid == ::geteuid());
  CHECK(file_of(folder.at()).st_gid == 4'713);
}

TEST_CASE("an owner who can't be set leaves no path behind") {
  const unix_folder folder;
  REQUIRE(::chmod(folder.path().c_str(), 0777) == 0);
  const unprivileged now;
  const leak_check leaks;
  const std::string text = folder.at().text();
  CHECK(refusal(folder.at(), {.unix_owner = 4'711}) ==
        "chown 4711:- on " + text + ": EPERM: Operation not permitted");
  CHECK(refusal(folder.at(), {.unix_owner = 4'711, .unix_group = 4'712}) ==
        "chown 4711:4712 on " + text + ": EPERM: Operation not permitted");
  CHECK(folder.empty());
}

TEST_CASE("a mode or an owner that can't be is refused by name") {
  const unix_folder folder;
  const std::string rest = " on " + folder.at().text() + ": EINVAL: Invalid argument";
  CHECK(refusal(folder.at(), {.unix_mode = 010000}) == "listener_options unix_mode" + rest);
  CHECK(refusal(folder.at(), {.unix_owner = UINT32_MAX}) == "listener_options unix_owner" + rest);
  CHECK(refusal(folder.at(), {.unix_group = UINT32_MAX}) == "listener_options unix_group" + rest);
  CHECK(folder.empty());
}

TEST_CASE("a folder that isn't there, or isn't ours") {
  const unix_folder folder;
  const address nowhere = folder.at("no/socket");
  CHECK(refusal(nowhere) == "bind " + nowhere.text() + ": ENOENT: No such file or directory");
  REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
  if (!is_root()) SKIP("somebody else's folder needs root to be made");
  const unprivileged now;
  CHECK(refusal(folder.at()) == "bind " + folder.at().text() + ": EACCES: Permission denied");
}

TEST_CASE("an abstract name needs no file and is free after close") {
  need_linux();
  const leak_check leaks;
  const address at = *address::unix_abstract("hinge-path-test-" + std::to_string(::getpid()));
  listener made = opened(at);
  CHECK(made.local() == at);
  CHECK(refusal(at).starts_with("bind "));
  made.close();
  CHECK(opened(at).local() == at);
}
