// Step 7: known secrets are taken out of what an upstream answers before the agent sees it (attacks E5, F11).
// Hostile input: upstream's headers and bodies.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "sidecar/dlp/scanner.hpp"
#include "sidecar/egress/content_decoder.hpp"
#include "sidecar/http/fields.hpp"

namespace bot_bottle::egress {

/// Replaces secrets in the values of `fields`; how many.
std::size_t scrub_fields(const std::shared_ptr<const dlp::Rules>& rules,
                         const std::shared_ptr<const dlp::KnownSecrets>& secrets, http::Fields& fields);

class ResponseGuard final : public ContentDecoder::Sink {
 public:
  /// `coding`: the body is decoded first; it goes on as identity.
  ResponseGuard(std::shared_ptr<const dlp::KnownSecrets> secrets, std::optional<Coding> coding);

  /// Appends scrubbed text. False: the body is not what its Content-Encoding says. `flush`: what cannot begin a secret
  /// is released at once (streams of events must not wait).
  [[nodiscard]] bool write(std::string_view bytes, std::string& released, dlp::Scrubber::Flush flush);
  [[nodiscard]] bool finish(std::string& released);
  [[nodiscard]] std::size_t replaced() const { return replaced_; }

  bool on_decoded(std::string_view bytes) override;

 private:
  dlp::Scrubber scrubber_;
  std::unique_ptr<ContentDecoder> decoder_;
  bool at_end_ = true;
  std::size_t replaced_ = 0;
  std::string* released_ = nullptr;
};

}  // namespace bot_bottle::egress
