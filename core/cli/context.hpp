// What every verb is given: where things live, how to speak to the operator, and the plugins, made only when asked for
// (`--help` and `list agents` must stay under 10 ms). Everything a verb prints goes through here, so that text of
// unknown origin is escaped in one place (attacks D7, K4: escape sequences in names, logs and error bodies).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/paths.hpp"
#include "core/manifest/manifest.hpp"

namespace bot_bottle::plugins {
class Registry;
}

namespace bot_bottle::cli {

/// Set by the global options; `json` by those verbs that take --json (add_json_option).
struct OutputOptions {
  bool quiet = false;
  bool verbose = false;
  bool debug = false;  // -D: traces; implies verbose
  bool json = false;
  bool color = false;  // decided once: terminal on stdout, no NO_COLOR, no --no-color, TERM is not "dumb"
};

enum class Tone : std::uint8_t { plain, good, bad, warning, dim, strong };

struct Cell {
  Cell(std::string text_of, Tone tone_of = Tone::plain)
      : text(std::move(text_of)), tone(tone_of) {}  // NOLINT(google-explicit-constructor)
  Cell(const char* text_of) : text(text_of) {}      // NOLINT(google-explicit-constructor)
  std::string text;                                 // may be hostile: print_table escapes it
  Tone tone = Tone::plain;
};

struct Table {
  std::vector<std::string> headers;
  std::vector<std::vector<Cell>> rows;
};

class Context {
 public:
  Context();
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  OutputOptions output;
  std::optional<std::string> home_option;  // --home
  bool no_color = false;                   // --no-color
  bool trust_plugins = false;              // --trust-plugins
  std::vector<std::string> rest;           // behind "--", for the verbs that hand it on (CLI11 never sees it)
  /// What the chosen verb does; set by its CLI11 callback, run by main after parsing. Returns the exit code; throws
  /// Failure.
  std::function<int()> action;

  /// Throw Failure when they cannot be found.
  const Home& home();
  const Installation& installation();
  /// The home's files and the repository's that the working directory is in.
  manifest::Sources sources();
  /// Made at the first call: reads plugin.toml files, opens no library. Asks on a terminal before an untrusted plugin
  /// runs.
  plugins::Registry& registry();

  /// A line to stdout. `text` is ours; pass what is not through escape_untrusted first.
  void out(std::string_view text) const;
  /// A line to stderr, unless --quiet.
  void note(std::string_view text) const;
  /// A line to stderr with --verbose.
  void detail(std::string_view text) const;
  /// "warning: …" to stderr, also with --quiet. Escaped here.
  void warn(std::string_view text) const;
  /// Pretty JSON to stdout.
  void print_json(const json::value& value) const;
  /// Aligned columns to stdout; each cell on one line, escaped. On a terminal the widest column is cut ("…") so that a
  /// row fits its width; elsewhere nothing is cut.
  void print_table(const Table& table) const;
  /// `text` with the tone's colour when colour is on.
  [[nodiscard]] std::string paint(std::string_view text, Tone tone) const;

  [[nodiscard]] bool stdin_is_terminal() const;
  [[nodiscard]] bool stdout_is_terminal() const;
  /// "question [y/N] " on stderr; only y and yes are yes. Without a terminal on stdin the answer is no.
  [[nodiscard]] bool confirm(std::string_view question) const;
  /// "question [fallback]: "; the fallback on an empty line, at the end of input and without a terminal.
  [[nodiscard]] std::string ask(std::string_view question, std::string_view fallback) const;

 private:
  struct Lazy;
  std::unique_ptr<Lazy> lazy_;
};

/// "warning: …", with what may be hostile escaped.
std::string format_warning(std::string_view text);
/// JSON as ASCII: everything else as \uXXXX. The same value to every reader, and nothing in it can move a cursor, hide
/// or reverse text when it lands on a terminal.
std::string to_ascii_json(std::string_view json_text);
/// Columns that `text` (valid UTF-8, no control characters) takes on a terminal: wide East Asian and emoji 2, combining
/// 0.
std::size_t display_width(std::string_view text);
/// The table as print_table writes it; `width` 0: never cut.
std::string format_table(const Context& context, const Table& table, std::size_t width);
/// Columns of the terminal on stdout; 80 when it cannot tell.
std::size_t terminal_width();

}  // namespace bot_bottle::cli
