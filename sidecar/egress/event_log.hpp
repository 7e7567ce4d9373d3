// logs/events.jsonl: what happened, one JSON object a line (docs/internals.md). Hostile input: every text in an event;
// it is made valid UTF-8, redacted and JSON-escaped here, and escaped for terminals by who shows it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "core/base/unique_fd.hpp"
#include "sidecar/net/timer.hpp"

namespace bot_bottle::egress {

enum class Level : std::uint8_t { info, warn, block };

struct Event {
  std::string_view kind = "egress";
  Level level = Level::info;
  std::string_view event;
  std::string_view host;
  std::string_view method;
  std::string_view path;
  std::string_view reason;
  std::string_view rule;
  std::string_view where;
  std::string_view snippet;  // redacted by the scanner already
  std::optional<int> status;
  std::optional<std::uint64_t> bytes_in;
  std::optional<std::uint64_t> bytes_out;
  std::optional<std::uint64_t> ms;
};

class EventLog {
 public:
  using Redact = std::function<std::string(std::string_view)>;

  EventLog(net::Loop& loop, std::string path, int level);
  /// Opens for appending; makes the file with mode 0640.
  Result<void> open();
  void set_redact(Redact redact) { redact_ = std::move(redact); }
  void set_level(int level) { level_ = level; }
  /// 1: blocks and warnings; 2: requests too. Events of other kinds than "egress" are kept from level 1 on.
  [[nodiscard]] bool wants(Level level) const { return level_ >= (level == Level::info ? 2 : 1); }
  /// Kept in memory for at most 200 ms or 32 KiB.
  void write(const Event& event);
  /// After it, the file has everything.
  void flush();

 private:
  void rotate_when_large();
  std::string path_;
  int level_;
  UniqueFd fd_;
  Redact redact_;
  std::string pending_;
  std::uint64_t size_ = 0;
  net::Timer timer_;
};

/// Appends `text` as a JSON string; invalid UTF-8 becomes U+FFFD; at most `max_bytes` of it.
void append_json_string(std::string& out, std::string_view text, std::size_t max_bytes);

}  // namespace bot_bottle::egress
