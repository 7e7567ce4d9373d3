// The formatter that CLI11 asks for a help text.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace bot_bottle::cli {

class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override;
};

}  // namespace bot_bottle::cli
