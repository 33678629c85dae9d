// Runs a fuzzer on files, and on nothing: NAME-replay FILE-OR-FOLDER...
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "fuzz/fuzz.hpp"

namespace {

using bytes = std::vector<char>;

void run(const bytes& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

void run_file(const std::filesystem::path& file) {
  std::fprintf(stderr, "%s\n", file.c_str());  // the last one is the one that failed
  std::ifstream from(file, std::ios::binary);
  run(bytes(std::istreambuf_iterator<char>(from), {}));
}

}  // namespace

int main(int count, char** arguments) {
  run({});
  std::vector<std::filesystem::path> files;
  for (int i = 1; i < count; ++i) {
    if (std::filesystem::is_directory(arguments[i])) {
      const std::filesystem::directory_iterator all(arguments[i]);
      files.insert(files.end(), begin(all), end(all));
    } else {
      files.emplace_back(arguments[i]);
    }
  }
  std::sort(files.begin(), files.end());
  for (const auto& file : files) run_file(file);
  std::printf("%zu files\n", files.size());
  return files.empty() ? 1 : 0;
}
