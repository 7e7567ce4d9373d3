#include "core/plan/secrets.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "core/base/file.hpp"
#include "core/base/paths.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::plan {
namespace {

class WipedString {
 public:
  explicit WipedString(std::string text) : text_(std::move(text)) {}
  WipedString(const WipedString&) = delete;
  WipedString& operator=(const WipedString&) = delete;
  ~WipedString() { wipe(text_.data(), text_.size()); }
  std::string& text() { return text_; }

 private:
  std::string text_;
};

/// By hand and into a buffer that never moves: a JSON library would leave copies of the value in freed memory.
void append_json_string(std::string& out, std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (octet < 0x20) {
      out += "\\u00";
      out += digits[octet >> 4U];
      out += digits[octet & 15U];
    } else {
      out += c;
    }
  }
  out += '"';
}

std::optional<SecretSighting> find_in_text(std::string_view text, const std::string& where,
                                           std::span<const Secret> secrets) {
  for (const Secret& secret : secrets)
    if (!secret.value.empty() && text.find(secret.value.view()) != std::string_view::npos)
      return SecretSighting{secret.name, where};
  return std::nullopt;
}

std::optional<SecretSighting> find_at(const json::value& value, const std::string& where,  // NOLINT(misc-no-recursion)
                                      std::span<const Secret> secrets) {
  if (value.is_string()) return find_in_text(value.as_string(), where, secrets);
  if (value.is_array()) {
    std::size_t index = 0;
    for (const json::value& item : value.as_array())
      if (auto found = find_at(item, fmt::format("{}[{}]", where, index++), secrets)) return found;
  }
  if (value.is_object()) {
    for (const auto& member : value.as_object()) {
      if (auto found = find_in_text(member.key(), where.empty() ? "a name" : where, secrets)) return found;
      const std::string below = where.empty() ? std::string(member.key()) : where + "." + std::string(member.key());
      if (auto found = find_at(member.value(), below, secrets)) return found;
    }
  }
  return std::nullopt;
}

}  // namespace

std::vector<Secret> load_secrets(const std::vector<std::string>& names) {
  std::vector<Secret> secrets;
  std::vector<std::string> faults;
  for (const std::string& name : names) {
    auto value = environment(name);
    if (!value || value->empty()) {
      faults.push_back(name + " is not set");
      continue;
    }
    WipedString wiped(std::move(*value));
    if (wiped.text().size() < min_secret_bytes)
      faults.push_back(fmt::format("{} has fewer than {} characters: too short to be guarded", name, min_secret_bytes));
    else if (!is_valid_utf8(wiped.text()))
      faults.push_back(name + " is not valid UTF-8");
    else
      secrets.push_back({name, SecretBytes(wiped.text())});
  }
  if (faults.empty()) return secrets;
  Error error = make_error(ErrorKind::invalid_argument, "secrets of the bottle cannot be read from the environment",
                           "export them in the shell that runs bot-bottle");
  error.details = join(faults, "\n");
  throw Failure(std::move(error));
}

std::optional<SecretSighting> find_secret(const json::value& document, std::span<const Secret> secrets) {
  return find_at(document, "", secrets);
}

void refuse_secrets(const json::value& document, std::string_view what, std::span<const Secret> secrets) {
  if (secrets.empty()) return;
  const auto found = find_secret(document, secrets);
  if (!found) return;
  throw Failure(make_error(
      ErrorKind::refused,
      fmt::format("the value of {} would be inside the bottle: {} of {} holds it", found->secret, found->where, what),
      "take it out: egress injects it, the agent never needs it"));
}

namespace {

/// What an agent may ask, and what it is told of the bottle: names and limits, no token, no path of the host.
json::object make_supervise_config(const Plan& plan) {
  const manifest::Manifest& manifest = plan.manifest;
  json::array repositories;
  for (const auto& repo : manifest.git_gate_repos) repositories.emplace_back(repo.key());
  json::object limits;
  if (manifest.resources.cpus) limits["cpus"] = *manifest.resources.cpus;
  if (manifest.resources.memory_bytes) limits["memory"] = *manifest.resources.memory_bytes;
  if (manifest.resources.pids) limits["pids"] = *manifest.resources.pids;
  if (manifest.resources.disk_bytes) limits["disk"] = *manifest.resources.disk_bytes;
  if (manifest.resources.timeout_ms) limits["seconds"] = *manifest.resources.timeout_ms / 1000;
  return {{"auto", manifest.supervise.automatic},
          {"disclose", manifest.supervise.discloses},
          {"images", get_bool(plan.backend_plan, "images", false)},
          {"capabilities",
           {{"repositories", std::move(repositories)},
            {"skills", to_array(manifest.skills)},
            {"limits", std::move(limits)}}}};
}

}  // namespace

