// The program behind `bot-bottle`: parse, run one verb, turn every failure into spec 02's text and exit code.
// Called by main and by tests. Hostile input: none on argv itself, but agent names and error texts may come from files
// of a repository or from a bottle; all are escaped before they are shown.
#pragma once

#include <string>
#include <vector>

#include "core/base/error.hpp"

namespace CLI {
class App;
}

namespace bot_bottle::cli {

class Context;

/// `arguments` without the program's name. The exit code of spec 02. Never throws.
int run_command_line(const std::vector<std::string>& arguments);

/// All verbs and global options on `app`.
void declare_command_line(CLI::App& app, Context& context);

/// The overall help: verbs by task, at most 80 columns.
std::string format_overall_help(const CLI::App& app);

/// "error: …", indented details, "next: …" (spec 02, Errors); every text escaped. Ends with a newline.
std::string format_error(const Error& error, const Context& context);

/// Exit 2 for what is not a verb, with "did you mean".
Error unknown_verb(const CLI::App& app, const std::string& word);

/// Where the last exception was thrown, as lines "program(+0x1234)"; empty when none was. See trace.cpp.
std::vector<std::string> last_throw_trace();

}  // namespace bot_bottle::cli
