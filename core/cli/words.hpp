// What a word of the command line may be, by the name that help gives it ("AGENT", "COLOR", "DIR"). Verbs check against
// these lists, and completion offers them: one list for both.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/cli/context.hpp"

namespace bot_bottle::cli {

/// `logs --kind`.
const std::vector<std::string>& event_kinds();
/// `list WHAT`.
const std::vector<std::string>& list_subjects();
/// `completion SHELL`.
const std::vector<std::string>& shell_names();

enum class FileWords : std::uint8_t { none, files, directories };
/// Whether another word may follow in the same argument, behind a comma or a colon.
enum class Ending : std::uint8_t { complete, comma, colon };

struct WordList {
  std::vector<std::string> words;
  FileWords files = FileWords::none;
  Ending ending = Ending::complete;
};
/// What there is for `value_name`. Names of agents, bottles, backends, plugins and slugs come from directories alone:
/// no file of an agent is opened, no plugin loaded. Never throws; what cannot be read offers nothing.
WordList words_for(Context& context, std::string_view value_name);

/// Letters, digits and `. _ - : , = +`: what a shell shows and takes as it stands. A file in a repository may have any
/// name, "$(touch x)" too; no other word leaves us for a shell.
bool is_offerable(std::string_view word);

}  // namespace bot_bottle::cli
