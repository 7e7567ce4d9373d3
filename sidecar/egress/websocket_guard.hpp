// Steps 4 and 7 for a connection that has switched to WebSocket: frames are parsed, messages scanned or scrubbed, and
// written again; no octet goes through that was not understood. Hostile input: both sides.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "sidecar/dlp/scanner.hpp"
#include "sidecar/egress/message_scanner.hpp"
#include "sidecar/websocket/frames.hpp"

namespace bot_bottle::egress {

class WebSocketGuard {
 public:
  /// `scrub`: take `scrubbed` out of what the upstream says; `sought` are what the agent must not say.
  enum class Scrub : std::uint8_t { no, yes };
  WebSocketGuard(std::shared_ptr<const dlp::Rules> rules, std::shared_ptr<const dlp::KnownSecrets> sought,
                 std::shared_ptr<const dlp::KnownSecrets> scrubbed, dlp::Detectors detectors,
                 policy::OnUnscannable on_unscannable, Scrub scrub);

  /// Why the connection ends.
  struct End {
    std::optional<BodyGuard::Block> block;
    websocket::Problem problem = websocket::Problem::none;  // where there is no block
  };
  /// Frames of the agent; appends what goes to the upstream. A message of up to 64 KiB leaves in one piece when it is
  /// complete; a longer one as it is cleared.
  std::optional<End> from_agent(std::string_view bytes, std::string& out);
  /// Frames of the upstream; appends what goes to the agent.
  std::optional<End> from_upstream(std::string_view bytes, std::string& out);
  [[nodiscard]] std::uint64_t scanned() const { return messages_.scanned() + controls_.scanned(); }
  [[nodiscard]] std::size_t replaced() const { return replaced_; }
  [[nodiscard]] std::size_t held() const {
    return messages_.held() + controls_.held() + to_upstream_.waiting.size() + to_agent_.waiting.size();
  }

  /// A Close frame to the agent that says why.
  static std::string close_for_agent(std::uint16_t code, std::string_view reason);

 private:
  /// What is left of a message that is being written again.
  struct Outgoing {
    std::string waiting;
    bool begun = false;
  };
  void write_message(Outgoing& outgoing, websocket::Opcode kind, bool final, bool masked, std::string& out);

  websocket::FrameReader agent_{websocket::Sender::client};
  websocket::FrameReader upstream_{websocket::Sender::server};
  MessageScanner messages_;
  MessageScanner controls_;  // payloads of Ping, Pong and Close are a way out too
  std::shared_ptr<const dlp::KnownSecrets> secrets_;
  Scrub scrub_;
  std::optional<dlp::Scrubber> scrubber_;
  Outgoing to_upstream_;
  Outgoing to_agent_;
  std::size_t replaced_ = 0;
};

}  // namespace bot_bottle::egress
