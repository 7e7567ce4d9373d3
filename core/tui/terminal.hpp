// The operator's terminal while an agent has it. Called by launch. Never throws.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bot_bottle::tui {

bool is_terminal(int fd);

struct WindowSize {
  int rows = 24;
  int columns = 80;
};
/// TIOCGWINSZ; the default where there is no terminal.
WindowSize window_size(int fd);

/// What a display may use: colours (not with NO_COLOR, --no-color or TERM=dumb), and characters beyond ASCII.
struct Look {
  bool color = false;
  bool unicode = true;
  /// For what is drawn on `fd`; `no_color` is the option's.
  static Look find(int fd, bool no_color);
};

/// A colour of the operator's choice (spec 02): red green yellow blue magenta cyan white and "bright-<colour>".
struct Tint {
  std::string_view name;
  std::string_view background;  // dark enough for light text, "#300a0a"
  int ansi = 0;                 // the terminal's own colour of that name, 0 to 15
};
std::optional<Tint> find_tint(std::string_view name);
std::vector<std::string> tint_names();

/// What the guard writes, so that tests can compare. `title` is escaped; xterm's control sequences (ctlseqs).
std::string title_sequence(std::string_view title);
/// The background (OSC 11) and the palette's black (OSC 4), which full-screen programs paint with.
std::string tint_sequence(const Tint& tint);
/// `text` on the tint as far as the terminal can show it (COLORTERM, TERM); as it is without colours.
std::string tinted(std::string_view text, const Tint& tint, const Look& look);
/// Takes the title back from the terminal's stack, where title_sequence left the operator's own.
inline constexpr std::string_view title_reset = "\x1b[23;0t";
/// Puts back the colours and every mode that an agent may have left on. After a crash the other screen is left in the
/// way that also restores the cursor.
enum class Ending : std::uint8_t { orderly, crash };
std::string reset_sequence(Ending ending);

/// What the guard puts back: `settings` (termios) for our own questions, `everything` after an agent had the terminal.
enum class Restores : std::uint8_t { settings, everything };

/// Saves the settings of the terminal on `input` and puts them back when it goes, on fatal signals too; title and tint
/// go to `output`. Does nothing where these are no terminals. One at a time per process.
class TerminalGuard {
 public:
  TerminalGuard(int input, int output, Restores restores);
  ~TerminalGuard();
  TerminalGuard(const TerminalGuard&) = delete;
  TerminalGuard& operator=(const TerminalGuard&) = delete;

  void set_title(std::string_view title);
  void set_tint(const Tint& tint) const;
  /// The agent's program ended by a signal: reset as after a crash.
  void expect_crash() { ending_ = Ending::crash; }

 private:
  bool active_ = false;
  int output_ = -1;
  Restores restores_ = Restores::settings;
  bool has_title_ = false;
  Ending ending_ = Ending::orderly;
};

}  // namespace bot_bottle::tui
