// Steps 4 and 7 for gRPC: its messages are found in the body, so that each is scanned and released when it is complete;
// a stream in both directions would else wait for the window of the scanner for ever. Hostile input: both bodies.
// Guarded by unit_sidecar_egress (grpc_guard_test) and integration/egress/grpc.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "sidecar/dlp/scanner.hpp"
#include "sidecar/egress/message_scanner.hpp"
#include "sidecar/http/fields.hpp"

namespace bot_bottle::egress {

/// True for `application/grpc` and its kin ("application/grpc+proto").
bool is_grpc(const http::Fields& fields);
/// What `grpc-encoding` says of compressed messages; nothing for what cannot be decoded.
std::optional<Coding> grpc_coding(const http::Fields& fields);

/// Length-prefixed messages: an octet of flags, four of length, the message. Every body is a sequence of them, perhaps
/// cut off at its end.
class GrpcFrames {
 public:
  enum class Event : std::uint8_t { need_more, begin, data, end };
  /// Advances `input`; with `data`, `piece` points into it.
  Event next(std::string_view& input, std::string_view& piece);
  [[nodiscard]] unsigned flags() const { return static_cast<unsigned char>(prefix_[0]); }
  [[nodiscard]] std::string_view prefix() const { return {prefix_.data(), prefix_size_}; }
  [[nodiscard]] bool in_message() const { return in_message_; }

 private:
  std::array<char, 5> prefix_{};
  std::size_t prefix_size_ = 0;
  std::uint64_t left_ = 0;
  bool in_message_ = false;
};

class GrpcGuard {
 public:
  /// `coding`: of messages whose flags say that they are compressed.
  GrpcGuard(std::shared_ptr<const dlp::Rules> rules, std::shared_ptr<const dlp::KnownSecrets> secrets,
            dlp::Detectors detectors, std::optional<Coding> coding, policy::OnUnscannable on_unscannable);
  std::optional<BodyGuard::Block> write(std::string_view bytes, std::string& released);
  std::optional<BodyGuard::Block> finish(std::string& released);
  [[nodiscard]] std::uint64_t scanned() const { return messages_.scanned(); }
  [[nodiscard]] std::size_t held() const { return messages_.held(); }

 private:
  std::optional<Coding> coding_;
  policy::OnUnscannable on_unscannable_;
  GrpcFrames frames_;
  MessageScanner messages_;
};

/// Takes known secrets out of the messages of a response. A message keeps its length, because that was said before it.
class GrpcScrubber {
 public:
  GrpcScrubber(std::shared_ptr<const dlp::KnownSecrets> secrets, policy::OnUnscannable on_unscannable)
      : secrets_(std::move(secrets)), on_unscannable_(on_unscannable) {}
  /// False: a compressed message, which nobody asked for, and which cannot be passed unread.
  [[nodiscard]] bool write(std::string_view bytes, std::string& released);
  void finish(std::string& released);
  [[nodiscard]] std::size_t replaced() const { return replaced_; }

 private:
  void end_message(std::string& released);
  std::shared_ptr<const dlp::KnownSecrets> secrets_;
  policy::OnUnscannable on_unscannable_;
  GrpcFrames frames_;
  std::optional<dlp::Scrubber> scrubber_;
  std::uint64_t in_ = 0;  // octets of the present message
  std::uint64_t out_ = 0;
  std::size_t replaced_ = 0;
};

}  // namespace bot_bottle::egress
