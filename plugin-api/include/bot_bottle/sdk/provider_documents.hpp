// The documents of a provider (docs/internals.md) as structs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bot_bottle/sdk/documents.hpp"

namespace bot_bottle::sdk {

struct ProviderDescription {
  static constexpr std::string_view schema = "bot-bottle.provider-description/1";
  std::string display_name;
  std::string guest_home = "/home/agent";
  std::string user = "agent";
  std::string program;                   // looked up on the bottle's search path; empty: an argv names its own file
  std::string dockerfile;                // relative to the plugin's directory, or absolute, or empty
  std::vector<std::string> state_paths;  // the transcript: kept after the end, given back to a resumed bottle
  std::string skills_dir;
  StringMap env;
  std::vector<std::string> bind_ro;
  std::vector<std::string> config_strategies;  // of `agent_provider.config`; none: "fresh" alone
  json::object extra;
  BB_SDK_FIELDS {
    visit("display_name", self.display_name);
    visit("guest_home", self.guest_home);
    visit("user", self.user);
    visit("program", self.program);
    visit("dockerfile", self.dockerfile);
    visit("state_paths", self.state_paths);
    visit("skills_dir", self.skills_dir);
    visit("env", self.env);
    visit("bind_ro", self.bind_ro);
    visit("config_strategies", self.config_strategies);
  }
};

struct ProviderGuest {
  std::string home = "/home/agent";
  std::string user = "agent";
  std::string workspace = "/workspace";
  BB_SDK_FIELDS {
    visit("home", self.home);
    visit("user", self.user);
    visit("workspace", self.workspace);
  }
};

/// Of a forwarded login what a plan may know.
struct HostLoginFacts {
  std::string expires_at;  // RFC 3339, or empty
  BB_SDK_FIELDS { visit("expires_at", self.expires_at); }
};

struct ProviderSpec {
  static constexpr std::string_view schema = "bot-bottle.provider-spec/1";
  std::string agent;
  std::string slug;
  std::string label;
  std::string color;
  std::string prompt;
  std::vector<std::string> args;
  bool headless = false;
  std::string headless_prompt;
  std::string auth_token_ref;  // the name of a secret, or empty
  bool forward_host_credentials = false;
  std::vector<std::string> command;
  bool resume = false;
  ProviderGuest guest;
  bool supervise = false;
  std::string model;
  std::string config = "fresh";  // "copy": from the operator's own configuration
  std::string host_home;         // with "copy" or `forward_host_credentials` alone: the operator's
  std::string host_workspace;    // likewise: what becomes guest.workspace; empty for none
  /// After host_credentials(): what it said, when the plan is asked for again with the login as it is.
  std::optional<HostLoginFacts> host_credentials;
  json::object extra;
  BB_SDK_FIELDS {
    visit("agent", self.agent);
    visit("slug", self.slug);
    visit("label", self.label);
    visit("color", self.color);
    visit("prompt", self.prompt);
    visit("args", self.args);
    visit("headless", self.headless);
    visit("headless_prompt", self.headless_prompt);
    visit("auth_token_ref", self.auth_token_ref);
    visit("forward_host_credentials", self.forward_host_credentials);
    visit("command", self.command);
    visit("resume", self.resume);
    visit("guest", self.guest);
    visit("supervise", self.supervise);
    visit("model", self.model);
    visit("config", self.config);
    visit("host_home", self.host_home);
    visit("host_workspace", self.host_workspace);
    visit("host_credentials", self.host_credentials);
  }
};

struct GuestFile {
  std::string path;  // absolute, below the guest's home
  std::uint32_t mode = 0600;
  std::string content;
  BB_SDK_FIELDS {
    visit("path", self.path);
    visit("mode", self.mode);
    visit("content", self.content);
  }
};

/// What the agent holds instead of a secret: the sidecar puts the secret called `token_ref` in its place.
struct Placeholder {
  std::string value;
  std::string token_ref;
  BB_SDK_FIELDS {
    visit("value", self.value);
    visit("token_ref", self.token_ref);
  }
};

struct Ui {
  std::string title;
  std::string color;
  BB_SDK_FIELDS {
    visit("title", self.title);
    visit("color", self.color);
  }
};

using Argv = std::vector<std::string>;

struct ProviderPlan {
  static constexpr std::string_view schema = "bot-bottle.provider-plan/1";
  StringMap env;
  std::vector<std::string> hidden_env;  // names in `env` whose values are not shown
  std::vector<GuestFile> files;
  std::vector<json::object> egress_routes;  // with the manifest's keys: {"host": "api.example.com", …}
  std::vector<Placeholder> placeholders;
  /// With `forward_host_credentials`: names, for token_ref, of what host_credentials() will hand over.
  std::vector<std::string> host_secrets;
  std::vector<Argv> commands;  // run in the guest before the agent
  Argv argv;
  Argv resume_argv;
  Argv headless_argv;
  std::string headless_stdin = "none";  // or "prompt"
  std::vector<Argv> mcp_commands;
  std::vector<std::string> summary;  // lines of the preflight
  std::vector<std::string> warnings;
  Ui ui;
  json::object extra;
  BB_SDK_FIELDS {
    visit("env", self.env);
    visit("hidden_env", self.hidden_env);
    visit("files", self.files);
    visit("egress_routes", self.egress_routes);
    visit("placeholders", self.placeholders);
    visit("host_secrets", self.host_secrets);
    visit("commands", self.commands);
    visit("argv", self.argv);
    visit("resume_argv", self.resume_argv);
    visit("headless_argv", self.headless_argv);
    visit("headless_stdin", self.headless_stdin);
    visit("mcp_commands", self.mcp_commands);
    visit("summary", self.summary);
    visit("warnings", self.warnings);
    visit("ui", self.ui);
  }
};

/// One of the secrets of a login: what `host_credentials` wrote for it.
struct HostSecret {
  std::string name;      // one of the plan's `host_secrets`
  std::uint64_t size{};  // octets
  BB_SDK_FIELDS {
    visit("name", self.name);
    visit("size", self.size);
  }
};

struct HostCredentials {
  static constexpr std::string_view schema = "bot-bottle.host-credentials/1";
  std::string expires_at;           // RFC 3339, or empty
  std::string account;              // for the operator's eye; a document is no place for who that is
  std::vector<HostSecret> secrets;  // in the order of their octets on the descriptor; none: all of it is the one secret
  json::object extra;
  BB_SDK_FIELDS {
    visit("expires_at", self.expires_at);
    visit("account", self.account);
    visit("secrets", self.secrets);
  }
};

}  // namespace bot_bottle::sdk
