#include "text.hpp"

namespace bot_bottle::provider_config {

std::string title_of(const sdk::ProviderSpec& spec) {
  return spec.label.empty() ? spec.agent : spec.label + " (" + spec.agent + ")";
}

void need_a_prompt(const sdk::ProviderSpec& spec, const std::string& program) {
  if (!spec.headless || !spec.headless_prompt.empty() || !spec.args.empty()) return;
  throw sdk::Error(sdk::Status::invalid_argument, program + " needs a prompt to work without a terminal",
                   "bot-bottle run " + spec.agent + " -p 'what to do'; '-p -' reads it, '-p @FILE' takes a file");
}

std::string counted(std::size_t number, const std::string& what) {
  return std::to_string(number) + " " + what + (number == 1 ? "" : "s");
}

}  // namespace bot_bottle::provider_config
