// A snapshot as text that Prometheus reads.
#pragma once

#include <hinge/export.hpp>
#include <hinge/server_options.hpp>
#include <hinge/telemetry.hpp>

#include <cstddef>
#include <span>
#include <string_view>

namespace hinge {

/// Of the text, as HTTP names it.
inline constexpr std::string_view prometheus_content_type =
    "text/plain; version=0.0.4; charset=utf-8";

/// Writes the snapshot in the Prometheus text format, without allocating. Returns the bytes that
/// it takes: when that is more than `room` has, only the first ones were written and the text is
/// good for nothing. 8 KB do for a few listeners; an empty `room` asks how many.
///
/// Each listener has the labels `listener`, its index in the loop, and `address`. What is absent in
/// the snapshot has no sample, and what no listener has, no family. docs/TELEMETRY.md lists all.
HINGE_API std::size_t prometheus_text(const telemetry& seen, std::span<char> room) noexcept;

/// The same of a server: the figures of each loop have the label `loop`, its index, or "acceptor"
/// of who accepts for the others; those of listeners are of all loops together, as in
/// server_statistics. Some 6 KB, and 2 KB for each loop.
HINGE_API std::size_t prometheus_text(const server_statistics& seen, std::span<char> room) noexcept;

}  // namespace hinge
