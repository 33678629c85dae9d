// A program of somebody else: uses the installed library, and says so.
#include <hinge/error.hpp>
#include <hinge/time.hpp>

#include <cerrno>
#include <cstdio>
#include <string>

int main() {
  const std::string text = hinge::error("bind", "*:80", EACCES).text();
  std::puts(text.c_str());
  return hinge::now() > 0 && text == "bind *:80: EACCES: Permission denied" ? 0 : 1;
}
