// How it is fast: what a number must begin with is asked of masks of 64 octets (octet_classes), and a phrase is long,
// so it must lie over one of the sample points that stand a few octets apart. Most of a text is never read. Guarded by
// dlp_financial_test: shortcuts_find_what_the_naive_scanner_finds.
#include "sidecar/dlp/financial.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "sidecar/dlp/financial_parts.hpp"
#include "sidecar/dlp/octet_classes.hpp"

namespace bot_bottle::dlp {
namespace {

constexpr std::size_t reach = 400;  // longer than 24 words with what is between them
constexpr std::size_t back = 64;    // kept before what is judged: one word

/// A piece of a text with the masks of its octets.
class Survey {
 public:
  static constexpr std::size_t octets = 4096;

  /// Judges what begins in [from, to), at most `octets`. `base`: position of text[0], for the sample points.
  std::optional<Range> judge(std::string_view text, std::size_t from, std::size_t to, std::uint64_t base) {
    text_ = text;
    from_ = from;
    to_ = to;
    origin_ = from - std::min(from, before);
    const std::size_t count =
        classify_octets(text.substr(origin_, classes_.size() * class_block_octets - 64), classes_);
    classes_.at(count) = {};
    for (std::size_t block = 0; block < count; ++block)
      if (auto found = judge_numbers(block)) return found;
    const std::uint64_t first = (base + from + word_step - 1) / word_step * word_step - base;
    for (auto at = static_cast<std::size_t>(first); at < to; at += word_step) {
      if (!may_be_phrase(text, at, letters_around(at))) continue;
      if (auto found = seed_at(text, at)) return found;
    }
    return std::nullopt;
  }

 private:
  static constexpr std::size_t before = class_block_octets;
  static constexpr std::size_t beyond = 3 * class_block_octets;

  static std::uint64_t ahead(std::uint64_t block, std::uint64_t next, unsigned octets_on) {
    return (block >> octets_on) | (octets_on == 0 ? 0 : next << (64U - octets_on));
  }
  /// Of the octets of a block, those that are judged now.
  [[nodiscard]] std::uint64_t judged_here(std::size_t begin) const {
    std::uint64_t mask = ~std::uint64_t{0};
    if (begin + 64 <= from_ || begin >= to_) return 0;
    if (begin < from_) mask <<= from_ - begin;
    if (begin + 64 > to_) mask &= ~std::uint64_t{0} >> (begin + 64 - to_);
    return mask;
  }

  std::optional<Range> judge_numbers(std::size_t block) {
    const OctetClasses& here = classes_.at(block);
    const OctetClasses& next = classes_.at(block + 1);
    const std::size_t begin = origin_ + block * class_block_octets;
    if (here.digits != 0) {
      const auto digits = [&](unsigned on) { return ahead(here.digits, next.digits, on); };
      // Every card is written as four digits, one more or a separator, four digits.
      std::uint64_t cards = here.digits & digits(1) & digits(2) & digits(3);
      if (cards != 0)
        cards &= ahead(here.digits | here.joints, next.digits | next.joints, 4) & digits(5) & digits(6) & digits(7) &
                 digits(8) & judged_here(begin);
      for (; cards != 0; cards &= cards - 1)
        if (auto found = card_from(text_, begin + static_cast<unsigned>(std::countr_zero(cards)))) return found;
    }
    if (here.upper != 0) {
      std::uint64_t ibans = here.upper & ahead(here.upper, next.upper, 1) & ahead(here.digits, next.digits, 2) &
                            ahead(here.digits, next.digits, 3) & judged_here(begin);
      for (; ibans != 0; ibans &= ibans - 1)
        if (auto found = iban_from(text_, begin + static_cast<unsigned>(std::countr_zero(ibans)))) return found;
    }
    // A key is 51 octets or more, so two neighbouring quarters of blocks lie in it whole (47 would do).
    const std::uint64_t word = here.letters | here.digits | here.underscores;
    std::uint64_t quarters = word & (word >> 1U);
    quarters &= quarters >> 2U;
    quarters &= quarters >> 4U;
    quarters &= (quarters >> 8U) & 0x0001000100010001U;
    if (quarters == 0) return std::nullopt;
    const bool goes_on = ((next.letters | next.digits | next.underscores) & 0xffffU) == 0xffffU;
    quarters &= (quarters >> 16U) | (goes_on ? std::uint64_t{1} << 48U : 0U);
    for (; quarters != 0; quarters &= quarters - 1) {
      const std::size_t at = begin + static_cast<unsigned>(std::countr_zero(quarters));
      if (at < keys_to_) continue;
      const auto found = key_around(text_, at, keys_to_);
      if (found && found->begin >= from_ && found->begin < to_) return found;
      if (found) keys_to_ = at;  // it is judged with the octets it begins in
    }
    return std::nullopt;
  }

  /// From the octet before text[at] on.
  [[nodiscard]] std::uint64_t letters_around(std::size_t at) const {
    const std::size_t offset = at - origin_;
    if (offset < letters_before) return classes_[0].letters << (letters_before - offset);
    const std::size_t first = offset - letters_before;
    const std::size_t block = first / class_block_octets;
    const std::size_t shift = first % class_block_octets;
    return ahead(classes_[block].letters, classes_[block + 1].letters, static_cast<unsigned>(shift));
  }

  std::string_view text_;
  std::size_t from_ = 0;
  std::size_t to_ = 0;
  std::size_t origin_ = 0;
  std::size_t keys_to_ = 0;  // runs that end before are known
  std::array<OctetClasses, (before + octets + beyond) / class_block_octets + 1> classes_;
};

/// Everything that begins in [from, to) of the text.
std::optional<Range> judge(std::string_view text, std::size_t from, std::size_t to, std::uint64_t base) {
  Survey survey;
  for (; from < to; from += Survey::octets)
    if (auto found = survey.judge(text, from, std::min(to, from + Survey::octets), base)) return found;
  return std::nullopt;
}

Finding describe(const Range& range, std::uint64_t base) {
  Finding finding;
  finding.rule = range.rule;
  finding.encoding = "plain";
  finding.offset = base + range.begin;
  finding.snippet = "********";  // what stands around a number or a phrase may be more of the kind
  return finding;
}

}  // namespace
std::optional<Finding> scan_financial(std::string_view text) {
  if (const auto found = judge(text, 0, text.size(), 0)) return describe(*found, 0);
  return std::nullopt;
}

std::optional<Finding> FinancialStream::process(std::string& released, End end) {
  const std::size_t judge_to = end == End::yes ? held_.size() : held_.size() - std::min(held_.size(), reach);
  if (judge_to > judged_) {
    // Sample points stand at the same places of the body however it is cut.
    if (const auto found = judge(held_, judged_, judge_to, base_)) return describe(*found, base_);
    judged_ = judge_to;
  }
  // A phrase that lies over a sample point that is not judged yet begins less than a step before it.
  const std::size_t to = end == End::yes ? held_.size() : std::max(released_, judged_ - std::min(judged_, word_step));
  released.append(held_, released_, to - released_);
  released_ = to;
  const std::size_t drop = released_ - std::min(released_, back);
  if (drop > 0) {
    held_.erase(0, drop);
    base_ += drop;
    judged_ -= drop;
    released_ -= drop;
  }
  return std::nullopt;
}

std::optional<Finding> FinancialStream::write(std::string_view bytes, std::string& released) {
  held_.append(bytes);
  return process(released, End::no);
}

std::optional<Finding> FinancialStream::finish(std::string& released) {
  return process(released, End::yes);
}

}  // namespace bot_bottle::dlp
