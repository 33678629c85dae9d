// What hinge-bench's exit codes mean.
#pragma once

#include <string>

namespace hinge::bench {

enum exit_code : int {
  measured = 0,
  missed = 1,  ///< a threshold, or it is worse than it was
  usage = 2,
  unfit = 3,    ///< this machine, or this build
  invalid = 4,  ///< figures that say nothing
  interrupted = 130
};

/// `missed`, and on stderr why.
exit_code miss(const std::string& why);

}  // namespace hinge::bench
