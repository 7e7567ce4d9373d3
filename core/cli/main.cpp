// The program; everything is in the library so that tests reach it.
#include <sys/resource.h>

#include <string>
#include <vector>

#include "core/cli/command_line.hpp"

int main(int argc, char** argv) {
  // A launch holds credentials for a moment; none of it goes into a core file, ours or of what we start.
  rlimit cores{};
  if (::getrlimit(RLIMIT_CORE, &cores) == 0) {
    cores.rlim_cur = 0;
    ::setrlimit(RLIMIT_CORE, &cores);
  }
  return bot_bottle::cli::run_command_line(std::vector<std::string>(argv + 1, argv + argc));
}
