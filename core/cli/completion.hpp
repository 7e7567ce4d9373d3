// Shell completion: a few lines of script for each shell, and the words, asked of this program at each Tab.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/cli/context.hpp"

namespace CLI {
class App;
}

namespace bot_bottle::cli {

/// Not in the help: `bot-bottle __complete SHELL WORD...`, the last WORD being completed.
inline constexpr std::string_view completion_verb = "__complete";

/// For `bot-bottle completion SHELL`; empty for another shell.
std::string completion_script(std::string_view shell);

/// The answer to the script: a line "words", "files" or "directories", with " nospace" where more follows in the same
/// word; then one word a line, with a tab and what it means. From the command line's own definition. Runs nothing,
/// loads no plugin, opens no agent's file. Every word is one that `is_offerable` lets pass.
/// `arguments`: SHELL WORD... as the script gives them, in that shell's quotes.
std::string complete_words(const CLI::App& app, Context& context, const std::vector<std::string>& arguments);

}  // namespace bot_bottle::cli
