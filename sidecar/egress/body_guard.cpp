#include "sidecar/egress/body_guard.hpp"

#include <algorithm>

namespace bot_bottle::egress {
namespace {
constexpr std::size_t sniff_bytes = 4;
constexpr std::size_t max_held = std::size_t{1} << 20;
constexpr std::size_t max_marks = 4096;
constexpr std::uint64_t believed_octets = 512;
}  // namespace

BodyGuard::BodyGuard(std::shared_ptr<const dlp::Rules> rules, std::shared_ptr<const dlp::KnownSecrets> secrets,
                     dlp::Detectors detectors, std::optional<Coding> declared, policy::OnUnscannable on_unscannable)
    : rules_(std::move(rules)),
      secrets_(std::move(secrets)),
      detectors_(detectors),
      on_unscannable_(on_unscannable),
      declared_(declared.has_value()),
      sniffed_(declared.has_value()),
      raw_(rules_, secrets_, detectors_) {
  if (declared) start_decoder(*declared);
}

std::optional<dlp::Finding> BodyGuard::scan(dlp::Stream& stream, dlp::FinancialStream& financial,
                                            std::string_view bytes, End end, std::string& released) {
  std::string& out = detectors_.financial ? between_ : released;
  if (detectors_.financial) between_.clear();
  auto finding = end == End::yes ? stream.finish(out) : stream.write(bytes, out);
  if (finding || !detectors_.financial) return finding;
  finding = financial.write(between_, released);
  if (!finding && end == End::yes) finding = financial.finish(released);
  return finding;
}

void BodyGuard::start_decoder(Coding coding) {
  decoder_ = std::make_unique<ContentDecoder>(coding);
  decoded_.emplace(rules_, secrets_, detectors_);
  at_end_ = false;
}

void BodyGuard::drop_decoder() {
  decoder_.reset();
  decoded_.reset();
  marks_.clear();
}

/// Nothing when the body may go on being scanned as raw octets only. What was decoded is judged as if it ended here:
/// whoever receives it decodes as far.
std::optional<BodyGuard::Block> BodyGuard::cannot_read(std::string_view why, Reading reading) {
  if (auto finding = scan(*decoded_, decoded_financial_, {}, End::yes, scratch_))
    return Block{std::move(finding), {}, true};
  scratch_.clear();
  // A guess that yielded next to nothing was wrong. One that went well until it was made impossible was right.
  const bool wrong_guess = !declared_ && reading == Reading::damaged && decoder_->decoded() < believed_octets;
  drop_decoder();
  if (wrong_guess || on_unscannable_ == policy::OnUnscannable::pass) return std::nullopt;
  Block block;
  block.unscannable = why;
  return block;
}

bool BodyGuard::on_decoded(std::string_view bytes) {
  decoded_finding_ = scan(*decoded_, decoded_financial_, bytes, End::no, scratch_);
  decoded_cleared_ += scratch_.size();
  scratch_.clear();
  return !decoded_finding_;
}

std::optional<BodyGuard::Block> BodyGuard::take(std::string_view bytes) {
  const std::uint64_t begin = raw_total_;
  raw_total_ += bytes.size();
  if (auto finding = scan(raw_, raw_financial_, bytes, End::no, held_)) return Block{std::move(finding), {}, false};
  if (!decoder_) return std::nullopt;
  const std::uint64_t before = decoder_->decoded();
  const ContentDecoder::Outcome outcome = decoder_->write(bytes, *this);
  if (outcome == ContentDecoder::Outcome::stopped) return Block{std::move(decoded_finding_), {}, true};
  if (outcome == ContentDecoder::Outcome::bad)
    return cannot_read("the body is not what its Content-Encoding says",
                       decoder_->is_bomb() ? Reading::too_much : Reading::damaged);
  at_end_ = outcome == ContentDecoder::Outcome::end;
  // A decoder may keep a whole block before it says a word. Only when it has spoken are the octets before this piece
  // known to be decoded; those of the piece itself wait for the next time (a compressed secret must not leave in pieces
  // either).
  if (decoder_->decoded() > before) marks_.push_back({begin, decoder_->decoded()});
  if (held_.size() > max_held || marks_.size() > max_marks)
    return cannot_read("too much of the body cannot be decoded yet", Reading::too_much);
  return std::nullopt;
}

void BodyGuard::release(std::string& released) {
  if (!decoder_) {
    released_total_ += held_.size();
    if (released.empty())
      released.swap(held_);
    else
      released.append(held_);
    held_.clear();
    return;
  }
  while (!marks_.empty() && marks_.front().decoded <= decoded_cleared_) {
    gate_ = std::max(gate_, marks_.front().raw);
    marks_.pop_front();
  }
  const auto open =
      static_cast<std::size_t>(std::min<std::uint64_t>(held_.size(), gate_ - std::min(gate_, released_total_)));
  released.append(held_, 0, open);
  held_.erase(0, open);
  released_total_ += open;
}

std::optional<BodyGuard::Block> BodyGuard::write(std::string_view bytes, std::string& released) {
  if (!sniffed_) {
    if (first_.empty() && bytes.size() >= sniff_bytes) {
      sniffed_ = true;
      if (const auto coding = sniff_coding(bytes)) start_decoder(*coding);
    } else {
      first_.append(bytes);
      if (first_.size() < sniff_bytes) return std::nullopt;
      sniffed_ = true;
      if (const auto coding = sniff_coding(first_)) start_decoder(*coding);
      if (auto block = take(first_)) return block;
      release(released);
      return std::nullopt;
    }
  }
  if (auto block = take(bytes)) return block;
  release(released);
  return std::nullopt;
}

std::optional<BodyGuard::Block> BodyGuard::finish(std::string& released) {
  if (!sniffed_ && !first_.empty()) {
    if (auto block = take(first_)) return block;
  }
  if (auto finding = scan(raw_, raw_financial_, {}, End::yes, held_)) return Block{std::move(finding), {}, false};
  if (decoder_ && !at_end_) {
    if (auto block = cannot_read("the compressed body is cut off", Reading::damaged)) return block;
  }
  if (decoded_) {
    if (auto finding = scan(*decoded_, decoded_financial_, {}, End::yes, scratch_))
      return Block{std::move(finding), {}, true};
    scratch_.clear();
    drop_decoder();
  }
  release(released);
  return std::nullopt;
}

std::uint64_t BodyGuard::scanned() const {
  return raw_total_ + (decoder_ ? decoder_->decoded() : 0);
}

}  // namespace bot_bottle::egress
