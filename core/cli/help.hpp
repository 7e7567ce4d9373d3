// The formatter that CLI11 asks for a help text.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace bot_bottle::cli {

// What help, manual pages and completion say in the same words.
/// "DIR"; empty for a flag.
std::string value_name(const CLI::Option& option);
/// "-p, --prompt PROMPT".
std::string option_name(const CLI::Option& option);
/// "usage: bot-bottle logs [OPTIONS] SLUG\n".
std::string usage_of(const CLI::App& app);

class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override;
};

}  // namespace bot_bottle::cli
