// The texts of packs/*.toml.
#pragma once

#include <string_view>
#include <vector>

namespace bot_bottle::policy {

const std::vector<std::string_view>& packs_text();

}  // namespace bot_bottle::policy
