// The poller of hinge-serve's loops: any, chosen at run time. The tests build the program again for
// each backend, with that one alone.
#pragma once

#ifdef HINGE_SERVING_POLLER  // the header that has it in place of this one
#include HINGE_SERVING_POLLER
#else
#include <hinge/any_poller.hpp>

namespace hinge::serve {
using serving_poller = any_poller;
}  // namespace hinge::serve
#endif
