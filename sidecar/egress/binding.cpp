#include "sidecar/egress/binding.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "core/base/text.hpp"

namespace bot_bottle::egress {
namespace {

constexpr std::array<std::string_view, 8> credential_headers = {
    "authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "private-token", "job-token", "deploy-token"};
// With GitLab's and Gitea's own, beside their headers above (their REST documentation, "Authentication").
constexpr std::array<std::string_view, 6> credential_parameters = {"key",           "access_token", "api_key",
                                                                   "private_token", "job_token",    "token"};

template <typename Names>
bool contains(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool holds_placeholder(std::string_view value, const Placeholder& placeholder) {
  if (value == placeholder.value) return true;
  const std::size_t space = value.find(' ');
  if (space == std::string_view::npos) return false;
  const std::string_view scheme = value.substr(0, space);
  const std::string_view rest = trim(value.substr(space + 1));
  if (equals_ignoring_case(scheme, "basic")) {
    const auto decoded = base64_decode(rest);
    if (!decoded) return false;
    const std::size_t colon = decoded->find(':');
    if (colon == std::string::npos) return false;
    const std::string_view all = *decoded;
    const std::string_view user = all.substr(0, colon);
    const std::string_view password = all.substr(colon + 1);
    // git and curl put a token in either place; the other part must carry nothing of its own but a plain user name.
    return password == placeholder.value ||
           (user == placeholder.value && (password.empty() || password == "x-oauth-basic"));
  }
  return (equals_ignoring_case(scheme, "bearer") || equals_ignoring_case(scheme, "token")) && rest == placeholder.value;
}

bool is_own(std::string_view value, const policy::Route& route, const SecretStore& secrets) {
  if (!route.auth) return false;
  return std::any_of(secrets.placeholders().begin(), secrets.placeholders().end(), [&](const Placeholder& placeholder) {
    return placeholder.token_ref == route.auth->token_ref && holds_placeholder(value, placeholder);
  });
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// A parameter's name or value as a server reads it: "%6bey" is "key" too.
std::string decode_parameter(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0) {
      out.push_back(static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2])));
      i += 2;
    } else {
      out.push_back(text[i] == '+' ? ' ' : text[i]);
    }
  }
  return out;
}

/// Takes credential parameters off the query; calls `visit(name, value)` for each.
template <typename Visit>
void take_credential_parameters(policy::Target& target, Visit&& visit) {
  if (!target.has_query) return;
  std::string kept;
  bool taken = false;
  for (const std::string_view parameter : split(target.query, '&')) {
    const std::size_t equals = parameter.find('=');
    const std::string name = to_lower(decode_parameter(parameter.substr(0, equals)));
    if (contains(credential_parameters, name)) {
      taken = true;
      visit(name, equals == std::string_view::npos ? std::string() : decode_parameter(parameter.substr(equals + 1)));
      continue;
    }
    if (!kept.empty()) kept.push_back('&');
    kept.append(parameter);
  }
  if (!taken) return;
  target.query = std::move(kept);
  target.has_query = !target.query.empty();
}

bool is_framing(std::string_view name) {
  return name == "content-length" || name == "host" || name == "expect" || http::is_hop_by_hop(name);
}

void strip_named_by_connection(http::Fields& fields) {
  std::vector<std::string> named;
  fields.each([&](const http::Field& field) {
    if (field.name != "connection" && field.name != "proxy-connection") return;
    http::each_member(field.value, [&](std::string_view member) {
      if (named.size() < 32) named.push_back(to_lower(member));
    });
  });
  if (named.empty()) return;
  fields.remove_if([&](const http::Field& field) {
    // Content-Type and the like may not be removed this way: what was checked is what is sent.
    return contains(named, field.name) && field.name != "content-type" && field.name != "content-encoding";
  });
}

}  // namespace

