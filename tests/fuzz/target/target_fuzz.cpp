// A request of any bytes: method, target and host, one a line. What is normalised stays so, no dot segment survives,
// nothing but the one allowed host is ever allowed, and a push never is.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/base/text.hpp"
#include "core/policy/decide.hpp"

using namespace bot_bottle;          // NOLINT(google-build-using-namespace)
using namespace bot_bottle::policy;  // NOLINT(google-build-using-namespace)

namespace {

void must(bool condition) {
  if (!condition) std::abort();
}

const RouteTable& table() {
  static const std::shared_ptr<const RouteTable> instance = [] {
    Egress egress;
    Route& route = egress.routes.emplace_back();
    route.host = "api.example.com";
    route.git_fetch = true;
    route.matches.push_back({.paths = {{PathMatch::Type::prefix, "/v1/"}, {PathMatch::Type::regex, "/x/[a-z]+"}},
                             .methods = {},
                             .headers = {}});
    return RouteTable::create(std::move(egress)).value();
  }();
  return *instance;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto lines = split(text, '\n');
  const std::string_view method = lines[0];
  const std::string_view raw = lines.size() > 1 ? lines[1] : std::string_view("/");
  const std::string_view host = lines.size() > 2 ? lines[2] : std::string_view("api.example.com");
  const auto name = normalise_host(host);
  if (name) {
    must(normalise_host(*name).value() == *name && !is_address_literal(*name));
    must(name->find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") == std::string::npos);
  }
  const auto target = normalise_target(raw);
  if (!target) return 0;
  const auto again = normalise_target(target->text());
  must(again.has_value() && again->text() == target->text());
  for (const std::string_view part : split(target->path, '/')) must(part != "." && part != "..");
  if (!name) return 0;
  const RequestView request{Scheme::https, *name, 443, method, &*target, {}};
  const Decision decision = table().decide(request);
  must(!explain(decision, request).empty());
  if (decision.allowed()) {
    must(*name == "api.example.com");
    must(target->path == "/v1" || target->path.starts_with("/v1/") || target->path.starts_with("/x/"));
    must(!to_lower(target->path).ends_with("/git-receive-pack"));
  }
  return 0;
}
