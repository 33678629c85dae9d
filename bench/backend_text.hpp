// How a backend of hinge serves, for the readers of what was measured on it.
#pragma once

#include <hinge/poller.hpp>

#include <string>
#include <string_view>

namespace hinge::bench {

/// Of an open poller, its name() and limits(): "uring: 512 submissions, 4096 completions,
/// IORING_SETUP_CQSIZE|..., 512 receive buffers 16448 bytes apart", "epoll: edge-triggered, ...".
std::string backend_text(std::string_view name, const poller_limits& limits);

}  // namespace hinge::bench
