// Runs the program that a backend gives for entering a bottle, with the operator's terminal or with pipes. Called by
// launch, `attach` and `exec`. Hostile input: the agent's output; on its way to a terminal it is escaped unless the
// agent has a tty.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.hpp"
#include "core/launch/signals.hpp"

namespace bot_bottle::launch {

/// A resume that ends with a failure this early did not find anything to go on with.
inline constexpr std::chrono::seconds resume_failure_time{5};

enum class Standard : std::uint8_t {
  inherit,  // the operator's own 0, 1, 2
  relay,    // output passes through us: to our 1 and 2, escaped where these are terminals, and to `log_fd`
  capture,  // as relay, but standard output is kept in the result and not written
};

struct AttachRequest {
  json::object document;                  // bot-bottle.attach/1
  std::vector<std::string> hidden_names;  // variables of ours that the program does not get: the bottle's secrets
  Standard standard = Standard::inherit;
  enum class Input : std::uint8_t { inherit, none, text } input = Input::inherit;
  std::string input_text;
  int log_fd = -1;                                   // relay, capture: what was said is also written here
  std::size_t max_log = std::size_t{16} << 20;       // more is not kept
  std::size_t max_capture = std::size_t{16} << 20;   // more sets `truncated`
  std::optional<std::chrono::milliseconds> timeout;  // then SIGTERM, and SIGKILL after 5 s
};

struct AttachResult {
  int code = 0;          // the agent's, or 128 + signal
  bool crashed = false;  // the attaching program itself ended by a signal
  bool timed_out = false;
  bool cancelled = false;  // a signal to us ended it
  std::string captured;
  bool truncated = false;
};

/// Blocks until the program ends. The phase of `signals` is the caller's.
AttachResult attach(const AttachRequest& request, const Signals& signals);

/// Escapes control characters of a stream for a terminal; keeps a character that is cut at the end of a piece for the
/// next.
class TerminalFilter {
 public:
  std::string feed(std::string_view piece);
  std::string finish();

 private:
  std::string kept_;
};

}  // namespace bot_bottle::launch
