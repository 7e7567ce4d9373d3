#include "core/policy/git_gate.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/text.hpp"

namespace bot_bottle::policy {
namespace {

constexpr std::size_t max_url_octets = 2048;
constexpr std::size_t max_repos = 100;
constexpr std::uint64_t max_push_limit = std::uint64_t{16} << 30;

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_host(std::string_view host) {
  return !host.empty() && host.size() <= 253 && is_alphanumeric(host.front()) &&
         std::ranges::all_of(host, [](char c) { return is_alphanumeric(c) || c == '-' || c == '.'; });
}

bool is_user(std::string_view user) {
  return user.empty() || (user.front() != '-' && user.size() <= 64 && std::ranges::all_of(user, [](char c) {
                            return is_alphanumeric(c) || c == '-' || c == '.' || c == '_';
                          }));
}

/// What ssh's command line, git's remote syntax and our own files can hold without a second meaning.
bool is_path(std::string_view path) {
  return !path.empty() && path.front() != '-' && std::ranges::all_of(path, [](char c) {
    const auto octet = static_cast<unsigned char>(c);
    return octet > 0x20 && octet != 0x7f && std::string_view("\\'\"`$<>|;&*?").find(c) == std::string_view::npos;
  });
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  if (text.empty() || text.size() > 5) return std::nullopt;
  unsigned value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  if (value == 0 || value > 65535) return std::nullopt;
  return static_cast<std::uint16_t>(value);
}

tl::unexpected<Error> bad_url(std::string_view url) {
  return fail(ErrorKind::invalid_argument, fmt::format("'{}' is not an upstream's URL", url.substr(0, 200)),
              "ssh://git@host/path.git, git@host:path.git or https://host/path.git");
}

std::string_view without_suffix(std::string_view path) {
  while (path.ends_with('/')) path.remove_suffix(1);
  if (path.ends_with(".git")) path.remove_suffix(4);
  return path;
}

tl::unexpected<Error> bad(std::string_view repo, std::string_view what) {
  return fail(ErrorKind::invalid_argument, fmt::format("git_gate: repository '{}': {}", repo.substr(0, 100), what));
}

Result<GitRepo> parse_repo(const json::object& document) {
  GitRepo repo;
  repo.name = get_string(document, "name");
  if (!is_git_repo_name(repo.name)) return bad(repo.name, "the name is not a repository's");
  auto upstream = parse_git_upstream(get_string(document, "url"));
  if (!upstream) return fail(std::move(upstream.error()).within("git_gate: repository '" + repo.name + "'"));
  repo.upstream = std::move(*upstream);
  repo.host_key = get_string(document, "host_key");
  // One line of known_hosts: a second one would be a second key (no trust on first use).
  if (std::ranges::any_of(repo.host_key, [](char c) { return static_cast<unsigned char>(c) < 0x20; }) ||
      repo.host_key.starts_with('-') || repo.host_key.starts_with('@'))
    return bad(repo.name, "host_key is not one public key");
  if (repo.upstream.transport == GitUpstream::Transport::ssh && repo.host_key.find(' ') == std::string::npos)
    return bad(repo.name, "host_key is missing: ssh upstreams are pinned");
  repo.token_ref = get_string(document, "token_ref");
  if (const json::object* hosts = find_object(document, "hosts")) {
    for (const auto& pin : *hosts) {
      if (!pin.value().is_string()) return bad(repo.name, "hosts: an address is not a text");
      repo.hosts[to_lower(pin.key())] = std::string(pin.value().get_string());
    }
  }
  if (find_array(document, "protected") != nullptr) repo.protected_branches = get_strings(document, "protected");
  if (find_array(document, "allowed") != nullptr) repo.allowed_branches = get_strings(document, "allowed");
  repo.allow_force_push = get_bool(document, "allow_force_push", false);
  repo.allow_delete = get_bool(document, "allow_delete", false);
  repo.allow_tags = get_bool(document, "allow_tags", true);
  repo.require_signed_off = get_bool(document, "require_signed_off", false);
  const std::int64_t size = get_int(document, "max_push_bytes", static_cast<std::int64_t>(repo.max_push_bytes));
  if (size <= 0 || static_cast<std::uint64_t>(size) > max_push_limit)
    return bad(repo.name, "max_push_size is not between 1 B and 16 GiB");
  repo.max_push_bytes = static_cast<std::uint64_t>(size);
  if (const json::object* scan = find_object(document, "scan")) {
    const std::string engine = get_string(*scan, "engine", "builtin");
    if (engine != "builtin" && engine != "gitleaks") return bad(repo.name, "scan.engine is not builtin or gitleaks");
    repo.scan.engine = engine == "gitleaks" ? GitScan::Engine::gitleaks : GitScan::Engine::builtin;
    repo.scan.rules = get_string(*scan, "rules");
    repo.scan.baseline = get_strings(*scan, "baseline");
    repo.scan.honour_inline_allow = get_bool(*scan, "honour_inline_allow", false);
  }
  return repo;
}

json::object to_json(const GitRepo& repo) {
  json::object hosts;
  for (const auto& [host, address] : repo.hosts) hosts[host] = address;
  json::object out{{"name", repo.name},
                   {"url", repo.upstream.url},
                   {"host_key", repo.host_key},
                   {"hosts", std::move(hosts)},
                   {"token_ref", repo.token_ref},
                   {"protected", to_array(repo.protected_branches)},
                   {"allow_force_push", repo.allow_force_push},
                   {"allow_delete", repo.allow_delete},
                   {"allow_tags", repo.allow_tags},
                   {"max_push_bytes", repo.max_push_bytes},
                   {"require_signed_off", repo.require_signed_off},
                   {"scan",
                    {{"engine", repo.scan.engine == GitScan::Engine::gitleaks ? "gitleaks" : "builtin"},
                     {"rules", repo.scan.rules},
                     {"baseline", to_array(repo.scan.baseline)},
                     {"honour_inline_allow", repo.scan.honour_inline_allow}}}};
  if (repo.allowed_branches) out["allowed"] = to_array(*repo.allowed_branches);
  return out;
}

}  // namespace

bool is_git_repo_name(std::string_view name) {
  return !name.empty() && name.size() <= 100 && name != "." && name != ".." && name.front() != '-' &&
         !name.ends_with(".git") &&
         std::ranges::all_of(name, [](char c) { return is_alphanumeric(c) || c == '.' || c == '_' || c == '-'; });
}

Result<GitUpstream> parse_git_upstream(std::string_view url) {
  if (url.size() > max_url_octets) return bad_url(url);
  GitUpstream upstream;
  upstream.url = std::string(url);
  std::string_view rest = url;
  if (rest.starts_with("ssh://")) {
    rest.remove_prefix(6);
  } else if (rest.starts_with("https://")) {
    rest.remove_prefix(8);
    upstream.transport = GitUpstream::Transport::https;
  } else if (rest.find("://") == std::string_view::npos) {
    upstream.scp_form = true;
  } else {
    return bad_url(url);
  }
  const std::size_t end = rest.find(upstream.scp_form ? ':' : '/');
  if (end == std::string_view::npos) return bad_url(url);
  std::string_view authority = rest.substr(0, end);
  std::string_view path = rest.substr(end + 1);
  if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
    if (upstream.transport == GitUpstream::Transport::https) return bad_url(url);
    upstream.user = std::string(authority.substr(0, at));
    authority.remove_prefix(at + 1);
    if (upstream.user.empty()) return bad_url(url);
  }
  if (const std::size_t colon = authority.rfind(':'); colon != std::string_view::npos) {
    const auto port = parse_port(authority.substr(colon + 1));
    if (!port) return bad_url(url);
    upstream.port = *port;
    authority = authority.substr(0, colon);
  }
  if (!is_host(authority) || !is_user(upstream.user) || !is_path(path)) return bad_url(url);
  upstream.host = to_lower(authority);
  while (upstream.scp_form && path.starts_with('/')) path.remove_prefix(1);
  if (without_suffix(path).empty()) return bad_url(url);
  upstream.path = std::string(path);
  return upstream;
}

