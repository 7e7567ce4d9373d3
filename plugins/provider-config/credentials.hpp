// What looks like a credential, by its name or by itself, and taking it out of a JSON document. On doubt it is one:
// what was taken out wrongly is told and can be granted through egress, what was left in is lost. Used by
// config_copier.cpp.
#pragma once

#include <bot_bottle/plugin.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace bot_bottle::provider_config {

/// "GITHUB_TOKEN", "apiKey", "--password", "Authorization".
bool is_credential_name(std::string_view name);
/// A token's known shape, a private key, a URL with a password or a token in its query, or a long random run.
bool is_credential_value(std::string_view value);
/// The same for text that people wrote: known shapes, private keys, and assignments to a credential's name. Random runs
/// alone are not taken: hashes are in every README.
bool holds_credential(std::string_view text);

/// A file's own name says that it holds some: ".env", "token.json", "server.key".
bool is_credential_file(std::string_view name);

/// Of a request's headers only those stay that never hold a credential.
void scrub_headers(sdk::json::object& headers, const std::string& path, std::vector<std::string>& dropped);

/// Takes credentials out: members go, elements of lists are replaced by `removed`, so that the others keep their
/// places. `dropped` gets the paths ("env.GITHUB_TOKEN", "args[1]").
void scrub(sdk::json::object& object, const std::string& path, std::vector<std::string>& dropped);
void scrub(sdk::json::array& list, const std::string& path, std::vector<std::string>& dropped);

/// Whether a definition (a hook's, a server's) says what to run or to ask; one that lost that to scrub() is useless.
bool is_whole(const sdk::json::object& definition);

inline constexpr std::string_view removed = "removed-by-bot-bottle";

}  // namespace bot_bottle::provider_config
