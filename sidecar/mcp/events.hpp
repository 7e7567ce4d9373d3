// An answer cut into what is judged as one: the whole body, or one server-sent event (HTML standard, §9.2.6). Nothing
// of a unit is given out before it was judged. Hostile input: the body.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "sidecar/mcp/message.hpp"

namespace bot_bottle::mcp {

class AnswerUnits {
 public:
  enum class Kind : std::uint8_t { whole, events };
  enum class Size : std::uint8_t { fits, too_large };
  /// Gets the text of a unit (of an event: its data). With `too_large` the text is only its beginning, and what follows
  /// of it is not shown. False: stop, nothing more is given out.
  using Judge = std::function<bool(std::string_view text, Size size)>;

  AnswerUnits(Kind kind, Judge judge) : kind_(kind), judge_(std::move(judge)) {}

  /// Appends what was judged to `out`. False: a judge said stop.
  [[nodiscard]] bool write(std::string_view bytes, std::string& out);
  [[nodiscard]] bool finish(std::string& out);
  /// Octets that are kept until they can be judged.
  [[nodiscard]] std::size_t held() const { return held_.size() + data_.size(); }

 private:
  [[nodiscard]] bool read_lines(std::string& out);
  [[nodiscard]] bool end_unit(std::string_view text, std::size_t raw, std::string& out);
  void add_line(std::string_view line);
  [[nodiscard]] bool give_up(std::string_view text, std::string& out);

  Kind kind_;
  Judge judge_;
  std::string held_;      // not judged yet
  std::size_t line_ = 0;  // of held_: where the present line begins
  std::size_t seen_ = 0;  // and how far it was looked through for its end
  std::string data_;      // of the present event
  bool any_data_ = false;
  bool first_line_ = true;     // a byte order mark may stand before it
  bool passing_ = false;       // a unit that is too large goes by
  bool in_long_line_ = false;  // its beginning has gone by: it is not empty, whatever comes
  bool stopped_ = false;
};

}  // namespace bot_bottle::mcp