json::object make_public_sidecar_config(const Plan& plan, const std::vector<std::string>& disabled_guards) {
  policy::Egress egress = plan.egress;
  if (!egress.upstream_ca.empty()) {
    // In a manifest a path, for the sidecar the text: it cannot see the operator's files.
    const std::filesystem::path file = or_throw(expand_tilde(egress.upstream_ca));
    egress.upstream_ca =
        or_throw<std::string>(read_file(file, std::size_t{1} << 20).map_error(in("egress.upstream_ca")));
    if (egress.upstream_ca.find("-----BEGIN CERTIFICATE-----") == std::string::npos)
      throw Failure(make_error(ErrorKind::invalid_argument,
                               "egress.upstream_ca: " + file.string() + " holds no PEM certificate",
                               "give a file with -----BEGIN CERTIFICATE-----"));
  }
  if (!egress.dlp_rules.empty()) {
    const std::filesystem::path file = egress.dlp_rules;
    egress.dlp_rules = or_throw<std::string>(read_file(file, std::size_t{1} << 20).map_error(in("egress.dlp.rules")));
    if (egress.dlp_rules.empty())
      throw Failure(make_error(ErrorKind::invalid_argument, "egress.dlp.rules: " + file.string() + " is empty"));
  }
  json::array peers;
  if (const json::array* asked = find_array(plan.backend_plan, "control_peer_uids"); asked != nullptr) peers = *asked;
  if (peers.empty()) peers.push_back(static_cast<std::int64_t>(::geteuid()));
  json::array placeholders;
  if (const json::array* given = find_array(plan.provider_plan, "placeholders"); given != nullptr)
    placeholders = *given;
  json::object config{{"schema", "bot-bottle.sidecar-config/1"},
                      {"slug", plan.slug},
                      {"log_level", plan.egress.log},
                      {"control_peer_uids", std::move(peers)},
                      {"egress", policy::to_json(egress)},
                      {"placeholders", std::move(placeholders)},
                      {"disabled_guards", to_array(disabled_guards)}};
  if (plan.manifest.supervise.enabled) config["supervise"] = make_supervise_config(plan);
  if (!plan.manifest.git_gate_repos.empty()) config["git_gate"] = policy::to_json(make_git_gate(plan.manifest));
  return config;
}

SecretBytes make_sidecar_config(const json::object& public_config, std::span<const Secret> secrets,
                                std::span<const Canary> canaries, std::span<const GitKey> git_keys) {
  std::string head = to_text(public_config);
  head.pop_back();  // the closing brace
  std::size_t room = head.size() + 32;
  // A character becomes at most six.
  for (const Secret& secret : secrets) room += 6 * (secret.name.size() + secret.value.view().size()) + 32;
  for (const GitKey& key : git_keys) room += 6 * (key.repo.size() + key.private_key.view().size()) + 48;
  for (const Canary& canary : canaries) room += 6 * (canary.name.size() + canary.value.size()) + 32;
  WipedString whole{std::string()};
  std::string& out = whole.text();
  out.reserve(room);
  out += head;
  bool first = true;
  const auto add = [&](std::string_view name, std::string_view value) {
    out += first ? R"({"name":)" : R"(,{"name":)";
    first = false;
    append_json_string(out, name);
    out += R"(,"value":)";
    append_json_string(out, value);
    out += '}';
  };
  out += R"(,"secrets":[)";
  for (const Secret& secret : secrets) add(secret.name, secret.value.view());
  out += R"(],"canaries":[)";
  first = true;
  for (const Canary& canary : canaries) add(canary.name, canary.value);
  out += R"(],"git_keys":[)";
  first = true;
  for (const GitKey& key : git_keys) {
    out += first ? R"({"repo":)" : R"(,{"repo":)";
    first = false;
    append_json_string(out, key.repo);
    out += R"(,"private_key":)";
    append_json_string(out, key.private_key.view());
    out += '}';
  }
  out += "]}";
  return SecretBytes(out);
}

}  // namespace bot_bottle::plan
