// git-gate.repos (spec 05): the structure is checked here, the values are the gate's.
#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "core/base/text.hpp"
#include "core/manifest/scalars.hpp"
#include "core/manifest/schema.hpp"

namespace bot_bottle::manifest {
namespace {

enum class Transport : std::uint8_t { unknown, ssh, https };

bool is_host(std::string_view host) {
  return !host.empty() && host.size() <= 253 && host[0] != '-' && host[0] != '.' &&
         std::ranges::all_of(host, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
         });
}

bool is_port(std::string_view text) {
  if (text.empty() || text.size() > 5 || text.find_first_not_of("0123456789") != std::string_view::npos) return false;
  const unsigned long port = std::stoul(std::string(text));
  return port > 0 && port <= 65535;
}

/// ssh://[user@]host[:port]/path, [user@]host:path, https://host[:port]/path. A name that begins with '-' would be an
/// option to ssh (CVE-2017-1000117); a password in a URL would be in every log.
Transport check_url(const View& view) {
  const auto url = view.line("the upstream's URL");
  if (!url) return Transport::unknown;
  const std::string hint = "ssh://git@host/path.git, git@host:path.git or https://host/path.git";
  std::string_view rest = *url;
  Transport transport = Transport::ssh;
  bool scp_form = false;
  if (rest.starts_with("ssh://")) {
    rest.remove_prefix(6);
  } else if (rest.starts_with("https://")) {
    rest.remove_prefix(8);
    transport = Transport::https;
  } else if (rest.find("://") != std::string_view::npos) {
    view.fault("the scheme " + in_quotes(rest.substr(0, rest.find("://"))) + " is not accepted", hint);
    return Transport::unknown;
  } else {
    scp_form = true;
  }
  const std::size_t end = rest.find(scp_form ? ':' : '/');
  std::string_view authority = rest.substr(0, end);
  const std::string_view path = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
    const std::string_view user = authority.substr(0, at);
    if (user.find(':') != std::string_view::npos || transport == Transport::https) {
      view.fault("the URL holds a user name or password", "remove it; the credential is named under key or auth");
      return Transport::unknown;
    }
    authority = user.empty() || user[0] == '-' ? std::string_view() : authority.substr(at + 1);
  }
  if (const std::size_t colon = authority.rfind(':'); !scp_form && colon != std::string_view::npos) {
    const std::string_view port = authority.substr(colon + 1);
    authority = is_port(port) ? authority.substr(0, colon) : std::string_view();
  }
  if (!is_host(authority) || path.empty() || path[0] == '-' || path.find_first_of(" \\") != std::string_view::npos) {
    view.fault(in_quotes(*url) + " is not an upstream's URL", hint);
    return Transport::unknown;
  }
  return transport;
}

void put(json::object& raw, std::string_view key, const std::optional<std::string>& path) {
  if (path) raw[key] = *path;
}

void check_key(const View& key, json::value& raw) {
  static const std::vector<std::string> all{"provider", "path", "token", "read_only", "api"};
  if (!key.map_of(all)) return;
  const auto provider = key.child("provider");
  const auto path = key.child("path");
  const auto token = key.child("token");
  const auto read_only = key.child("read_only");
  if (!provider)
    key.missing("provider is missing",
                "static (with path), or a deploy-key plugin such as gitea, github, gitlab (with token)");
  const auto name = provider ? provider->name("a deploy-key provider's name") : std::nullopt;
  if (path) {
    const auto expanded = path->host_path();
    if (raw.is_object()) put(raw.as_object(), "path", expanded);
  }
  const auto api = key.child("api");
  if (token) static_cast<void>(token->variable_name());
  if (api) {
    const auto url = api->line("the URL of the forge's API");
    if (url && (!url->starts_with("https://") || url->size() < 10 || url->find_first_of(" ?#@") != std::string::npos))
      api->fault(in_quotes(*url) + " is not the URL of an API", "https://forge.example.com/api/v1");
  }
  if (read_only) static_cast<void>(read_only->boolean());
  if (!name) return;
  if (*name == "static") {
    if (!path) key.missing("provider: static needs path", "add path: the file with the private key");
    if (token) token->key_fault("is not read with provider: static", "a static key has only a path");
    if (api) api->key_fault("is not read with provider: static");
    if (read_only)
      read_only->key_fault("is not read with provider: static", "the forge decides what a static key may do");
  } else {
    if (!token)
      key.missing("provider: " + *name + " needs token", "add token: the host variable that holds the forge's token");
    if (path) path->key_fault("is only read with provider: static");
  }
}

void check_scan(const View& scan, json::value& raw) {
  static const std::vector<std::string> keys{"config", "baseline", "engine", "honour_inline_allow"};
  static const std::array<std::string, 2> engines{"builtin", "gitleaks"};
  if (!scan.map_of(keys)) return;
  for (const char* name : {"config", "baseline"})
    if (const auto file = scan.child(name))
      if (const auto path = file->host_path(); raw.is_object()) put(raw.as_object(), name, path);
  if (const auto engine = scan.child("engine")) static_cast<void>(engine->choice(engines));
  if (const auto allow = scan.child("honour_inline_allow")) static_cast<void>(allow->boolean());
}

