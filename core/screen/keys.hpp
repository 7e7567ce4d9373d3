// A key press, as the surface reads it.
#pragma once

#include <cstdint>

#include "core/screen/frame.hpp"

namespace bot_bottle::screen {

struct Key {
  enum class Code : std::uint8_t {
    character,
    up,
    down,
    page_up,
    page_down,
    home,
    end,
    enter,
    escape,
    tab,
    back_tab,
    backspace,
    clear,      // Ctrl-U
    interrupt,  // Ctrl-C
    redraw,     // Ctrl-L
    other,
  } code = Code::other;
  char32_t character = 0;
};

inline Key typed(char32_t character) {
  return {Key::Code::character, character};
}

}  // namespace bot_bottle::screen
