#include "sidecar/egress/message_scanner.hpp"

#include <utility>

namespace bot_bottle::egress {

MessageScanner::MessageScanner(std::shared_ptr<const dlp::Rules> rules,
                               std::shared_ptr<const dlp::KnownSecrets> secrets, dlp::Detectors detectors,
                               policy::OnUnscannable on_unscannable)
    : rules_(std::move(rules)),
      secrets_(std::move(secrets)),
      detectors_(detectors),
      on_unscannable_(on_unscannable),
      reach_(dlp::longest_finding(*rules_, *secrets_, detectors_)) {}

void MessageScanner::begin(std::optional<Coding> coding) {
  coding_ = coding;
  message_.reset();
}

/// With the first octet: an empty message has nothing to scan, and agents can send them by the thousand.
void MessageScanner::open() {
  message_.emplace(rules_, secrets_, detectors_, std::exchange(coding_, std::nullopt), on_unscannable_);
  ++opened_;
  before_ = recent_;
  first_.clear();
  seam_checked_ = before_.empty();
}

std::optional<BodyGuard::Block> MessageScanner::check_seam() {
  seam_checked_ = true;
  const std::string text = before_ + std::exchange(first_, {});
  scanned_ += text.size();
  dlp::Detectors detectors = detectors_;
  detectors.fragments = nullptr;  // what crosses the seam was counted with its message
  if (auto finding = dlp::scan(*rules_, *secrets_, detectors, text))
    return BodyGuard::Block{std::move(finding), {}, false};
  return std::nullopt;
}

std::optional<BodyGuard::Block> MessageScanner::write(std::string_view bytes, std::string& released) {
  if (bytes.empty()) return std::nullopt;
  if (!detectors_.any()) {
    released.append(bytes);
    return std::nullopt;
  }
  if (!message_) open();
  scanned_ += bytes.size();
  if (auto block = message_->write(bytes, gated_)) return block;
  recent_.append(bytes);
  if (recent_.size() > 2 * reach_) recent_.erase(0, recent_.size() - reach_);
  if (!seam_checked_) {
    first_.append(bytes.substr(0, reach_ - first_.size()));
    if (first_.size() == reach_) {
      if (auto block = check_seam()) return block;
    }
  }
  if (seam_checked_) released.append(std::exchange(gated_, {}));
  return std::nullopt;
}

std::optional<BodyGuard::Block> MessageScanner::end(std::string& released) {
  if (!message_) return std::nullopt;
  auto block = message_->finish(gated_);
  message_.reset();
  if (block) return block;
  if (!seam_checked_) {
    if ((block = check_seam())) return block;
  }
  if (recent_.size() > reach_) recent_.erase(0, recent_.size() - reach_);
  released.append(std::exchange(gated_, {}));
  return std::nullopt;
}

}  // namespace bot_bottle::egress
