// The program; everything is in the library so that tests reach it.
#include <string>
#include <vector>

#include "core/cli/command_line.hpp"

int main(int argc, char** argv) {
  return bot_bottle::cli::run_command_line(std::vector<std::string>(argv + 1, argv + argc));
}
