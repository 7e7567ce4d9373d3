// The two files that `init` writes, from what was answered. Pure. No hostile input: the operator's own words.
#pragma once

#include <string>
#include <vector>

namespace bot_bottle::cli {

struct InitAnswers {
  std::string agent = "hello";
  std::string bottle = "first";
  std::string provider = "command";
  std::string command = "bash";    // of the provider "command"
  std::string auth_token;          // a host variable's name; empty: none
  std::string backend;             // empty: automatic
  std::vector<std::string> packs;  // "github:read"
  std::vector<std::string> hosts;  // normal names
  std::string git_url;             // empty: none
  std::string git_token;           // https: a host variable's name
  std::string git_key;             // ssh: a file
  std::string git_host_key;        // ssh: "ssh-ed25519 AAAA…"
};

std::string bottle_text(const InitAnswers& answers);
std::string agent_text(const InitAnswers& answers);

/// "app" of "git@forge.example.com:team/app.git"; a name that a repository may have.
std::string repository_name(const std::string& url);
/// "forge.example.com" of the same; empty when it cannot be told.
std::string host_of_git_url(const std::string& url);

}  // namespace bot_bottle::cli