std::vector<std::string> spellings_of(const GitUpstream& upstream) {
  std::vector<std::string> all;
  const std::string path(without_suffix(upstream.path));
  const auto add = [&](std::string text) {
    if (std::ranges::find(all, text) == all.end()) all.push_back(std::move(text));
  };
  const bool ssh = upstream.transport == GitUpstream::Transport::ssh;
  const std::uint16_t usual = ssh ? 22 : 443;
  const bool usual_port = upstream.port == 0 || upstream.port == usual;
  std::vector<std::string> ports;
  if (usual_port)
    ports = {"", fmt::format(":{}", usual)};
  else
    ports = {fmt::format(":{}", upstream.port)};
  if (!ssh) {
    for (const std::string& port : ports) add("https://" + upstream.host + port + "/" + path);
    return all;
  }
  std::vector<std::string> users{upstream.user.empty() ? "" : upstream.user + "@"};
  if (!upstream.user.empty()) users.emplace_back();
  for (const std::string& user : users) {
    for (const char* scheme : {"ssh://", "git+ssh://", "ssh+git://"})
      for (const std::string& port : ports) add(scheme + user + upstream.host + port + "/" + path);
    if (usual_port)
      for (const char* slash : {"", "/"}) add(user + upstream.host + ":" + slash + path);
  }
  // The same repository as a browser shows it: a push there is blocked at egress, here it is looked at.
  if (usual_port) add("https://" + upstream.host + "/" + path);
  return all;
}

