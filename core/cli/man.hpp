// Manual pages from the command line's own definition, written by the build (`bot-bottle __man DIR`).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace CLI {
class App;
}

namespace bot_bottle::cli {

/// Not in the help: `bot-bottle __man DIR` writes DIR/man/man1/bot-bottle*.1 and the shells' completions beside it.
inline constexpr std::string_view man_verb = "__man";

/// man(7) source in ASCII: bot-bottle(1) for the program, bot-bottle-VERB(1) for a verb of it.
std::string man_page(const CLI::App& app);

/// Writes all below `share`, where the installed tree has them too. Throws Failure.
void write_manual(const CLI::App& app, const std::filesystem::path& share);

}  // namespace bot_bottle::cli
