#include "core/launch/host_login.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/launch/secret_pipe.hpp"

namespace bot_bottle::launch {
namespace {

constexpr std::size_t max_login_bytes = std::size_t{64} << 10;

Failure faulty(const plan::Plan& plan, std::string_view what) {
  return Failure(make_error(ErrorKind::internal, fmt::format("provider {}: {}", plan.provider, what)));
}

/// What `secrets` of the document cuts out of the octets; nothing of either is repeated in an error.
std::vector<plan::Secret> cut(const plan::Plan& plan, const json::object& document, std::string_view octets) {
  std::vector<plan::Secret> secrets;
  const auto add = [&](const std::string& name, std::string_view value) {
    if (std::ranges::find(plan.host_secret_names, name) == plan.host_secret_names.end() ||
        std::ranges::find(secrets, name, &plan::Secret::name) != secrets.end())
      throw faulty(plan, "its login holds a secret that its plan does not name");
    if (value.size() < plan::min_secret_bytes)
      throw faulty(
          plan, fmt::format("{} has fewer than {} characters: too short to be guarded", name, plan::min_secret_bytes));
    if (!is_valid_utf8(value) || value.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos)
      throw faulty(plan, name + " is no text of one line");
    secrets.push_back({name, SecretBytes(value)});
  };
  const json::array* listed = find_array(document, "secrets");
  if (listed == nullptr || listed->empty()) {
    add(plan.host_secret_names.front(), octets);
  } else {
    for (const json::value& item : *listed) {
      const json::object* one = item.if_object();
      const std::int64_t size = one == nullptr ? -1 : get_int(*one, "size", -1);
      if (size < 0 || static_cast<std::size_t>(size) > octets.size())
        throw faulty(plan, "the secrets of its login are not as long as it says");
      add(get_string(*one, "name"), octets.substr(0, static_cast<std::size_t>(size)));
      octets.remove_prefix(static_cast<std::size_t>(size));
    }
    if (!octets.empty()) throw faulty(plan, "the secrets of its login are not as long as it says");
  }
  if (secrets.size() != plan.host_secret_names.size())
    throw Failure(make_error(ErrorKind::failed_precondition, "the login of the host changed while the bottle started",
                             "start it again"));
  return secrets;
}

bool is_same(const json::object& one, const json::object& other, std::string_view key) {
  const json::value* left = one.if_contains(key);
  const json::value* right = other.if_contains(key);
  return left == nullptr || right == nullptr ? left == right : *left == *right;
}

}  // namespace

std::vector<plan::Secret> forward_host_login(plan::Plan& plan, plugins::Provider& provider) {
  SecretPipe pipe(max_login_bytes);
  const json::object document = provider.host_credentials(plan.provider_spec, pipe.write_end());
  pipe.finish();
  if (pipe.is_too_long()) throw faulty(plan, "its login is too long");
  std::vector<plan::Secret> secrets = cut(plan, document, pipe.text());
  // A document may not hold one; this one is handed on.
  plan::refuse_secrets(document, "the login's document of the provider " + plan.provider, secrets);
  plan.provider_spec["host_credentials"] = {{"expires_at", get_string(document, "expires_at")}};
  json::object now = provider.plan(plan.provider_spec);
  for (const std::string_view key : {"egress_routes", "host_secrets", "argv", "headless_argv", "env"})
    if (!is_same(now, plan.provider_plan, key))
      throw Failure(make_error(ErrorKind::failed_precondition, "the login of the host changed while the bottle started",
                               "start it again"));
  for (const std::string_view key : {"files", "placeholders"})
    if (json::value* value = now.if_contains(key)) plan.provider_plan[key] = std::move(*value);
  return secrets;
}

}  // namespace bot_bottle::launch
