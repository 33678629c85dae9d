#include "conformance/note_taker.hpp"

#include <catch2/catch_test_macros.hpp>

namespace hinge::test {

void note_taker::on_accept(connection c) {
  number(c) = all.size();
  all.push_back({.fd = c.fd(), .listener = c.listener()});
  handles.push_back(c);
  if (does.accept) does.accept(c);
}

void note_taker::on_data(connection c, std::span<std::byte> bytes) {
  heard& of = all[number(c)];
  CHECK(of.closes == 0);
  CHECK_FALSE(of.ended);
  CHECK_FALSE(bytes.empty());
  ++of.calls;
  of.data.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (does.data) does.data(c, bytes);
}

void note_taker::on_end(connection c) {
  heard& of = all[number(c)];
  CHECK(of.closes == 0);
  CHECK_FALSE(of.ended);
  of.ended = true;
  if (does.end) does.end(c);
}

void note_taker::on_writable(connection c) {
  heard& of = all[number(c)];
  CHECK(of.closes == 0);
  ++of.writable;
  if (does.writable) does.writable(c);
}

void note_taker::on_drain(connection c) {
  all[number(c)].draining = true;
  if (does.drain) does.drain(c);
}

void note_taker::on_close(connection c, close_cause cause) {
  heard& of = all[number(c)];
  CHECK(cause != close_cause::none);
  ++of.closes;
  of.cause = cause;
  of.closed_at = c.loop().now();
  if (does.close) does.close(c, cause);
}

void note_taker::on_half_closed(connection c, nanoseconds age) {
  heard& of = all[number(c)];
  CHECK(of.closes == 0);
  of.half_closed.push_back(age);
}

void note_taker::on_listener_error(std::size_t listener, int code) {
  errors.emplace_back(listener, code);
}

exhaustion note_taker::on_exhausted(std::size_t listener) {
  return does.exhausted ? does.exhausted(listener) : exhaustion::queue;
}

void note_taker::on_listener_recovered(std::size_t listener, const door_episode& episode) {
  recovered.emplace_back(listener, episode);
}

}  // namespace hinge::test
