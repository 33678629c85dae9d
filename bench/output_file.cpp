#include "output_file.hpp"

#include <hinge/error.hpp>

#include <cerrno>
#include <cstdio>

#include "print_error.hpp"

namespace hinge::bench {

bool write_to(const std::string& path, const std::string& text) {
  if (path.empty()) return true;
  errno = 0;
  std::FILE* file = path == "-" ? stdout : std::fopen(path.c_str(), "we");
  bool written = file != nullptr && std::fputs(text.c_str(), file) >= 0 && std::fflush(file) == 0;
  if (file != nullptr && file != stdout) written = std::fclose(file) == 0 && written;
  if (!written) hinge::print_error("hinge-bench: {}: {}\n", path, hinge::errno_meaning(errno));
  return written;
}

}  // namespace hinge::bench
