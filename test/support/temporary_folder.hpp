// A folder that lives as long as the object.
#pragma once

#include <catch2/catch_test_macros.hpp>

#include <stdlib.h>

#include <filesystem>
#include <string>

namespace hinge::test {

class temporary_folder {
public:
  temporary_folder() : path_((std::filesystem::temp_directory_path() / "hinge-XXXXXX").string()) {
    REQUIRE(::mkdtemp(path_.data()) != nullptr);
  }
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;
  ~temporary_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const noexcept { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  bool empty() const { return std::filesystem::is_empty(path_); }

private:
  std::string path_;
};

}  // namespace hinge::test
