// libevent, as its book's echo server: an evconnlistener, and a bufferevent for each connection.
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstdio>

#include "served_arguments.hpp"

namespace {

served_arguments given;
unsigned long closed = 0;

void count_closed(event_base* base) {
  if (++closed == given.connections) event_base_loopbreak(base);
}

void end(bufferevent* client) {
  event_base* base = bufferevent_get_base(client);
  bufferevent_free(client);
  count_closed(base);
}

void on_event(bufferevent* client, short events, void*) {
  if ((events & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) != 0) end(client);
}

/// The last reply has been written.
void on_written(bufferevent* client, void*) { end(client); }

void on_read(bufferevent* client, void*) {
  evbuffer* input = bufferevent_get_input(client);
  evbuffer* output = bufferevent_get_output(client);
  if (given.work == floor_work::crr) {
    bufferevent_disable(client, EV_READ);
    bufferevent_setcb(client, nullptr, on_written, on_event, nullptr);
    evbuffer_remove_buffer(input, output, 64);
  } else {
    evbuffer_add_buffer(output, input);
  }
}

void on_accept(evconnlistener* listener, evutil_socket_t fd, sockaddr*, int, void*) {
  event_base* base = evconnlistener_get_base(listener);
  if (given.work == floor_work::ac) {
    evutil_closesocket(fd);
    return count_closed(base);
  }
  bufferevent* client = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
  bufferevent_setcb(client, on_read, nullptr, on_event, nullptr);
  bufferevent_enable(client, EV_READ | EV_WRITE);
}

}  // namespace

int main(int argc, char** argv) {
  const auto read = read_served_arguments(argc, argv);
  if (!read) return 2;
  given = *read;
  event_base* base = event_base_new();
  sockaddr_in at{AF_INET, htons(given.port), {htonl(INADDR_LOOPBACK)}, {}};
  auto* name = reinterpret_cast<sockaddr*>(&at);
  evconnlistener* listener =
      evconnlistener_new_bind(base, on_accept, nullptr, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE,
                              served_backlog, name, sizeof at);
  if (listener == nullptr) return std::perror("listen"), 1;
  socklen_t length = sizeof at;
  getsockname(evconnlistener_get_fd(listener), name, &length);
  std::printf("libevent %s\n", event_get_version());
  say_listening(ntohs(at.sin_port));
  event_base_dispatch(base);
  evconnlistener_free(listener);
  event_base_free(base);
  return 0;
}
