// Egress blocks of any bytes (as JSON, then as TOML): a block without problems makes a table, and is the same block
// after a round trip. Problems never come without a message.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/policy/decide.hpp"

using namespace bot_bottle;          // NOLINT(google-build-using-namespace)
using namespace bot_bottle::policy;  // NOLINT(google-build-using-namespace)

namespace {

void must(bool condition) {
  if (!condition) std::abort();
}

void check(const ParsedEgress& parsed) {
  for (const Problem& problem : parsed.problems) must(!problem.message.empty());
  if (!parsed.problems.empty()) return;
  const std::string text = to_text(to_json(parsed.egress));
  const ParsedEgress again = parse_egress(to_json(parsed.egress));
  must(again.problems.empty() && to_text(to_json(again.egress)) == text);
  const auto toml = parse_routes_toml(to_routes_toml(parsed.egress));
  must(toml.has_value() && to_text(to_json(*toml)) == text);
  const auto table = RouteTable::create(parsed.egress);
  must(table.has_value());
  for (const Route& route : parsed.egress.routes) {
    must((*table)->find_host(route.host) != nullptr);
    must(!is_address_literal(route.host) && normalise_host(route.host).value() == route.host);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (size > 16384) return 0;
  if (const auto document = parse_json(text)) {
    check(parse_egress(*document));
    const ParsedEgress one = parse_route(*document, "r");
    for (const Problem& problem : one.problems) must(!problem.message.empty());
  }
  if (auto egress = parse_routes_toml(text)) check({std::move(*egress), {}});
  return 0;
}
