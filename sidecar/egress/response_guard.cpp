#include "sidecar/egress/response_guard.hpp"

namespace bot_bottle::egress {

std::size_t scrub_fields(const std::shared_ptr<const dlp::Rules>& rules,
                         const std::shared_ptr<const dlp::KnownSecrets>& secrets, http::Fields& fields) {
  // One look at all of them; nearly always it ends here.
  std::string text;
  fields.each([&](const http::Field& field) { text.append(field.name).append(": ").append(field.value).append("\n"); });
  constexpr dlp::Detectors known_only{.token_patterns = false, .known_secrets = true};
  if (!dlp::scan(*rules, *secrets, known_only, text)) return 0;
  std::size_t replaced = 0;
  http::Fields clean;
  fields.each([&](const http::Field& field) {
    std::string value;
    dlp::Scrubber scrubber(secrets);
    replaced += scrubber.write(field.value, value);
    replaced += scrubber.finish(value);
    clean.add(field.name, value);
  });
  // The view of all fields held one and no single value does: it is cut over several, or in a name. Better no fields.
  if (replaced == 0) {
    clean.clear();
    replaced = 1;
  }
  fields = std::move(clean);
  return replaced;
}

ResponseGuard::ResponseGuard(std::shared_ptr<const dlp::KnownSecrets> secrets, std::optional<Coding> coding)
    : scrubber_(std::move(secrets)) {
  if (!coding) return;
  decoder_ = std::make_unique<ContentDecoder>(*coding);
  at_end_ = false;
}

bool ResponseGuard::on_decoded(std::string_view bytes) {
  replaced_ += scrubber_.write(bytes, *released_);
  return true;
}

bool ResponseGuard::write(std::string_view bytes, std::string& released, dlp::Scrubber::Flush flush) {
  if (!decoder_) {
    replaced_ += scrubber_.write(bytes, released, flush);
    return true;
  }
  released_ = &released;
  const ContentDecoder::Outcome outcome = decoder_->write(bytes, *this);
  if (outcome == ContentDecoder::Outcome::bad) return false;
  at_end_ = outcome == ContentDecoder::Outcome::end;
  replaced_ += scrubber_.write({}, released, flush);
  return true;
}

bool ResponseGuard::finish(std::string& released) {
  replaced_ += scrubber_.finish(released);
  return at_end_;
}

}  // namespace bot_bottle::egress
