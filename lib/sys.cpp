#include "sys.hpp"

#ifdef HINGE_SYS_SEAM

namespace hinge::sys {

#define HINGE_SYS_REAL(returned, name, parameters, arguments) \
  [] parameters noexcept -> returned { return fold(::name arguments); },
const call_table real = {HINGE_SYS_CALLS(HINGE_SYS_REAL)};
#undef HINGE_SYS_REAL

call_table current = real;

}  // namespace hinge::sys

#endif
