// The model as a frame of cells. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/screen/frame.hpp"
#include "core/screen/model.hpp"

namespace bot_bottle::screen {

inline constexpr std::size_t least_rows = 8;
inline constexpr std::size_t least_columns = 40;

Frame render(const Model& model, std::size_t rows, std::size_t columns, Charset charset, Time now);

/// One line of a detail, safe and no wider than asked for.
struct TextLine {
  std::u32string text;
  Style style = Style::plain;
};
/// The whole of it: who asks, what was computed, the agent's words, the exact change.
std::vector<TextLine> lay_out_detail(const Model& model, std::size_t width, Charset charset);
/// Rows that a detail, the logs and the help have.
std::size_t body_rows(std::size_t rows);
/// Lines of the agent's words before the rest is asked for: they must not push the change off the screen.
inline constexpr std::size_t most_words_lines = 4;

}  // namespace bot_bottle::screen
