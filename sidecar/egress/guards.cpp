#include "sidecar/egress/guards.hpp"

#include <fmt/format.h>

namespace bot_bottle::egress {

Result<Guards> Guards::disable(std::span<const std::string> names) {
  Guards guards;
  if (names.empty()) return guards;
#ifdef BB_TEST_HOOKS
  constexpr std::pair<std::string_view, Guard> known[] = {
      {"routes", Guard::routes},   {"dlp", Guard::dlp},     {"ssrf", Guard::ssrf},         {"names", Guard::names},
      {"binding", Guard::binding}, {"scrub", Guard::scrub}, {"git-push", Guard::git_push},
  };
  for (const std::string& name : names) {
    bool found = false;
    for (const auto& [text, guard] : known) {
      if (text != name) continue;
      guards.off_ |= bit(guard);
      found = true;
    }
    if (!found) return fail(ErrorKind::invalid_argument, fmt::format("disabled_guards: there is no guard '{}'", name));
  }
  return guards;
#else
  return fail(ErrorKind::refused, "disabled_guards: this build has no test hooks, its guards cannot be switched off");
#endif
}

}  // namespace bot_bottle::egress
