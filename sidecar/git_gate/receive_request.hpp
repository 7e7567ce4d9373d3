// What a client asks a receive-pack for (gitprotocol-pack, "Reference Update Request"): commands, capabilities, then a
// pack. Hostile input: every octet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"

namespace bot_bottle::git_gate {

inline constexpr std::string_view zero_oid = "0000000000000000000000000000000000000000";

/// One ref from `before` to `after`; zero_oid for "not there".
struct RefUpdate {
  std::string before;
  std::string after;
  std::string name;  // as it came: check_ref_name decides
  [[nodiscard]] bool creates() const { return before == zero_oid; }
  [[nodiscard]] bool deletes() const { return after == zero_oid; }
};

struct ReceiveRequest {
  std::vector<RefUpdate> updates;
  bool report_status = false;
  bool side_band = false;
  bool quiet = false;
  bool empty = false;  // a lone flush: the client's probe before a large request
  [[nodiscard]] bool has_pack() const {
    for (const RefUpdate& update : updates)
      if (!update.deletes()) return true;
    return false;
  }
};

/// Takes the commands off the start of a request as it comes in.
class ReceiveRequestReader {
 public:
  enum class Reading : std::uint8_t { need_more, complete, bad };
  /// At most 1000 commands and 1 MiB. Once `complete`, rest() is where the pack begins.
  Reading feed(std::string_view bytes);
  [[nodiscard]] const ReceiveRequest& request() const { return request_; }
  [[nodiscard]] std::string take_rest() { return std::move(buffer_); }
  [[nodiscard]] const Error& error() const { return error_; }

 private:
  Reading fail_with(std::string message, std::string hint = {});
  bool read_command(std::string_view line);
  ReceiveRequest request_;
  std::string buffer_;
  std::size_t taken_ = 0;
  bool first_ = true;
  Error error_;
};

/// 40 lower-case hex digits.
bool is_oid(std::string_view text);

}  // namespace bot_bottle::git_gate
