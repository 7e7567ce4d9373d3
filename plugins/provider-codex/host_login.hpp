// The operator's own login of Codex, as `codex login` keeps it in auth.json. Read on the operator's side, never copied.
// Used by plugin.cpp. Facts: @openai/codex 0.169.0, tried. Hostile input: a file that somebody else may have put there,
// tokens that a server made.
#pragma once

#include <bot_bottle/plugin.hpp>
#include <chrono>
#include <cstdint>
#include <string>

namespace bot_bottle::provider_codex {

/// $CODEX_HOME, or ~/.codex. Throws sdk::Error for a $CODEX_HOME that is not absolute.
std::string host_directory(const std::string& host_home);

/// Its secrets are wiped when it goes.
struct HostLogin {
  enum class Kind : unsigned char { chatgpt, api_key } kind = Kind::chatgpt;
  std::string token;            // access token or API key
  std::string account;          // ChatGPT's id of the account that is meant; empty for an API key
  std::int64_t expires_at = 0;  // seconds since 1970; 0 for an API key, which does not say

  HostLogin() = default;
  HostLogin(HostLogin&&) = default;
  HostLogin& operator=(HostLogin&&) = delete;
  ~HostLogin();
};

/// Throws sdk::Error for a workspace, which the agent gets all of, that the login's directory is in. Empty: none.
void refuse_in_workspace(const std::string& directory, const std::string& workspace);

/// Throws sdk::Error, which names the file and what is wrong with it and nothing that stands in it.
HostLogin read_host_login(const std::string& directory);

/// Whether the token is over, or will be before a bottle has started.
bool has_expired(const HostLogin& login);

/// The login, renewed by the host's own `codex` when its token is over: `codex app-server` renews one that ends within
/// five minutes as it starts, writes auth.json and ends with its input. That program alone writes there: nothing of
/// ours holds a refresh token. Waits `patience` for another start that renews the same login, and as long for the
/// program, which is ended then. Throws sdk::Error when it is over still.
HostLogin fresh_host_login(const std::string& directory, const sdk::Host& host, const sdk::Call& call,
                           std::chrono::milliseconds patience = std::chrono::seconds(60));

}  // namespace bot_bottle::provider_codex
