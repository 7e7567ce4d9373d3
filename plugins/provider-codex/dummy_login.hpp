// What the guest has for a login: as much as Codex insists on, and nothing of the operator's. Pure. Used by plugin.cpp.
// Facts: @openai/codex 0.169.0, tried.
#pragma once

#include <bot_bottle/plugin.hpp>
#include <cstdint>
#include <string>
#include <string_view>

namespace bot_bottle::provider_codex {

/// What stands for a secret. Not a secret: it stands in the documents.
inline constexpr std::string_view placeholder = "egress-placeholder";

/// An unsigned JWT that says when it ends, and nothing else. Codex takes any, as long as it has three parts that are
/// not empty and its claims are JSON; it asks nobody about the signature. It renews a token that has ended, and one
/// that says nothing after eight days: inside there is nothing to renew it with, so the end is the true one.
std::string make_dummy_token(std::int64_t expires_at);

/// auth.json for a ChatGPT login, or for an API key.
std::string make_dummy_login(std::int64_t expires_at);
std::string make_dummy_key_login();

/// RFC 3339 in UTC, with seconds, and back; -1 for what is none.
std::string to_rfc3339(std::int64_t seconds);
std::int64_t from_rfc3339(const std::string& text);

}  // namespace bot_bottle::provider_codex
