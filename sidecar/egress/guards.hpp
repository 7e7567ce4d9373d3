// The guards that test builds can switch off one by one, so that a test can see each of them matter.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "core/base/result.hpp"

namespace bot_bottle::egress {

enum class Guard : std::uint8_t { routes, dlp, ssrf, names, binding, scrub, git_push };

class Guards {
 public:
  /// Names as in `disabled_guards`. Any name at all is refused by builds without BB_TEST_HOOKS.
  static Result<Guards> disable(std::span<const std::string> names);

#ifdef BB_TEST_HOOKS
  [[nodiscard]] bool is_on(Guard guard) const {
    return (off_ & bit(guard)) == 0;
  }
#else
  [[nodiscard]] static constexpr bool is_on(Guard /*guard*/) {
    return true;
  }
#endif

 private:
  static unsigned bit(Guard guard) {
    return 1U << static_cast<unsigned>(guard);
  }
  unsigned off_ = 0;
};

}  // namespace bot_bottle::egress
