// A text in the operator's editor.
#pragma once

#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace bot_bottle::screen {

struct Edited {
  std::string text;
  std::string file;  // where it still is; `remove_edited` when it is done with
};
/// $VISUAL, $EDITOR or vi, with the terminal as its own (hand it over first). The file is private to this user. Errors:
/// the editor cannot be started or ended with a failure.
Result<Edited> edit_text(std::string_view text, std::string_view extension);
void remove_edited(const Edited& edited);

}  // namespace bot_bottle::screen
