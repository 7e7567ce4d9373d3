// Failures as an operator reads them (spec 02, Errors), and the log that a bug leaves behind.
#include "core/cli/report.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <string>

#include "core/base/clock.hpp"
#include "core/base/file.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/cli/command_line.hpp"
#include "core/cli/context.hpp"

namespace bot_bottle::cli {

std::string format_error(const Error& error, const Context& context) {
  // Messages may hold several lines (a tool's own stderr): what follows the first is indented, so that it cannot be
  // taken for a line of ours. Guarded by report_test: a_message_cannot_forge_a_next_line.
  std::string text = context.paint("error:", Tone::bad) + " ";
  bool first = true;
  const auto add_lines = [&text, &first](std::string_view block) {
    for (const std::string_view line : split(block, '\n')) {
      if (!first && trim(line).empty()) continue;
      text +=
          (first ? "" : "  ") + escape_untrusted(line.ends_with('\r') ? line.substr(0, line.size() - 1) : line) + "\n";
      first = false;
    }
  };
  add_lines(error.message.empty() ? "something failed and did not say what" : error.message);
  if (!error.details.empty()) add_lines(error.details);
  if (!error.hint.empty()) {
    bool hint_first = true;
    for (const std::string_view line : split(error.hint, '\n')) {
      text += (hint_first ? context.paint("next:", Tone::strong) + " " : "      ") + escape_untrusted(line) + "\n";
      hint_first = false;
    }
  }
  return text;
}

std::string_view version() {
  return BB_VERSION;
}

std::string write_bug_log(Context& context, const std::string& verb, const std::string& type, const Error& error) {
  // No argv: values given to --env may be secrets.
  std::string text = fmt::format("bot-bottle {} bug report\ntime: {}\nverb: {}\nkind: {} ({})\nmessage: {}\n",
                                 version(), format_time(now_ms()), verb, name_of(error.kind), type, error.message);
  if (!error.details.empty()) text += "details:\n" + error.details + "\n";
  text += "thrown at:\n";
  for (const std::string& line : last_throw_trace()) text += "  " + line + "\n";
  std::filesystem::path directory;
  try {
    directory = context.home().root / "logs";
  } catch (const Failure&) {
    return {};
  }
  const std::filesystem::path file = directory / fmt::format("bug-{}-{}.log", now_ms(), ::getpid());
  if (!make_directories(directory) || !write_file_fast(file, text)) return {};
  return file.string();
}

}  // namespace bot_bottle::cli
