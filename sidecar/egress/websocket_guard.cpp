#include "sidecar/egress/websocket_guard.hpp"

#include <openssl/rand.h>

#include <cstdlib>
#include <utility>

namespace bot_bottle::egress {
namespace {

constexpr std::size_t whole_up_to = std::size_t{64} << 10;

websocket::Mask fresh_mask() {
  websocket::Mask mask{};
  if (RAND_bytes(mask.data(), static_cast<int>(mask.size())) != 1) std::abort();
  return mask;
}

}  // namespace

WebSocketGuard::WebSocketGuard(std::shared_ptr<const dlp::Rules> rules, std::shared_ptr<const dlp::KnownSecrets> sought,
                               std::shared_ptr<const dlp::KnownSecrets> scrubbed, dlp::Detectors detectors,
                               policy::OnUnscannable on_unscannable, Scrub scrub)
    : messages_(rules, sought, detectors, on_unscannable),
      controls_(std::move(rules), std::move(sought), detectors, on_unscannable),
      secrets_(std::move(scrubbed)),
      scrub_(scrub) {}

void WebSocketGuard::write_message(Outgoing& outgoing, websocket::Opcode kind, bool final, bool masked,
                                   std::string& out) {
  if (!final && outgoing.waiting.size() <= whole_up_to) return;
  const websocket::Opcode opcode = outgoing.begun ? websocket::Opcode::continuation : kind;
  websocket::write_frame(out, opcode, final, outgoing.waiting, masked ? std::optional(fresh_mask()) : std::nullopt);
  outgoing.waiting.clear();
  outgoing.begun = !final;
}

std::optional<WebSocketGuard::End> WebSocketGuard::from_agent(std::string_view bytes, std::string& out) {
  using Event = websocket::FrameReader::Event;
  while (true) {
    switch (agent_.next(bytes)) {
      case Event::need_more:
        return std::nullopt;
      case Event::bad:
        return End{std::nullopt, agent_.problem()};
      case Event::data:
        if (auto block = messages_.write(agent_.bytes(), to_upstream_.waiting)) return End{std::move(block)};
        write_message(to_upstream_, agent_.kind(), false, true, out);
        break;
      case Event::message_end:
        if (auto block = messages_.end(to_upstream_.waiting)) return End{std::move(block)};
        write_message(to_upstream_, agent_.kind(), true, true, out);
        break;
      case Event::control: {
        std::string payload;
        if (auto block = controls_.write(agent_.bytes(), payload)) return End{std::move(block)};
        if (auto block = controls_.end(payload)) return End{std::move(block)};
        websocket::write_frame(out, agent_.control(), true, payload, fresh_mask());
        break;
      }
    }
  }
}

std::optional<WebSocketGuard::End> WebSocketGuard::from_upstream(std::string_view bytes, std::string& out) {
  using Event = websocket::FrameReader::Event;
  while (true) {
    switch (upstream_.next(bytes)) {
      case Event::need_more:
        return std::nullopt;
      case Event::bad:
        return End{std::nullopt, upstream_.problem()};
      case Event::data:
        if (scrub_ == Scrub::yes) {
          if (!scrubber_) scrubber_.emplace(secrets_);
          replaced_ += scrubber_->write(upstream_.bytes(), to_agent_.waiting);
        } else {
          to_agent_.waiting.append(upstream_.bytes());
        }
        write_message(to_agent_, upstream_.kind(), false, false, out);
        break;
      case Event::message_end:
        if (scrubber_) replaced_ += scrubber_->finish(to_agent_.waiting);
        scrubber_.reset();
        write_message(to_agent_, upstream_.kind(), true, false, out);
        break;
      case Event::control: {
        std::string payload(upstream_.bytes());
        if (scrub_ == Scrub::yes) {
          payload.clear();
          dlp::Scrubber scrubber(secrets_);
          replaced_ += scrubber.write(upstream_.bytes(), payload);
          replaced_ += scrubber.finish(payload);
        }
        websocket::write_frame(out, upstream_.control(), true, payload, std::nullopt);
        break;
      }
    }
  }
}

std::string WebSocketGuard::close_for_agent(std::uint16_t code, std::string_view reason) {
  std::string out;
  websocket::write_frame(out, websocket::Opcode::close, true, websocket::close_payload(code, reason), std::nullopt);
  return out;
}

}  // namespace bot_bottle::egress
