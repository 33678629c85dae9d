#include "sys.hpp"

#ifdef HINGE_HAVE_URING
#include "ring_sys.hpp"
#endif

#ifdef HINGE_SYS_SEAM

namespace hinge::sys {

#define HINGE_SYS_REAL(returned, name, parameters, arguments) \
  [] parameters noexcept -> returned { return fold(::name arguments); },
constexpr call_table real = {HINGE_SYS_CALLS(HINGE_SYS_REAL)};
#undef HINGE_SYS_REAL

// It is there before any other object is: some are made by calls.
constinit call_table current = real;

#ifdef HINGE_HAVE_URING
#define HINGE_RING_REAL(returned, name, parameters, arguments) \
  [] parameters -> returned { return ::name arguments; },
const ring_table real_ring = {
    HINGE_RING_CALLS(HINGE_RING_REAL)  //
        [](io_uring_sqe&){},
    [](io_uring&) {},
};
#undef HINGE_RING_REAL

ring_table current_ring = real_ring;
#endif

}  // namespace hinge::sys

#endif