void check_branches(const View& branches) {
  static const std::vector<std::string> keys{"protected", "allowed"};
  if (!branches.map_of(keys)) return;
  for (const std::string& name : keys) {
    const auto list = branches.child(name);
    if (!list) continue;
    for (const View& item : list->list().value_or(std::vector<View>{})) {
      const auto pattern = item.line("a branch or a pattern such as agent/*");
      if (pattern && (pattern->find_first_of(" ~^:?[\\") != std::string::npos || pattern->starts_with('/') ||
                      pattern->find("..") != std::string::npos))
        item.fault(in_quotes(*pattern) + " is not a branch or pattern",
                   "git's branch names, with '*' for any characters");
    }
  }
}

void check_repo(const View& repo, json::object& raw) {
  static const std::vector<std::string> keys{
      "url",      "host_key",          "key",          "auth",       "hosts",
      "branches", "allow_force_push",  "allow_delete", "allow_tags", "max_push_size",
      "scan",     "require_signed_off"};
  if (!repo.map_of(keys)) return;
  const auto url = repo.child("url");
  if (!url)
    repo.missing("url is missing", "the upstream: ssh://git@host/path.git, git@host:path.git or https://host/path.git");
  const auto transport = url ? check_url(*url) : Transport::unknown;
  const auto host_key = repo.child("host_key");
  if (host_key) {
    const auto text = host_key->line("the host's public key, such as \"ssh-ed25519 AAAA…\"");
    if (text && (text->find(' ') == std::string::npos || text->starts_with('-')))
      host_key->fault("is not a public key", "its type and base64, as ssh-keyscan prints them: \"ssh-ed25519 AAAA…\"");
  } else if (transport == Transport::ssh) {
    repo.missing("host_key is missing",
                 "ssh upstreams are pinned, there is no trust on first use: ssh-keyscan -t ed25519 HOST");
  }
  const auto key = repo.child("key");
  const auto auth = repo.child("auth");
  if (key) check_key(*key, raw["key"]);
  if (transport == Transport::ssh && !key)
    repo.missing("key is missing", "key: {provider: static, path: ~/.ssh/app_deploy}");
  if (auth) {
    static const std::vector<std::string> auth_keys{"token_ref"};
    if (auth->map_of(auth_keys)) {
      if (const auto token = auth->child("token_ref"))
        static_cast<void>(token->variable_name());
      else
        auth->missing("token_ref is missing", "auth: {token_ref: HOST_VARIABLE}");
    }
    if (transport == Transport::ssh) auth->key_fault("is only read with an https URL", "ssh upstreams use key");
  } else if (transport == Transport::https) {
    repo.missing("auth is missing", "https upstreams need auth: {token_ref: HOST_VARIABLE}");
  }
  if (const auto hosts = repo.child("hosts"); hosts && hosts->map())
    for (const View& pin : hosts->members()) {
      if (!is_host(pin.key())) pin.key_fault(in_quotes(pin.key()) + " is not a host name");
      check_address(pin);
    }
  if (const auto branches = repo.child("branches")) check_branches(*branches);
  for (const char* name : {"allow_force_push", "allow_delete", "allow_tags", "require_signed_off"})
    if (const auto flag = repo.child(name)) static_cast<void>(flag->boolean());
  if (const auto size = repo.child("max_push_size"); size && size->node().kind != Node::Kind::integer)
    if (const auto text = size->line("a size such as 200MiB", Quoting::useless); text && !parse_size(*text))
      size->fault(in_quotes(*text) + " is not a size",
                  "write a number and a unit: KiB, MiB, GiB, TiB, kB, MB, GB, TB or B");
  if (const auto scan = repo.child("scan")) check_scan(*scan, raw["scan"]);
}

bool is_repo_name(std::string_view name) {
  return !name.empty() && name.size() <= 100 && name != "." && name != ".." && name[0] != '-' &&
         std::ranges::all_of(name, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
                  c == '-';
         });
}

}  // namespace

void check_address(const View& view) {
  const auto text = view.line("an IP address");
  if (!text) return;
  std::array<unsigned char, 16> address{};
  if (inet_pton(AF_INET, text->c_str(), address.data()) != 1 && inet_pton(AF_INET6, text->c_str(), address.data()) != 1)
    view.fault(in_quotes(*text) + " is not an IP address", "for example 10.1.2.3 or 2001:db8::1");
}

json::object read_git_gate_repos(const View& repos) {
  json::object out;
  if (!repos.map()) return out;
  for (const View& repo : repos.members()) {
    if (!is_repo_name(repo.key())) {
      repo.key_fault(in_quotes(repo.key()) + " is not a repository's name",
                     "letters, digits, '.', '_' and '-'; not '.' or '..'");
      continue;
    }
    // Every field has its type checked below, so an ambiguous word is reported there.
    json::value raw = to_json_value(repo, Ambiguity::keep);
    json::object fields = raw.is_object() ? raw.as_object() : json::object();
    check_repo(repo, fields);
    out.emplace(repo.key(), std::move(fields));
  }
  return out;
}

}  // namespace bot_bottle::manifest
