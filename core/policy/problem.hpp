// A fault in a policy document, told by key path; who read the text adds line and column.
#pragma once

#include <string>
#include <vector>

namespace bot_bottle::policy {

/// `path`: where in the document, "routes[2].matches[0].paths[1].type". `message`: what is wrong and with which value.
/// `hint`: what is accepted, or empty.
struct Problem {
  std::string path;
  std::string message;
  std::string hint;
};

using Problems = std::vector<Problem>;

}  // namespace bot_bottle::policy
