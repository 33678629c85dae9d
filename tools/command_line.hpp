// A program's command line. CLI11 is behind it, and compiled once: it takes the compiler longer
// than the programs do.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace hinge {

/// Options that belong together: the program's own, or those of one command of it ("accept"). What
/// they refer to has to live until command_line::parse() has returned.
class command {
public:
  /// Takes an option's value, and throws units::unit_error when it can't be used.
  using store = std::function<void(const std::string& text)>;

  /// "--name VALUE"; `value` says what that is, as "N". At most once.
  void option(const std::string& name, const char* value, const char* help, store);
  /// "--name" or "--name=VALUE"; `store` is called with nothing, or with that.
  void option_or_flag(const std::string& name, const char* value, const char* help, store);
  /// "--name VALUE VALUE ...": `store` is called for each.
  void options(const std::string& name, const char* value, const char* help, store);
  void flag(const std::string& name, bool& into, const char* help);

  /// Whether that option, or this command itself, was on the command line.
  bool given(const std::string& name) const;
  bool given() const;

private:
  friend class command_line;
  explicit command(CLI::App& app) : app_(&app) {}

  CLI::App* app_;
};

class command_line : public command {
public:
  command_line(const char* program, const char* description);
  ~command_line();
  command_line(const command_line&) = delete;
  command_line& operator=(const command_line&) = delete;

  void version(const char* text);
  /// What --help ends with.
  void footer(const char* text);
  /// "program NAME options": one of those that were added, or none.
  command add_command(const char* name, const char* help);

  /// Nothing when the program shall go on; else its exit code: 0, the help or the version was
  /// asked for; 2, the arguments are bad, which has been said on stderr.
  std::optional<int> parse(int argc, char** argv);

private:
  explicit command_line(std::unique_ptr<CLI::App>);

  std::unique_ptr<CLI::App> owned_;
};

}  // namespace hinge
