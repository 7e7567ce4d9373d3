// Sessions of the Streamable HTTP transport: who said `initialize`, and with which revision. Bounded; the longest
// unused one gives way.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace bot_bottle::supervise {

struct Session {
  std::string version;
  std::uint64_t used_ms = 0;
  std::size_t streams = 0;  // open GET streams
  std::size_t calls = 0;    // under way
};

class Sessions {
 public:
  /// A new one's id: 32 letters and digits nobody can guess. Empty: all are in use.
  std::string create(std::string version, std::uint64_t now_ms);
  /// Null: unknown, or ended.
  Session* find(std::string_view id);
  bool end(std::string_view id);
  [[nodiscard]] std::size_t size() const { return all_.size(); }

 private:
  std::map<std::string, Session, std::less<>> all_;
};

}  // namespace bot_bottle::supervise
