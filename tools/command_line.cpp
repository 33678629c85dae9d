#include "command_line.hpp"

#include <utility>

#include <CLI/CLI.hpp>

#include "print_error.hpp"
#include "units.hpp"

namespace hinge {
namespace {

/// `store`, whose refusals name the option.
command::store named(std::string name, command::store store) {
  return [name = std::move(name), store = std::move(store)](const std::string& text) {
    try {
      store(text);
    } catch (const units::unit_error& wrong) {
      throw CLI::ValidationError(name, wrong.what());
    }
  };
}

}  // namespace

void command::option(const std::string& name, const char* value, const char* help, store store) {
  app_->add_option_function<std::string>(name, named(name, std::move(store)), help)
      ->type_name(value);
}

void command::option_or_flag(const std::string& name, const char* value, const char* help,
                             store store) {
  app_->add_option_function<std::string>(name, named(name, std::move(store)), help)
      ->type_name(value)
      ->expected(0, 1);
}

void command::options(const std::string& name, const char* value, const char* help, store store) {
  const auto each = [store = named(name, std::move(store))](const std::vector<std::string>& texts) {
    for (const std::string& text : texts) store(text);
  };
  app_->add_option_function<std::vector<std::string>>(name, each, help)->type_name(value);
}

void command::flag(const std::string& name, bool& into, const char* help) {
  app_->add_flag(name, into, help);
}

bool command::given(const std::string& name) const { return app_->count(name) != 0; }

bool command::given() const { return app_->parsed(); }

command_line::command_line(const char* program, const char* description)
    : command_line(std::make_unique<CLI::App>(description, program)) {}

command_line::command_line(std::unique_ptr<CLI::App> app) : command(*app), owned_(std::move(app)) {
  app_->require_subcommand(0, 1);
}

command_line::~command_line() = default;

void command_line::version(const char* text) { app_->set_version_flag("--version", text); }

void command_line::footer(const char* text) { app_->footer(text); }

command command_line::add_command(const char* name, const char* help) {
  return command(*app_->add_subcommand(name, help));
}

std::optional<int> command_line::parse(int argc, char** argv) {
  try {
    app_->parse(argc, argv);
    return {};
  } catch (const CLI::ParseError& wrong) {
    if (wrong.get_exit_code() == 0) return app_->exit(wrong);
    print_error("{}: {}\n", app_->get_name(), wrong.what());
    return 2;
  }
}

}  // namespace hinge
