// A screenful of cells, and the only way text gets into them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bot_bottle::screen {

/// What a cell means; the surface chooses colours or, without them, attributes. Nothing is told by colour alone.
enum class Style : std::uint8_t { plain, dim, strong, bar, selected, good, bad, warn, mark };

/// What the terminal can show beyond ASCII.
enum class Charset : std::uint8_t { ascii, unicode };

struct Cell {
  char32_t point = U' ';  // 0: the right half of a wide character
  Style style = Style::plain;
  bool operator==(const Cell&) const = default;
};

/// Code points of `text` made safe for a cell: printable letters of left-to-right scripts whose width every terminal
/// agrees on; all others as \x1b or \u{202e}. With Charset::ascii everything else, too. `text` may be any bytes.
std::u32string visible(std::string_view text, Charset charset);
/// Columns of what `visible` gave.
std::size_t columns_of(std::u32string_view text);
/// `text` in pieces of at most `width` (≥ 2) columns, at spaces where there are some; never empty.
std::vector<std::u32string> wrap(std::u32string_view text, std::size_t width);

class Frame {
 public:
  Frame(std::size_t rows, std::size_t columns, Charset charset)
      : rows_(rows), columns_(columns), charset_(charset), cells_(rows * columns) {}
  [[nodiscard]] std::size_t rows() const { return rows_; }
  [[nodiscard]] std::size_t columns() const { return columns_; }
  [[nodiscard]] Charset charset() const { return charset_; }
  [[nodiscard]] const Cell& at(std::size_t row, std::size_t column) const { return cells_[row * columns_ + column]; }

  /// Puts `text` at a place, at most `width` columns, ending in "…" when something was cut; the rest of the width
  /// becomes blanks of `style`. Outside of the frame nothing is written.
  void put(std::size_t row, std::size_t column, std::size_t width, std::string_view text, Style style);
  void put(std::size_t row, std::size_t column, std::size_t width, std::u32string_view shown, Style style);
  /// A line of one of our own signs.
  void rule(std::size_t row, std::size_t column, std::size_t width, Style style);
  void bar_down(std::size_t row, std::size_t column, std::size_t height);

  /// One row as UTF-8, for tests; blanks at the end removed.
  [[nodiscard]] std::string text(std::size_t row) const;
  [[nodiscard]] std::string all_text() const;

 private:
  [[nodiscard]] char32_t sign(char32_t unicode, char32_t ascii) const {
    return charset_ == Charset::unicode ? unicode : ascii;
  }
  Cell& cell(std::size_t row, std::size_t column) { return cells_[row * columns_ + column]; }
  std::size_t rows_;
  std::size_t columns_;
  Charset charset_;
  std::vector<Cell> cells_;
};

}  // namespace bot_bottle::screen