void Credential::write_to(std::string& out) const {
  if (secret == nullptr) return;
  out.append(header).append(": ").append(prefix);
  if (basic) {
    std::string pair;
    if (secret->view().find(':') == std::string_view::npos) pair = "x-access-token:";
    pair.append(secret->view());
    std::string encoded = base64_encode(pair);
    out.append(encoded);
    wipe(pair.data(), pair.size());
    wipe(encoded.data(), encoded.size());
  } else {
    out.append(secret->view());
  }
  out.append("\r\n");
  if (account != nullptr) out.append(account_header).append(": ").append(account->view()).append("\r\n");
}

void strip_connection_fields(http::Fields& fields) {
  strip_named_by_connection(fields);
  fields.remove_if([](const http::Field& field) { return is_framing(field.name) || field.name == "accept-encoding"; });
}

void strip_response_fields(http::Fields& fields) {
  strip_named_by_connection(fields);
  fields.remove_if([](const http::Field& field) { return is_framing(field.name) || field.name == "alt-svc"; });
}

void strip_trailers(http::Fields& trailers) {
  trailers.remove_if([](const http::Field& field) {
    return is_framing(field.name) || contains(credential_headers, field.name) || field.name == "set-cookie" ||
           field.name == "content-type" || field.name == "content-encoding" || field.name == "content-range" ||
           field.name == "alt-svc" || field.name == "te" || field.name == "cache-control" || field.name == "location";
  });
}

Bound bind_account(const policy::Route& route, const SecretStore& secrets, http::Fields& fields,
                   policy::Target& target) {
  Bound bound;
  if (!route.auth) {
    fields.remove("authorization");
    return bound;
  }
  std::string foreign;
  const std::string& injected = route.auth->header;
  // Which account is the sidecar's to say: what the client says of it is no credential, and is replaced.
  if (!route.auth->account_header.empty()) fields.remove(route.auth->account_header);
  fields.remove_if([&](const http::Field& field) {
    if (field.name != injected && !contains(credential_headers, field.name)) return false;
    if (foreign.empty() && !is_own(field.value, route, secrets)) foreign = fmt::format("header {}", field.name);
    return true;
  });
  take_credential_parameters(target, [&](const std::string& name, const std::string& value) {
    if (foreign.empty() && !is_own(value, route, secrets)) foreign = fmt::format("query parameter {}", name);
  });
  if (foreign.empty()) return bound;
  if (route.foreign_credentials == policy::ForeignCredentials::strip) {
    bound.stripped = std::move(foreign);
    return bound;
  }
  bound.refusal =
      blocked("foreign_credentials",
              fmt::format("the request brings a credential of its own ({}); this host is used with the bottle's "
                          "account only",
                          foreign));
  bound.refusal->where = std::move(foreign);
  return bound;
}

namespace {

Result<const SecretBytes*> find_injectable(const std::string& name, const SecretStore& secrets) {
  const SecretBytes* secret = secrets.find(name);
  if (secret == nullptr || secret->empty())
    return fail(ErrorKind::failed_precondition, "the credential of this route was not given to the bottle");
  // A line break in a token would be a header of its own.
  if (secret->view().find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos)
    return fail(ErrorKind::failed_precondition, "the credential of this route holds a line break");
  return secret;
}

}  // namespace

Result<Credential> find_credential(const policy::Route& route, const SecretStore& secrets) {
  Credential credential;
  if (!route.auth) return credential;
  BB_TRY(credential.secret, find_injectable(route.auth->token_ref, secrets));
  if (!route.auth->account_header.empty()) {
    BB_TRY(credential.account, find_injectable(route.auth->account_ref, secrets));
    credential.account_header = route.auth->account_header;
  }
  credential.header = route.auth->header.empty() ? "authorization" : route.auth->header;
  credential.token_ref = route.auth->token_ref;
  switch (route.auth->scheme) {
    case policy::Auth::Scheme::bearer:
      credential.prefix = "Bearer ";
      break;
    case policy::Auth::Scheme::token:
      credential.prefix = "token ";
      break;
    case policy::Auth::Scheme::basic:
      credential.prefix = "Basic ";
      credential.basic = true;
      break;
    case policy::Auth::Scheme::header:
      break;
  }
  return credential;
}

}  // namespace bot_bottle::egress
