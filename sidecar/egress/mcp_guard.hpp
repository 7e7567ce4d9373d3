// MCP and A2A over HTTP (spec 04 §DLP): what an agent says to a tool is scanned as values, what a server says of its
// tools is judged before the agent sees it. Hostile input: both bodies. Guarded by unit_sidecar_egress (mcp_guard_test)
// and integration/egress/mcp.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/policy/egress.hpp"
#include "sidecar/dlp/scanner.hpp"
#include "sidecar/egress/sides.hpp"
#include "sidecar/mcp/events.hpp"
#include "sidecar/mcp/message.hpp"

namespace bot_bottle::egress {

/// Room for one message while so many requests are under way: an agent that begins 4,096 messages of 1 MiB and ends
/// none must not fill the host's memory (attack L; mcp_guard_test: thousands_of_messages_have_little_room_each).
std::size_t room_of_message(std::uint64_t open_exchanges);

/// Keeps a body that begins like a JSON-RPC message back until it is complete, and scans its strings: each of them
/// unescaped, and all of them joined with nothing between. Other bodies pass at their first octets. What it keeps was
/// cleared by the body's own scan (BodyGuard) before.
class McpRequestGuard {
 public:
  struct Block {
    std::optional<dlp::Finding> finding;
    std::string unscannable;  // why it cannot be read, when there is no finding
    std::string where;
  };

  McpRequestGuard(std::shared_ptr<const dlp::Rules> rules, std::shared_ptr<const dlp::KnownSecrets> secrets,
                  dlp::Detectors detectors, policy::OnUnscannable on_unscannable);

  /// `raw` as it came, `cleared` what may go on of it and of what came before. Appends to `out`. More than `room`
  /// octets of a message are not kept: it is one that cannot be read.
  std::optional<Block> write(std::string_view raw, std::string_view cleared, std::string& out,
                             std::size_t room = mcp::max_message_octets);
  std::optional<Block> finish(std::string_view cleared, std::string& out);

  /// It is none of ours: what was cleared goes on without `write`, uncopied. Decided by the first piece where it can
  /// be.
  [[nodiscard]] bool passes(std::string_view raw) {
    if (state_ == State::looking && raw_.empty() && mcp::first_look(raw) == mcp::Look::other) state_ = State::passing;
    return state_ == State::passing;
  }
  /// After finish: it was JSON-RPC.
  [[nodiscard]] bool is_message() const { return is_message_; }
  [[nodiscard]] std::size_t held() const { return raw_.size() + cleared_.size(); }
  [[nodiscard]] bool asks_for_tools() const { return asks_for_tools_; }

 private:
  std::optional<Block> unreadable(std::string_view why);
  [[nodiscard]] std::optional<Block> scan(const mcp::Strings& strings) const;

  std::shared_ptr<const dlp::Rules> rules_;
  std::shared_ptr<const dlp::KnownSecrets> secrets_;
  dlp::Detectors detectors_;
  policy::OnUnscannable on_unscannable_;
  enum class State : std::uint8_t { looking, keeping, passing } state_ = State::looking;
  std::string raw_;
  std::string cleared_;
  bool is_message_ = false;
  bool asks_for_tools_ = false;
};

/// Holds an answer (whole, or event by event) until `judge` has seen it.
class McpAnswerGuard {
 public:
  McpAnswerGuard(const ResponseStart& head, mcp::AnswerUnits::Judge judge);

  [[nodiscard]] bool write(std::string_view bytes, std::string& out) { return units_.write(bytes, out); }
  [[nodiscard]] bool finish(std::string& out) { return units_.finish(out); }

  [[nodiscard]] std::size_t held() const { return units_.held(); }
  [[nodiscard]] bool is_events() const { return kind_ == mcp::AnswerUnits::Kind::events; }
  /// Keeps the head of what is not a stream of events back, so that a refusal is whole. False: it can go out now.
  bool hold(const ResponseStart& head);
  [[nodiscard]] bool is_holding() const { return held_.has_value(); }
  /// The head, once; its fields live as long as the guard.
  ResponseStart take_head();

 private:
  mcp::AnswerUnits::Kind kind_;
  mcp::AnswerUnits units_;
  std::optional<ResponseStart> held_;
  http::Fields fields_;
  std::string reason_;
};

/// True for `text/event-stream`.
bool is_event_stream(const http::Fields& fields);

}  // namespace bot_bottle::egress
