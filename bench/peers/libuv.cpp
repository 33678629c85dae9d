// libuv, as the TCP echo server of its guide: a handle and a buffer from the heap for each
// connection, a write request for each answer.
#include <uv.h>

#include <arpa/inet.h>

#include <algorithm>
#include <cstdlib>

#include "served_arguments.hpp"

namespace {

served_arguments given;
unsigned long closed = 0;

struct write_request {
  uv_write_t request;
  uv_buf_t buffer;
};

void on_close(uv_handle_t* handle) {
  std::free(handle);
  if (++closed == given.connections) uv_stop(uv_default_loop());
}

void allocate(uv_handle_t*, std::size_t suggested, uv_buf_t* buffer) {
  *buffer =
      uv_buf_init(static_cast<char*>(std::malloc(suggested)), static_cast<unsigned>(suggested));
}

void on_write(uv_write_t* request, int status) {
  auto* done = reinterpret_cast<write_request*>(request);
  auto* client = reinterpret_cast<uv_handle_t*>(request->handle);
  std::free(done->buffer.base);
  std::free(done);
  if ((status < 0 || given.work == floor_work::crr) && uv_is_closing(client) == 0)
    uv_close(client, on_close);
}

void on_read(uv_stream_t* client, ssize_t got, const uv_buf_t* buffer) {
  if (got > 0) {
    if (given.work == floor_work::crr) {
      got = std::min<ssize_t>(got, 64);
      uv_read_stop(client);
    }
    auto* request = static_cast<write_request*>(std::malloc(sizeof(write_request)));
    request->buffer = uv_buf_init(buffer->base, static_cast<unsigned>(got));
    uv_write(&request->request, client, &request->buffer, 1, on_write);
    return;
  }
  if (got < 0) uv_close(reinterpret_cast<uv_handle_t*>(client), on_close);
  std::free(buffer->base);
}

void on_connection(uv_stream_t* server, int status) {
  if (status < 0) return;
  auto* client = static_cast<uv_tcp_t*>(std::malloc(sizeof(uv_tcp_t)));
  uv_tcp_init(uv_default_loop(), client);
  auto* stream = reinterpret_cast<uv_stream_t*>(client);
  if (uv_accept(server, stream) == 0 && given.work != floor_work::ac) {
    uv_read_start(stream, allocate, on_read);
  } else {
    uv_close(reinterpret_cast<uv_handle_t*>(client), on_close);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto read = read_served_arguments(argc, argv);
  if (!read) return 2;
  given = *read;
  uv_tcp_t server;
  uv_tcp_init(uv_default_loop(), &server);
  sockaddr_in at;
  uv_ip4_addr("127.0.0.1", given.port, &at);
  uv_tcp_bind(&server, reinterpret_cast<const sockaddr*>(&at), 0);
  const int failed =
      uv_listen(reinterpret_cast<uv_stream_t*>(&server), served_backlog, on_connection);
  if (failed != 0) return std::fprintf(stderr, "listen: %s\n", uv_strerror(failed)), 1;
  int length = sizeof at;
  uv_tcp_getsockname(&server, reinterpret_cast<sockaddr*>(&at), &length);
  std::printf("libuv %s\n", uv_version_string());
  say_listening(ntohs(at.sin_port));
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  return 0;
}
