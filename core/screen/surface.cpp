#include "core/screen/surface.hpp"

#define NCURSES_WIDECHAR 1
#define NCURSES_NOMACROS 1
#include <curses.h>
#include <langinfo.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <clocale>
#include <cstdio>
#include <string>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/paths.hpp"
#include "core/base/terminal_text.hpp"

namespace bot_bottle::screen {
namespace {

/// How long a lone escape is waited on for the rest of a key's sequence; ssh delivers them in one piece.
constexpr int escape_ms = 50;

/// Kinds of terminal whose title OSC 0 sets; on others it would be text on the screen.
bool is_titled(std::string_view term) {
  static constexpr std::array<std::string_view, 9> kinds{"xterm", "tmux",    "screen", "rxvt", "alacritty",
                                                         "foot",  "konsole", "gnome",  "kitty"};
  return std::ranges::any_of(kinds, [term](std::string_view kind) { return term.starts_with(kind); });
}

enum Pair : short { green = 1, red, yellow, cyan };

attr_t attribute_of(Style style, Color color) {
  const bool colored = color == Color::yes;
  switch (style) {
    case Style::plain:
      return A_NORMAL;
    case Style::dim:
      return A_DIM;
    case Style::strong:
      return A_BOLD;
    case Style::bar:
      return A_REVERSE;
    case Style::selected:
      return A_REVERSE | A_BOLD;
    case Style::good:
      return colored ? static_cast<attr_t>(COLOR_PAIR(green)) : A_NORMAL;
    case Style::bad:
      return colored ? static_cast<attr_t>(COLOR_PAIR(red)) : A_NORMAL;
    case Style::warn:
      return colored ? static_cast<attr_t>(COLOR_PAIR(yellow)) | A_BOLD : A_BOLD;
    case Style::mark:
      return colored ? static_cast<attr_t>(COLOR_PAIR(cyan)) | A_BOLD : A_BOLD;
  }
  return A_NORMAL;
}

Key key_of_code(int code) {
  using Code = Key::Code;
  switch (code) {
    case KEY_UP:
      return {Code::up};
    case KEY_DOWN:
      return {Code::down};
    case KEY_PPAGE:
      return {Code::page_up};
    case KEY_NPAGE:
      return {Code::page_down};
    case KEY_HOME:
      return {Code::home};
    case KEY_END:
      return {Code::end};
    case KEY_ENTER:
      return {Code::enter};
    case KEY_BTAB:
      return {Code::back_tab};
    case KEY_BACKSPACE:
    case KEY_DC:
      return {Code::backspace};
    default:
      return {Code::other};
  }
}

Key key_of_character(wint_t character) {
  using Code = Key::Code;
  switch (character) {
    case '\r':
    case '\n':
      return {Code::enter};
    case '\t':
      return {Code::tab};
    case 0x1B:
      return {Code::escape};
    case 0x03:
      return {Code::interrupt};
    case 0x0C:
      return {Code::redraw};
    case 0x15:
      return {Code::clear};
    case 0x7F:
    case 0x08:
      return {Code::backspace};
    default:
      return character < 0x20 ? Key{Code::other} : typed(static_cast<char32_t>(character));
  }
}

}  // namespace

Surface::Surface(Color color) : color_(color) {
  std::setlocale(LC_CTYPE, "");  // NOLINT(concurrency-mt-unsafe): before anything else runs
  if (std::string_view(::nl_langinfo(CODESET)) == "UTF-8") charset_ = Charset::unicode;
  guard_ = std::make_unique<tui::TerminalGuard>(STDIN_FILENO, STDOUT_FILENO, tui::Restores::everything);
  // initscr(3) ends the process when it does not know the terminal; newterm(3) says so.
  if (::newterm(nullptr, stdout, stdin) == nullptr) {
    guard_.reset();
    throw Failure(make_error(ErrorKind::failed_precondition,
                             "the terminal '" + environment("TERM").value_or("") + "' is not known here",
                             "TERM=vt100 bot-bottle supervise, or: bot-bottle supervise --once"));
  }
  has_title_ = is_titled(environment("TERM").value_or(""));
  enter();
}

Surface::~Surface() {
  ::endwin();
  if (title_was_set_) {
    [[maybe_unused]] const auto written = write_all(STDOUT_FILENO, tui::title_reset);
  }
}

void Surface::enter() {
  if (color_ == Color::yes && ::has_colors() == TRUE) {
    ::start_color();
    ::use_default_colors();
    ::init_pair(green, COLOR_GREEN, -1);
    ::init_pair(red, COLOR_RED, -1);
    ::init_pair(yellow, COLOR_YELLOW, -1);
    ::init_pair(cyan, COLOR_CYAN, -1);
  } else {
    color_ = Color::no;
  }
  ::raw();  // Ctrl-C is a key: what runs in the bottles is not to be ended by a slip
  ::noecho();
  ::nonl();
  ::keypad(stdscr, TRUE);
  ::nodelay(stdscr, TRUE);
  ::set_escdelay(escape_ms);
  ::curs_set(0);
}

std::size_t Surface::rows() const {
  return static_cast<std::size_t>(std::max(LINES, 1));
}
std::size_t Surface::columns() const {
  return static_cast<std::size_t>(std::max(COLS, 1));
}

void Surface::resize() {
  const tui::WindowSize size = tui::window_size(STDOUT_FILENO);
  ::resizeterm(size.rows, size.columns);
  forget();
}

void Surface::forget() {
  painted_.reset();
  ::clearok(stdscr, TRUE);
}

void Surface::paint(const Frame& frame) {
  const bool all = !painted_ || painted_->rows() != frame.rows() || painted_->columns() != frame.columns();
  if (all) ::werase(stdscr);
  for (std::size_t row = 0; row < frame.rows(); ++row) {
    bool same = !all;
    for (std::size_t column = 0; same && column < frame.columns(); ++column)
      same = painted_->at(row, column) == frame.at(row, column);
    if (same) continue;
    ::wmove(stdscr, static_cast<int>(row), 0);
    ::wclrtoeol(stdscr);
    for (std::size_t column = 0; column < frame.columns(); ++column) {
      const Cell& cell = frame.at(row, column);
      if (cell.point == 0) continue;
      // Each cell by its place: a character that libc measures otherwise than we do moves no other.
      const std::array<wchar_t, 2> text{static_cast<wchar_t>(cell.point), L'\0'};
      const attr_t attributes = attribute_of(cell.style, color_);
      cchar_t character;
      ::setcchar(&character, text.data(), attributes & ~A_COLOR,
                 static_cast<short>(PAIR_NUMBER(static_cast<int>(attributes))), nullptr);
      ::mvwadd_wch(stdscr, static_cast<int>(row), static_cast<int>(column), &character);
    }
  }
  ::wmove(stdscr, static_cast<int>(frame.rows()) - 1, 0);
  ::wrefresh(stdscr);
  painted_ = frame;
}

std::optional<Key> Surface::read_key() {
  wint_t character = 0;
  int code = ::wget_wch(stdscr, &character);
  // resizeterm(3) puts it there; the signal told us.
  while (code == KEY_CODE_YES && character == KEY_RESIZE) code = ::wget_wch(stdscr, &character);
  if (code == ERR) return std::nullopt;
  return code == KEY_CODE_YES ? key_of_code(static_cast<int>(character)) : key_of_character(character);
}

void Surface::bell() {
  ::beep();
}

void Surface::set_title(std::string_view title) {
  if (!has_title_) return;
  std::string text;
  if (!title_was_set_) text = "\x1b[22;0t";  // the operator's own, on the terminal's stack
  title_was_set_ = true;
  text += "\x1b]0;" + escape_untrusted(title, 200) + "\x07";
  [[maybe_unused]] const auto written = write_all(STDOUT_FILENO, text);
}

void Surface::hand_over(const std::function<void()>& program) {
  ::def_prog_mode();
  ::endwin();
  try {
    program();
  } catch (...) {
    ::reset_prog_mode();
    forget();
    throw;
  }
  // It may have left anything behind.
  [[maybe_unused]] const auto written = write_all(STDOUT_FILENO, tui::reset_sequence(tui::Ending::orderly));
  ::reset_prog_mode();
  resize();
  ::wrefresh(stdscr);
}

}  // namespace bot_bottle::screen
