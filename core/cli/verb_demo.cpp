#include <CLI/CLI.hpp>
#include "core/cli/verbs.hpp"
namespace bot_bottle::cli {
void add_demo(CLI::App&, Context&) {}
}
