// What only the host can tell, and `config check`.
#include <sys/stat.h>

#include <algorithm>

#include "core/base/file.hpp"
#include "core/base/paths.hpp"
#include "core/base/text.hpp"
#include "core/manifest/env.hpp"
#include "core/manifest/settings.hpp"
#include "core/manifest/source.hpp"

namespace bot_bottle::manifest {
namespace {

namespace fs = std::filesystem;
enum class Wanted : std::uint8_t { file, directory, any };

class HostCheck {
 public:
  HostCheck(const Manifest& manifest, Faults& faults) : manifest_(manifest), faults_(faults) {}

  void run() {
    environment_values();
    const AgentProvider& provider = manifest_.provider;
    if (!provider.dockerfile.empty()) path("agent_provider.dockerfile", provider.dockerfile, Wanted::file);
    if (!provider.auth_token.empty()) variable("agent_provider.auth_token", provider.auth_token);
    for (std::size_t i = 0; i < manifest_.skills.size(); ++i)
      check_skill(manifest_.skills[i], place(index_path("skills", i)), index_path("skills", i), faults_);
    egress();
    for (const auto& [name, repo] : manifest_.git_gate_repos)
      if (repo.is_object()) repository("git-gate.repos." + std::string(name), repo.as_object());
    for (std::size_t i = 0; i < manifest_.local.bind_ro.size(); ++i)
      path(index_path("local.bind_ro", i), manifest_.local.bind_ro[i], Wanted::any);
    if (!manifest_.local.rootfs.empty()) path("local.rootfs", manifest_.local.rootfs, Wanted::directory);
  }

 private:
  /// Where a value stands, or the nearest place above it.
  Place place(std::string key) const {
    while (!key.empty()) {
      if (const auto found = manifest_.provenance.find(key); found != manifest_.provenance.end()) return found->second;
      const std::size_t cut = key.find_last_of(".[");
      key.erase(cut == std::string::npos ? 0 : cut);
    }
    return {};
  }

  void path(const std::string& key, const fs::path& value, Wanted wanted) {
    std::error_code code;
    const fs::file_status status = fs::status(value, code);
    if (status.type() == fs::file_type::not_found)
      faults_.error(place(key), key, value.string() + " does not exist");
    else if (code)
      faults_.error(place(key), key, value.string() + ": " + code.message());
    else if (wanted == Wanted::file && status.type() != fs::file_type::regular)
      faults_.error(place(key), key, value.string() + " is not a file");
    else if (wanted == Wanted::directory && status.type() != fs::file_type::directory)
      faults_.error(place(key), key, value.string() + " is not a directory");
  }

  void variable(const std::string& key, const std::string& name) {
    const auto value = environment(name);
    if (!value || value->empty())
      faults_.error(place(key), key, "the host variable " + name + (value ? " is empty" : " is not set"),
                    "export " + name + " before the start");
  }

  void environment_values() {
    for (const auto& [name, entry] : manifest_.env) {
      if (entry.kind != EnvEntry::Kind::interpolated) continue;
      const auto parts = parse_template(entry.text);
      if (!parts) continue;  // reported when the file was read
      for (const std::string& missing : missing_variables(*parts))
        faults_.error(entry.place, join_path("env", name), "the host variable " + missing + " is not set",
                      "export " + missing + ", or give a default: ${" + missing + ":-value}");
    }
    if (manifest_.env_file.empty()) return;
    const std::size_t before = faults_.errors();
    path("env_file", manifest_.env_file, Wanted::file);
    if (faults_.errors() > before) return;
    const auto text = read_file(manifest_.env_file, max_file_bytes);
    if (!text) {
      faults_.error(place("env_file"), "env_file", text.error().message);
      return;
    }
    for (const std::string& name : parse_dotenv(*text, manifest_.env_file, faults_).skipped)
      faults_.warning(place("env_file"), "env_file", name + " is skipped: it looks like a credential",
                      "give it to an egress route as token_ref, so that it never enters the bottle");
  }

