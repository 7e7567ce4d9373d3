// What smolvm from 1.8 on keeps with a machine for us.
#pragma once

namespace bot_bottle::backend_smolvm {

inline constexpr const char* label_managed = "bot-bottle.managed";
inline constexpr const char* label_slug = "bot-bottle.slug";
inline constexpr const char* label_state = "bot-bottle.state";
inline constexpr const char* label_version = "bot-bottle.version";

}  // namespace bot_bottle::backend_smolvm
