// Step 3: what the client's connection and accounts leave on a request is taken off; the real credential is made ready.
// Hostile input: every header and query parameter.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/policy/decide.hpp"
#include "sidecar/egress/refusal.hpp"
#include "sidecar/egress/secret_store.hpp"
#include "sidecar/http/fields.hpp"

namespace bot_bottle::egress {

/// A credential on its way to exactly one upstream. It is never put into Fields: logs, scans and errors cannot see it.
struct Credential {
  std::string header;                   // lower case; empty: none
  std::string prefix;                   // "Bearer "
  const SecretBytes* secret = nullptr;  // borrowed from the store
  bool basic = false;                   // base64 of user:password
  std::string token_ref;
  std::string account_header;            // lower case; empty: none
  const SecretBytes* account = nullptr;  // borrowed likewise
  [[nodiscard]] bool present() const { return secret != nullptr; }
  /// Appends the field line, or two; the caller wipes `out`.
  void write_to(std::string& out) const;
};

/// Hop-by-hop fields, those that `Connection` names (before injection, attack A10), framing and Host: all are made
/// anew.
void strip_connection_fields(http::Fields& fields);
/// The same for a response, with Alt-Svc: a client must not learn of a way around the proxy.
void strip_response_fields(http::Fields& fields);
/// Trailer fields that would mean something as header fields (RFC 9110 §6.5.1) or carry a credential.
void strip_trailers(http::Fields& trailers);

/// What account binding found.
struct Bound {
  std::optional<Refusal> refusal;
  std::string stripped;  // where a foreign credential was taken off ("header x-api-key"), or empty
};

/// Takes off every credential of the client's. On a route with injected auth one that is not this route's own
/// placeholder is refused or stripped, as the route says (attacks E3, F1). `Authorization` goes on every route.
Bound bind_account(const policy::Route& route, const SecretStore& secrets, http::Fields& fields,
                   policy::Target& target);

/// The route's credential; an error when the route wants one that the bottle was not given (fails closed, attack F2).
Result<Credential> find_credential(const policy::Route& route, const SecretStore& secrets);

}  // namespace bot_bottle::egress
