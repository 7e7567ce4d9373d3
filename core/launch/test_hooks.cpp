#include "core/launch/test_hooks.hpp"

#ifdef BB_TEST_HOOKS
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "core/base/error.hpp"
#include "core/base/paths.hpp"
#include "core/base/text.hpp"
#endif

namespace bot_bottle::launch {

#ifdef BB_TEST_HOOKS
std::vector<std::string> disabled_guards() {
  std::vector<std::string> guards;
  const std::string text = environment("BOT_BOTTLE_TEST_DISABLE_GUARDS").value_or("");
  for (const std::string_view guard : split(text, ','))
    if (!trim(guard).empty()) guards.emplace_back(trim(guard));
  return guards;
}

std::vector<std::string> disabled_sidecar_guards() {
  std::vector<std::string> guards = disabled_guards();
  // These are the backend's; the sidecar refuses names that it does not know.
  std::erase_if(guards, [](const std::string& guard) {
    return guard == "netns" || guard == "seccomp" || guard == "caps" || guard == "userns" || guard == "inhibit-ipv4";
  });
  return guards;
}

void act_on_step_hooks(const std::string& step) {
  if (environment("BOT_BOTTLE_TEST_KILL_AT") == step) ::kill(::getpid(), SIGKILL);
  if (environment("BOT_BOTTLE_TEST_FAIL_AT") == step)
    throw Failure(make_error(ErrorKind::failed_precondition, "the test hook made the step '" + step + "' fail"));
}

std::chrono::milliseconds patience(std::chrono::milliseconds usual) {
  const auto shorter = environment("BOT_BOTTLE_TEST_PATIENCE_MS");
  return shorter ? std::chrono::milliseconds(std::strtol(shorter->c_str(), nullptr, 10)) : usual;
}
#else
std::vector<std::string> disabled_guards() {
  return {};
}
std::vector<std::string> disabled_sidecar_guards() {
  return {};
}
void act_on_step_hooks(const std::string& /*step*/) {}
std::chrono::milliseconds patience(std::chrono::milliseconds usual) {
  return usual;
}
#endif

}  // namespace bot_bottle::launch
