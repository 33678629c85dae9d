#include "exit_code.hpp"

#include "print_error.hpp"

namespace hinge::bench {

exit_code miss(const std::string& why) {
  print_error("hinge-bench: {}\n", why);
  return missed;
}

}  // namespace hinge::bench
