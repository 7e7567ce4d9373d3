// The words that settings accept, in the order of their enumerations.
#pragma once

#include <array>
#include <string>

namespace bot_bottle::manifest {

inline const std::array<std::string, 3> color_names{"auto", "always", "never"};
inline const std::array<std::string, 4> log_level_names{"quiet", "normal", "verbose", "debug"};
inline const std::array<std::string, 3> mode_names{"copy", "mount", "none"};

}  // namespace bot_bottle::manifest
