// Step 4 for bodies: what streams to the upstream is scanned as it is and, where it is compressed, as what it says.
// Hostile input: the body, its Content-Encoding. Guarded by unit_sidecar_egress and the integration suite
// (a_secret_cut_at_every_byte_never_reaches_the_origin).
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/policy/egress.hpp"
#include "sidecar/dlp/financial.hpp"
#include "sidecar/dlp/scanner.hpp"
#include "sidecar/egress/content_decoder.hpp"

namespace bot_bottle::egress {

/// Releases the octets that came in, unchanged, once neither view of them can hold a secret any more. Holds at most the
/// scanner's window, one compressed block, and 1 MiB in all; what would need more is not scannable.
class BodyGuard final : public ContentDecoder::Sink {
 public:
  struct Block {
    std::optional<dlp::Finding> finding;
    std::string_view unscannable;  // why it cannot be read, when there is no finding
    bool decoded = false;          // the offset counts octets of the decoded body
  };

  BodyGuard(std::shared_ptr<const dlp::Rules> rules, std::shared_ptr<const dlp::KnownSecrets> secrets,
            dlp::Detectors detectors, std::optional<Coding> declared, policy::OnUnscannable on_unscannable);

  /// Appends what may go on to `released`. A block is final.
  std::optional<Block> write(std::string_view bytes, std::string& released);
  std::optional<Block> finish(std::string& released);
  /// Octets that scanners have read, of both views.
  [[nodiscard]] std::uint64_t scanned() const;
  /// Octets that are kept, in memory of this guard.
  [[nodiscard]] std::size_t held() const {
    return first_.size() + held_.size() + raw_.held() + (decoded_ ? decoded_->held() : 0);
  }

  bool on_decoded(std::string_view bytes) override;

 private:
  /// Raw octets before `raw` are harmless once `decoded` octets of the decoded view are.
  struct Mark {
    std::uint64_t raw = 0;
    std::uint64_t decoded = 0;
  };
  std::optional<Block> take(std::string_view bytes);
  enum class Reading : std::uint8_t { damaged, too_much };
  std::optional<Block> cannot_read(std::string_view why, Reading reading);
  enum class End : std::uint8_t { no, yes };
  /// Through the scanner of rules and secrets, then through the financial one.
  std::optional<dlp::Finding> scan(dlp::Stream& stream, dlp::FinancialStream& financial, std::string_view bytes,
                                   End end, std::string& released);
  void start_decoder(Coding coding);
  void drop_decoder();
  void release(std::string& released);

  std::shared_ptr<const dlp::Rules> rules_;
  std::shared_ptr<const dlp::KnownSecrets> secrets_;
  dlp::Detectors detectors_;
  policy::OnUnscannable on_unscannable_;
  bool declared_ = false;
  bool sniffed_ = false;
  std::string first_;  // until there is enough to sniff

  dlp::Stream raw_;
  dlp::FinancialStream raw_financial_;
  dlp::FinancialStream decoded_financial_;
  std::string held_;  // cleared by raw_, waiting for the decoded view
  std::uint64_t raw_total_ = 0;
  std::uint64_t released_total_ = 0;

  std::unique_ptr<ContentDecoder> decoder_;
  std::optional<dlp::Stream> decoded_;
  std::optional<dlp::Finding> decoded_finding_;
  std::uint64_t decoded_cleared_ = 0;
  bool at_end_ = true;
  std::deque<Mark> marks_;
  std::uint64_t gate_ = 0;
  std::string scratch_;
  std::string between_;
};

}  // namespace bot_bottle::egress
