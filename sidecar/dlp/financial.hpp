// The detector `financial` (spec 04): what has a checksum of its own, so that a near miss is nothing. BIP-39 seed
// phrases of 12 to 24 words, extended and WIF private keys, payment cards, IBANs. Hostile input: every octet it is
// given. Never throws; memory does not grow with the input.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sidecar/dlp/scanner.hpp"

namespace bot_bottle::dlp {

/// One value that is there at once.
std::optional<Finding> scan_financial(std::string_view text);

/// A body as it streams, after Stream: releases what is safe, a finding is final. Holds at most 512 octets.
class FinancialStream {
 public:
  [[nodiscard]] std::optional<Finding> write(std::string_view bytes, std::string& released);
  [[nodiscard]] std::optional<Finding> finish(std::string& released);

 private:
  enum class End : std::uint8_t { no, yes };
  std::optional<Finding> process(std::string& released, End end);
  std::string held_;
  std::uint64_t base_ = 0;    // position of held_[0]
  std::size_t judged_ = 0;    // of held_: what begins before is judged
  std::size_t released_ = 0;  // of held_: gone out already, kept for what stands before a number
};

// The checks, for tests.
bool is_payment_card(std::string_view digits);
bool is_iban(std::string_view compact);
/// "extended-private-key", "wif-private-key", or nothing.
std::string_view private_key_kind(std::string_view base58);
/// Place in the list, or -1.
int bip39_word(std::string_view lower_case);

}  // namespace bot_bottle::dlp
