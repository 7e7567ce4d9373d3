// Drives the progress display from standard input, so that a test can look at it in a terminal (terminal_test.py):
// "begin STEP log|status", "update PERMILLE TEXT", "end done|failed", "line TEXT". A fake of a launch's steps.
#include <unistd.h>

#include <iostream>
#include <sstream>
#include <string>

#include "core/tui/progress.hpp"

using bot_bottle::tui::Look;
using bot_bottle::tui::Progress;
using bot_bottle::tui::Shows;

int main() {
  Progress progress(Progress::style_for(STDERR_FILENO, false), STDERR_FILENO, Look::find(STDERR_FILENO, false));
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string verb;
    std::string text;
    std::uint32_t permille = 0;
    words >> verb;
    if (verb == "begin") {
      std::string shows;
      words >> text >> shows;
      progress.begin(text, shows == "log" ? Shows::log : Shows::status);
    } else if (verb == "update") {
      words >> permille;
      std::getline(words >> std::ws, text);
      progress.update(permille, text);
    } else if (verb == "end") {
      words >> text;
      progress.end(text == "done" ? Progress::Outcome::done : Progress::Outcome::failed);
    } else if (verb == "line") {
      std::getline(words >> std::ws, text);
      progress.line(text);
    }
  }
}
