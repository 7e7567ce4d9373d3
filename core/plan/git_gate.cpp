#include "core/plan/git_gate.hpp"

#include <fmt/format.h>

#include "core/base/clock.hpp"
#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::plan {
namespace {

constexpr std::size_t max_rules_bytes = std::size_t{1} << 20;
constexpr std::size_t max_baseline_bytes = std::size_t{16} << 20;
constexpr std::size_t max_key_bytes = std::size_t{32} << 10;
constexpr const char* guest_base = "http://git-gate:9418/";

std::uint64_t size_of(const json::value& value, std::uint64_t fallback) {
  if (value.is_int64() && value.get_int64() > 0) return static_cast<std::uint64_t>(value.get_int64());
  if (value.is_uint64()) return value.get_uint64();
  if (value.is_string()) return parse_size_bytes(value.get_string()).value_or(fallback);
  return fallback;
}

policy::GitScan read_scan(const std::string& key, const json::object& scan) {
  policy::GitScan out;
  if (get_string(scan, "engine") == "gitleaks") out.engine = policy::GitScan::Engine::gitleaks;
  if (const std::string file = get_string(scan, "config"); !file.empty())
    out.rules = or_throw<std::string>(read_file(file, max_rules_bytes).map_error(in(key + ".config")));
  if (const std::string file = get_string(scan, "baseline"); !file.empty()) {
    const std::string text =
        or_throw<std::string>(read_file(file, max_baseline_bytes).map_error(in(key + ".baseline")));
    out.baseline =
        or_throw<std::vector<std::string>>(policy::parse_baseline(text).map_error(in(key + ".baseline: " + file)));
  }
  out.honour_inline_allow = get_bool(scan, "honour_inline_allow", false);
  return out;
}

policy::GitRepo read_repo(const std::string& name, const json::object& raw) {
  const std::string key = "git-gate.repos." + name;
  policy::GitRepo repo;
  repo.name = name;
  if (!policy::is_git_repo_name(name))
    throw Failure(make_error(ErrorKind::invalid_argument, key + ": '" + name + "' is not a repository's name here",
                             "letters, digits, '.', '_' and '-'; without a final .git"));
  repo.upstream =
      or_throw<policy::GitUpstream>(policy::parse_git_upstream(get_string(raw, "url")).map_error(in(key + ".url")));
  repo.host_key = get_string(raw, "host_key");
  if (const json::object* hosts = find_object(raw, "hosts"))
    for (const auto& pin : *hosts)
      if (pin.value().is_string()) repo.hosts[to_lower(pin.key())] = std::string(pin.value().get_string());
  if (const json::object* auth = find_object(raw, "auth")) repo.token_ref = get_string(*auth, "token_ref");
  if (const json::object* branches = find_object(raw, "branches")) {
    if (find_array(*branches, "protected") != nullptr) repo.protected_branches = get_strings(*branches, "protected");
    if (find_array(*branches, "allowed") != nullptr) repo.allowed_branches = get_strings(*branches, "allowed");
  }
  repo.allow_force_push = get_bool(raw, "allow_force_push", false);
  repo.allow_delete = get_bool(raw, "allow_delete", false);
  repo.allow_tags = get_bool(raw, "allow_tags", true);
  repo.require_signed_off = get_bool(raw, "require_signed_off", false);
  if (const json::value* size = raw.if_contains("max_push_size"))
    repo.max_push_bytes = size_of(*size, repo.max_push_bytes);
  if (const json::object* scan = find_object(raw, "scan")) repo.scan = read_scan(key + ".scan", *scan);
  return repo;
}

/// git-config(1), Syntax: a quoted value with \ and " escaped. Line ends would start a new key (attack G5).
std::string quote_value(std::string_view value) {
  std::string out = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 || c == '\x7f' ? ' ' : c;
  }
  return out + "\"";
}

