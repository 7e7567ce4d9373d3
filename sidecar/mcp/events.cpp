#include "sidecar/mcp/events.hpp"

namespace bot_bottle::mcp {

bool AnswerUnits::end_unit(std::string_view text, std::size_t raw, std::string& out) {
  if (!judge_(text, raw > max_message_octets ? Size::too_large : Size::fits)) {
    stopped_ = true;
    return false;
  }
  out.append(held_, 0, raw);
  return true;
}

bool AnswerUnits::give_up(std::string_view text, std::string& out) {
  passing_ = true;
  if (!judge_(text, Size::too_large)) {
    stopped_ = true;
    return false;
  }
  out.append(held_, 0, line_);
  held_.erase(0, line_);
  seen_ -= line_;
  line_ = 0;
  data_.clear();
  return true;
}

bool AnswerUnits::write(std::string_view bytes, std::string& out) {
  if (stopped_) return false;
  if (kind_ == Kind::whole) {
    if (passing_) {
      out.append(bytes);
      return true;
    }
    held_.append(bytes);
    if (held_.size() <= max_message_octets) return true;
    line_ = seen_ = held_.size();
    return give_up(std::string(held_), out);
  }
  held_.append(bytes);
  return read_lines(out);
}

bool AnswerUnits::read_lines(std::string& out) {
  while (true) {
    const std::size_t end = held_.find_first_of("\r\n", seen_);
    // A CR at the end may be half of a CR LF.
    if (end == std::string::npos || (held_[end] == '\r' && end + 1 == held_.size())) {
      seen_ = end == std::string::npos ? held_.size() : end;
      if (passing_) {
        out.append(held_, 0, seen_);
        held_.erase(0, seen_);
        in_long_line_ = in_long_line_ || line_ < seen_;
        line_ = seen_ = 0;
        return true;
      }
      if (held_.size() <= max_message_octets) return true;
      if (!in_long_line_) add_line(std::string_view(held_).substr(line_, seen_ - line_));
      line_ = seen_;
      in_long_line_ = true;
      return give_up(data_, out);
    }
    const std::string_view line = std::string_view(held_).substr(line_, end - line_);
    const std::size_t next = end + (held_[end] == '\r' && held_[end + 1] == '\n' ? 2U : 1U);
    const bool blank = line.empty() && !in_long_line_;
    in_long_line_ = false;
    if (!blank && !passing_) add_line(line);
    line_ = seen_ = next;
    if (!blank) continue;
    if (passing_) {
      out.append(held_, 0, next);
    } else if (!end_unit(any_data_ ? std::string_view(data_) : std::string_view(), next, out)) {
      return false;
    }
    passing_ = false;
    held_.erase(0, next);
    line_ = seen_ = 0;
    data_.clear();
    any_data_ = false;
  }
}

void AnswerUnits::add_line(std::string_view line) {
  constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
  if (first_line_ && line.starts_with(byte_order_mark)) line.remove_prefix(byte_order_mark.size());
  first_line_ = false;
  if (!line.starts_with("data")) return;
  line.remove_prefix(4);
  if (!line.empty() && line.front() != ':') return;
  if (!line.empty()) line.remove_prefix(1);
  if (line.starts_with(' ')) line.remove_prefix(1);
  if (any_data_) data_ += '\n';
  any_data_ = true;
  data_ += line;
}

bool AnswerUnits::finish(std::string& out) {
  if (stopped_) return false;
  if (passing_) {
    out.append(held_);
    held_.clear();
    return true;
  }
  if (kind_ == Kind::whole) {
    const bool go_on = end_unit(held_, held_.size(), out);
    held_.clear();
    return go_on;
  }
  // An event that is cut off is no event (§9.2.6); a client may take it for one.
  if (line_ < held_.size()) {
    std::string_view line = std::string_view(held_).substr(line_);
    if (line.ends_with('\r')) line.remove_suffix(1);
    add_line(line);
  }
  const bool go_on = end_unit(data_, held_.size(), out);
  held_.clear();
  return go_on;
}

}  // namespace bot_bottle::mcp
