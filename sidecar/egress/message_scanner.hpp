// Step 4 for messages on one long stream (WebSocket, gRPC): each is released when it is complete, and still nothing can
// be sent in pieces. Hostile input: every message. Guarded by unit_sidecar_egress (message_scanner_test) and
// integration/egress/websocket.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "sidecar/egress/body_guard.hpp"

namespace bot_bottle::egress {

/// A message is scanned as a body of its own, so that what begins or ends it counts as an edge, and its end releases it
/// all. The text across the seams, the last octets of the messages before and the first of this one, is scanned too: a
/// secret that is cut over consecutive messages is found before the last of its octets leaves.
class MessageScanner {
 public:
  MessageScanner(std::shared_ptr<const dlp::Rules> rules, std::shared_ptr<const dlp::KnownSecrets> secrets,
                 dlp::Detectors detectors, policy::OnUnscannable on_unscannable);

  /// `coding`: of the next message, where its framing says that it is compressed.
  void begin(std::optional<Coding> coding);
  /// Appends what may go on. A block is final. The first write of a message may come without begin.
  std::optional<BodyGuard::Block> write(std::string_view bytes, std::string& released);
  std::optional<BodyGuard::Block> end(std::string& released);
  [[nodiscard]] std::uint64_t scanned() const { return scanned_; }
  [[nodiscard]] std::size_t held() const {
    return before_.size() + first_.size() + recent_.size() + gated_.size() + (message_ ? message_->held() : 0);
  }
  /// Messages that a scanner was set up for: none of them empty.
  [[nodiscard]] std::uint64_t opened() const { return opened_; }

 private:
  void open();
  std::optional<BodyGuard::Block> check_seam();

  std::shared_ptr<const dlp::Rules> rules_;
  std::shared_ptr<const dlp::KnownSecrets> secrets_;
  dlp::Detectors detectors_;
  policy::OnUnscannable on_unscannable_;
  std::size_t reach_;  // octets on either side of a seam that one finding can take
  std::optional<BodyGuard> message_;
  std::optional<Coding> coding_;  // of the message that has begun
  std::string before_;            // the last octets before this message
  std::string first_;             // the first octets of it, until the seam is checked
  std::string recent_;            // the last octets of all
  std::string gated_;             // released by the message's own scan, waiting for the seam's
  bool seam_checked_ = false;
  std::uint64_t scanned_ = 0;
  std::uint64_t opened_ = 0;
};

}  // namespace bot_bottle::egress
