#include "core/policy/egress.hpp"
namespace bot_bottle::policy {
ParsedEgress parse_egress(const json::value& document) {
  ParsedEgress parsed;
  if (const auto* object = document.if_object())
    for (const auto& [key, value] : *object)
      if (key != "log" && key != "routes" && key != "hosts" && key != "upstream_ca")
        parsed.problems.push_back({std::string(key), "unknown key", ""});
  return parsed;
}
json::object to_json(const Egress&) { return {}; }
}  // namespace bot_bottle::policy
