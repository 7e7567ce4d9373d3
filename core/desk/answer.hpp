// An answer as the control channel takes it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/json.hpp"
#include "core/desk/proposal.hpp"

namespace bot_bottle::desk {

/// How far an approval goes; it expires by itself. At most one is set; none: as the proposal says.
struct Narrow {
  bool once = false;
  std::uint64_t seconds = 0;
  std::uint64_t requests = 0;
  std::uint64_t bytes = 0;
  [[nodiscard]] bool is_set() const { return once || seconds > 0 || requests > 0 || bytes > 0; }
};
json::object to_json(const Narrow& narrow);
/// "once", "10m", … in words: "for 10m".
std::string describe(const Narrow& narrow);
/// "10m" → seconds, "1MiB" → bytes, "5" → requests; nothing on bad input, zero, or a part of a second.
std::optional<std::uint64_t> parse_seconds(std::string_view text);
std::optional<std::uint64_t> parse_bytes(std::string_view text);
std::optional<std::uint64_t> parse_count(std::string_view text);

struct Answer {
  enum class Decision : std::uint8_t { approve, modify, reject } decision = Decision::approve;
  std::string hash;  // of what the operator looked at
  std::string reason;
  std::optional<std::string> text;     // to a question
  std::optional<json::object> change;  // with modify
  Narrow narrow;
};
/// The request of the control call `answer`. `by` is the operator.
json::object to_request(const Answer& answer, std::string_view id, std::string_view by);

/// $USER with its uid; who decided, in the journal and in the audit.
std::string operator_name();

/// A change as a person edits it: JSON in ASCII (nothing an agent wrote is anything but letters in an editor), a text
/// of several lines as {"lines": […]}.
std::string to_editable(const json::object& change);
/// Back. Errors say where.
Result<json::object> from_editable(std::string_view text);

}  // namespace bot_bottle::desk
