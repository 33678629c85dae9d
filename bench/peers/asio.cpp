// Asio, as its example "async TCP echo server": a session that its own callbacks keep alive.
#include <asio.hpp>

#include <array>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <memory>
#include <utility>

#include "served_arguments.hpp"

namespace {

using asio::ip::tcp;

served_arguments given;
unsigned long closed = 0;

void count_closed(asio::io_context& context) {
  if (++closed == given.connections) context.stop();
}

class session : public std::enable_shared_from_this<session> {
public:
  session(asio::io_context& context, tcp::socket socket)
      : context_(context), socket_(std::move(socket)) {}
  ~session() { count_closed(context_); }
  session(const session&) = delete;
  session& operator=(const session&) = delete;

  void read() {
    socket_.async_read_some(
        asio::buffer(bytes_, given.work == floor_work::crr ? 64 : bytes_.size()),
        [self = shared_from_this()](std::error_code failed, std::size_t got) {
          if (!failed) self->write(got);
        });
  }

private:
  void write(std::size_t length) {
    asio::async_write(socket_, asio::buffer(bytes_, length),
                      [self = shared_from_this()](std::error_code failed, std::size_t) {
                        if (!failed && given.work != floor_work::crr) self->read();
                      });
  }

  asio::io_context& context_;
  tcp::socket socket_;
  std::array<char, 1024> bytes_;
};

class server {
public:
  explicit server(asio::io_context& context) : context_(context), acceptor_(context) {
    const tcp::endpoint at(asio::ip::address_v4::loopback(), given.port);
    acceptor_.open(at.protocol());
    acceptor_.set_option(tcp::acceptor::reuse_address(true));
    acceptor_.bind(at);
    acceptor_.listen(served_backlog);
    accept();
  }
  unsigned port() const { return acceptor_.local_endpoint().port(); }

private:
  void accept() {
    acceptor_.async_accept([this](std::error_code failed, tcp::socket socket) {
      if (!failed) {
        if (given.work == floor_work::ac) {
          socket.close(failed);
          count_closed(context_);
        } else {
          std::make_shared<session>(context_, std::move(socket))->read();
        }
      }
      accept();
    });
  }

  asio::io_context& context_;
  tcp::acceptor acceptor_;
};

}  // namespace

int main(int argc, char** argv) {
  const auto read = read_served_arguments(argc, argv);
  if (!read) return 2;
  given = *read;
  try {
    asio::io_context context(1);
    const server serving(context);
    std::printf("Asio %d.%d.%d\n", ASIO_VERSION / 100'000, ASIO_VERSION / 100 % 1000,
                ASIO_VERSION % 100);
    say_listening(serving.port());
    context.run();
    return 0;
  } catch (const std::exception& wrong) {
    return std::fprintf(stderr, "%s\n", wrong.what()), 1;
  }
}
