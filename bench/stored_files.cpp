#include "stored_files.hpp"

#include <hinge/error.hpp>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include "output_file.hpp"
#include "page.hpp"

namespace hinge::bench {

namespace {

stored_result read_file(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  // An empty file fails, too, and is no error of the system's.
  if (errno != 0 && (!file || !text)) throw stored_error(std::string(errno_meaning(errno)));
  const std::filesystem::path named(path);
  const bool json = named.extension() == ".json";
  return read_stored((json ? named.stem() : named.filename()).string(), text.str());
}

}  // namespace

std::vector<stored_result> read_files(const std::vector<std::string>& paths) {
  std::vector<stored_result> all;
  for (const std::string& path : paths) {
    try {
      all.push_back(read_file(path));
    } catch (const stored_error& wrong) {
      throw stored_error(fmt::format("{}: {}", path, wrong.what()));
    }
  }
  return all;
}

bool write_result(const std::string& json_path, const std::string& html_path,
                  const std::string& stored) {
  const bool written = write_to(json_path, stored);
  if (html_path.empty()) return written;
  return write_to(html_path, to_page({read_stored("", stored)})) && written;
}

}  // namespace hinge::bench
