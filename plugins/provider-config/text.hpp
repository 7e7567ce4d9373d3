// Words that providers write. Used by plugins/provider-*.
#pragma once

#include <bot_bottle/plugin.hpp>
#include <string>

namespace bot_bottle::provider_config {

/// "tests (coder)", or "coder" where the bottle has no label.
std::string title_of(const sdk::ProviderSpec& spec);
/// Throws sdk::Error for a headless start without anything to do; `program` is its display name.
void need_a_prompt(const sdk::ProviderSpec& spec, const std::string& program);
/// "1 skill", "2 skills".
std::string counted(std::size_t number, const std::string& what);

}  // namespace bot_bottle::provider_config