bool matches_branch(std::string_view pattern, std::string_view branch, GlobCase glob_case) {
  // Iterative with one point to go back to: linear in the product of the lengths, whatever an agent names its branch.
  const auto same = [&](char a, char b) {
    if (glob_case == GlobCase::exact) return a == b;
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    return lower(a) == lower(b);
  };
  std::size_t p = 0;
  std::size_t b = 0;
  std::size_t star = std::string_view::npos;
  std::size_t star_at = 0;
  while (b < branch.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_at = b;
    } else if (p < pattern.size() && same(pattern[p], branch[b])) {
      ++p;
      ++b;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      b = ++star_at;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

json::object to_json(const GitGate& gate) {
  json::array repos;
  for (const GitRepo& repo : gate.repos) repos.push_back(to_json(repo));
  return {{"repos", std::move(repos)}, {"proposal_wait_ms", gate.proposal_wait_ms}};
}

Result<GitGate> parse_git_gate(const json::object& document) {
  GitGate gate;
  const json::array* repos = find_array(document, "repos");
  if (repos == nullptr || repos->size() > max_repos)
    return fail(ErrorKind::invalid_argument, fmt::format("git_gate.repos is not a list of at most {}", max_repos));
  for (const json::value& entry : *repos) {
    if (!entry.is_object()) return fail(ErrorKind::invalid_argument, "git_gate.repos: an entry is not an object");
    BB_TRY(GitRepo repo, parse_repo(entry.get_object()));
    for (const GitRepo& other : gate.repos)
      if (equals_ignoring_case(other.name, repo.name)) return bad(repo.name, "the name is there twice");
    gate.repos.push_back(std::move(repo));
  }
  gate.proposal_wait_ms = get_int(document, "proposal_wait_ms", gate.proposal_wait_ms);
  if (gate.proposal_wait_ms < 0 || gate.proposal_wait_ms > 3'600'000)
    return fail(ErrorKind::invalid_argument, "git_gate.proposal_wait_ms is not between 0 and an hour");
  return gate;
}

Result<std::vector<std::string>> parse_baseline(std::string_view text) {
  std::vector<std::string> out;
  if (trim(text).starts_with('[')) {
    BB_TRY(const json::value document, parse_json(text, std::size_t{64} << 20));
    for (const json::value& entry : document.get_array()) {
      const json::object* finding = entry.if_object();
      std::string fingerprint = finding == nullptr ? std::string() : get_string(*finding, "Fingerprint");
      if (fingerprint.empty() && finding != nullptr && !get_string(*finding, "RuleID").empty())
        fingerprint = fmt::format("{}:{}:{}:{}", get_string(*finding, "Commit"), get_string(*finding, "File"),
                                  get_string(*finding, "RuleID"), get_int(*finding, "StartLine", 0));
      if (fingerprint.empty())
        return fail(ErrorKind::invalid_argument, "an entry has neither Fingerprint nor RuleID",
                    "a report of `gitleaks --report-format json`");
      out.push_back(std::move(fingerprint));
    }
    return out;
  }
  for (const std::string_view line : split(text, '\n')) {
    const std::string_view one = trim(line);
    if (!one.empty() && !one.starts_with('#')) out.emplace_back(one);
  }
  return out;
}

}  // namespace bot_bottle::policy
