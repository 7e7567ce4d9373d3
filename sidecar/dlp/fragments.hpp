// Inside of Fragments (scanner.hpp). Internal to sidecar/dlp.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "sidecar/dlp/known_secrets.hpp"

namespace bot_bottle::dlp {

struct Fragments::State {
  std::shared_ptr<const KnownSecrets> secrets;
  std::function<std::uint64_t()> now_ms;
  struct Seen {
    std::vector<std::uint32_t> at_s;  // when each gram was last seen, 0: never
    std::uint32_t live = 0;           // of them, within the hour
    std::uint32_t counted_s = 0;
  };
  std::vector<Seen> seen;  // of each secret

  /// `all`: every gram of a skeleton. `sampled`: each eighth and those around the ones that are known; a piece of 13
  /// characters is always noticed. The number of the secret that was seen too much of.
  enum class Grams : std::uint8_t { all, sampled };
  std::optional<std::uint32_t> note(std::string_view skeleton, Grams grams);

 private:
  void note_all(std::string_view skeleton, std::uint32_t now_s, std::optional<std::uint32_t>& much);
  void note_sampled(std::string_view skeleton, std::uint32_t now_s, std::optional<std::uint32_t>& much);
  bool note_gram(std::string_view skeleton, std::size_t at, std::uint32_t now_s, std::optional<std::uint32_t>& much);
  void count_again(Seen& one, std::uint32_t now_s) const;
};

Finding make_fragments_finding(const KnownSecrets::State& secrets, std::uint32_t secret);

}  // namespace bot_bottle::dlp