  void egress() {
    const policy::Egress& block = manifest_.egress;
    for (std::size_t i = 0; i < block.routes.size(); ++i)
      if (const auto& auth = block.routes[i].auth) {
        variable(index_path("egress.routes", i) + ".auth.token_ref", auth->token_ref);
        if (!auth->account_ref.empty())
          variable(index_path("egress.routes", i) + ".auth.account.token_ref", auth->account_ref);
      }
    if (!block.upstream_ca.empty()) path("egress.upstream_ca", block.upstream_ca, Wanted::file);
    if (!block.dlp_rules.empty()) path("egress.dlp.rules", block.dlp_rules, Wanted::file);
    if (block.upstream_proxy && !block.upstream_proxy->token_ref.empty())
      variable("egress.upstream_proxy.token_ref", block.upstream_proxy->token_ref);
  }

  void repository(const std::string& key, const json::object& repo) {
    if (const json::object* credential = find_object(repo, "key")) {
      if (const std::string file = get_string(*credential, "path"); !file.empty()) key_file(key + ".key.path", file);
      if (const std::string token = get_string(*credential, "token"); !token.empty())
        variable(key + ".key.token", token);
    }
    if (const json::object* auth = find_object(repo, "auth"))
      if (const std::string token = get_string(*auth, "token_ref"); !token.empty())
        variable(key + ".auth.token_ref", token);
    if (const json::object* scan = find_object(repo, "scan"))
      for (const char* name : {"config", "baseline"})
        if (const std::string file = get_string(*scan, name); !file.empty())
          path(key + ".scan." + name, file, Wanted::file);
  }

  void key_file(const std::string& key, const std::string& file) {
    const std::size_t before = faults_.errors();
    path(key, file, Wanted::file);
    if (faults_.errors() > before) return;
    struct stat status {};
    if (::stat(file.c_str(), &status) == 0 && (status.st_mode & 077U) != 0)
      faults_.warning(place(key), key, file + " can be read by other users", "chmod 600 " + file);
  }

  const Manifest& manifest_;
  Faults& faults_;
};

}  // namespace

void check_skill(const std::string& name, const Place& place, const std::string& path, Faults& faults) {
  const auto home = operator_home();
  if (!home) return;
  const fs::path skills = *home / ".claude" / "skills";
  std::error_code code;
  if (fs::is_directory(skills / name, code)) return;
  // Another program keeps them elsewhere (~/.codex/skills): which one it is, its provider says when the bottle starts.
  for (fs::directory_iterator entries(*home, code), end; !code && entries != end; entries.increment(code)) {
    std::error_code ignored;
    if (entries->path().filename().string().starts_with('.') &&
        fs::is_directory(entries->path() / "skills" / name, ignored))
      return;
  }
  code.clear();
  std::vector<std::string> known;
  for (fs::directory_iterator entries(skills, code), end; !code && entries != end; entries.increment(code))
    known.push_back(entries->path().filename().string());
  std::ranges::sort(known);
  faults.error(place, path, "no skill " + in_quotes(name) + " in " + skills.string(),
               suggestion(name, known, "skills"));
}

std::vector<Fault> check_host(const Manifest& manifest, const Sources& /*sources*/) {
  Faults faults;
  HostCheck(manifest, faults).run();
  return faults.take();
}

std::vector<Fault> check_all(const Sources& sources) {
  Faults faults;
  for (Fault& fault : check_settings(sources.home)) faults.add(std::move(fault));
  Listing bottles = list_bottles(sources);
  for (Fault& warning : bottles.warnings) faults.add(std::move(warning));
  for (const NamedFile& file : bottles.files) {
    Manifest manifest;
    // A faulty file's host faults are told as well, as far as it could be read.
    if (load_into(manifest, bottles.files, file, faults)) HostCheck(manifest, faults).run();
  }
  // Also a home's agent that the repository's hides here: it is started elsewhere.
  for (const NamedFile& file : scan_agents(sources, faults)) {
    const Document document = open_document(file, faults);
    const AgentFile agent = read_agent(document, faults);
    if (!document.usable) continue;
    if (!agent.bottle)
      faults.warning({file.file, 1, 1}, "bottle", "is missing", "the agent only starts with --bottle NAME");
    else if (!agent.bottle->empty() && find_named(bottles.files, *agent.bottle) == nullptr)
      faults.error(agent.bottle_place, "bottle", "no bottle " + in_quotes(*agent.bottle),
                   suggestion(*agent.bottle, names_of(bottles.files), "bottles"));
    for (std::size_t i = 0; i < agent.skills.size(); ++i)
      check_skill(agent.skills[i].first, agent.skills[i].second, index_path("skills", i), faults);
  }
  return faults.take();
}

}  // namespace bot_bottle::manifest
