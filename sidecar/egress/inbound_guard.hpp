// Step 7, the other half: what comes back is read for phrases that speak to a model (spec 04,
// naive_injection_detection) before it is delivered. A short answer is held until all of it was read, so that the
// refusal is whole; a long one is cut where the attempt is seen. Hostile input: the upstream's decoded body and its
// Content-Type.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/dlp/injection.hpp"
#include "sidecar/egress/sides.hpp"

namespace bot_bottle::egress {

class InboundGuard {
 public:
  InboundGuard(std::shared_ptr<const dlp::InjectionPhrases> phrases, const ResponseStart& head);

  /// What was seen in `bytes`; an attempt is final.
  std::vector<dlp::InjectionSighting> write(std::string_view bytes) { return stream_.write(bytes); }
  std::vector<dlp::InjectionSighting> finish() { return stream_.finish(); }

  /// Keeps a head, and bodies of up to 64 KiB whose length is known, back. False: it can go out now.
  bool hold(const ResponseStart& head);
  /// True while `bytes` were kept too.
  bool hold(std::string_view bytes);
  [[nodiscard]] bool is_holding() const { return held_.has_value(); }
  /// The head, once; its fields live as long as the guard.
  ResponseStart take_head();
  [[nodiscard]] std::size_t held() const { return body_.size(); }
  [[nodiscard]] std::string take_body() { return std::move(body_); }

 private:
  dlp::InjectionStream stream_;
  enum class Patience : std::uint8_t { none, first_octets, whole_body } patience_ = Patience::first_octets;
  std::optional<ResponseStart> held_;
  http::Fields fields_;
  std::string reason_;
  std::string body_;
};

}  // namespace bot_bottle::egress