/// OpenSSH's own format names its cipher and key derivation near the start; PEM says it in a header.
bool has_passphrase(std::string_view key) {
  if (key.find("ENCRYPTED") != std::string_view::npos) return true;
  constexpr std::string_view begin = "-----BEGIN OPENSSH PRIVATE KEY-----";
  const std::size_t at = key.find(begin);
  if (at == std::string_view::npos) return false;
  std::string base64;
  for (const char c : key.substr(at + begin.size())) {
    if (base64.size() == 64) break;
    if (c != '\n' && c != '\r') base64 += c;
  }
  const auto decoded = base64_decode(base64);
  return decoded && decoded->find("bcrypt") != std::string::npos;
}

}  // namespace

policy::GitGate make_git_gate(const manifest::Manifest& manifest) {
  policy::GitGate gate;
  for (const auto& member : manifest.git_gate_repos)
    if (member.value().is_object())
      gate.repos.push_back(read_repo(std::string(member.key()), member.value().as_object()));
  for (const policy::GitRepo& repo : gate.repos)
    if (manifest.egress.upstream_proxy && !repo.hosts.empty() &&
        repo.upstream.transport == policy::GitUpstream::Transport::https)
      throw Failure(
          make_error(ErrorKind::invalid_argument,
                     "git-gate.repos." + repo.name + ".hosts: an address cannot be pinned behind egress.upstream_proxy",
                     "take `hosts` out: the proxy resolves the upstream's name"));
  return gate;
}

std::vector<GitKeySource> git_key_sources(const manifest::Manifest& manifest) {
  std::vector<GitKeySource> sources;
  for (const auto& member : manifest.git_gate_repos) {
    const json::object* repo = member.value().if_object();
    const json::object* key = repo == nullptr ? nullptr : find_object(*repo, "key");
    if (key == nullptr) continue;
    sources.push_back({.repo = std::string(member.key()),
                       .url = get_string(*repo, "url"),
                       .provider = get_string(*key, "provider", "static"),
                       .path = get_string(*key, "path"),
                       .token = get_string(*key, "token"),
                       .api = get_string(*key, "api"),
                       .ca = manifest.egress.upstream_ca,
                       .read_only = get_bool(*key, "read_only", false)});
  }
  return sources;
}

GitKey load_static_key(const GitKeySource& source) {
  const std::string key = "git-gate.repos." + source.repo + ".key.path";
  std::string text = or_throw<std::string>(read_file(source.path, max_key_bytes).map_error(in(key)));
  const bool is_key = text.find("PRIVATE KEY-----") != std::string::npos;
  const bool guarded = has_passphrase(text);
  GitKey out{source.repo, SecretBytes(text)};
  wipe(text.data(), text.size());
  if (!is_key)
    throw Failure(make_error(ErrorKind::invalid_argument, key + ": " + source.path + " holds no private key",
                             "the file that ssh-keygen makes without .pub"));
  if (guarded)
    throw Failure(make_error(ErrorKind::invalid_argument, key + ": " + source.path + " is protected by a passphrase",
                             "use a deploy key without one: it is in a 0600 file for as long as the bottle runs"));
  return out;
}

std::string make_guest_git_config(const manifest::Manifest& manifest) {
  std::string text;
  const manifest::GitIdentity& user = manifest.git_user;
  if (!user.name.empty() || !user.email.empty()) {
    text += "[user]\n";
    if (!user.name.empty()) text += "\tname = " + quote_value(user.name) + "\n";
    if (!user.email.empty()) text += "\temail = " + quote_value(user.email) + "\n";
  }
  for (const auto& member : manifest.git_gate_repos) {
    if (!member.value().is_object()) continue;
    const auto upstream = or_throw(policy::parse_git_upstream(get_string(member.value().as_object(), "url")));
    // Without ".git" on both sides, the prefix holds for both spellings.
    text += "[url " + quote_value(guest_base + std::string(member.key())) + "]\n";
    for (const std::string& spelling : policy::spellings_of(upstream))
      text += "\tinsteadOf = " + quote_value(spelling) + "\n";
  }
  return text;
}

}  // namespace bot_bottle::plan
