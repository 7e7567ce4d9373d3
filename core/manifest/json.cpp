// The resolved manifest for `info --json`. Names of secrets only: a literal under a credential's name is not shown.
#include "core/manifest/env.hpp"
#include "core/manifest/manifest.hpp"

namespace bot_bottle::manifest {
namespace {

std::string_view name_of(EnvEntry::Kind kind) {
  switch (kind) {
    case EnvEntry::Kind::literal:
      return "literal";
    case EnvEntry::Kind::interpolated:
      return "interpolated";
    case EnvEntry::Kind::prompt:
      break;
  }
  return "prompt";
}

std::string_view name_of(Workspace::Mode mode) {
  switch (mode) {
    case Workspace::Mode::mount:
      return "mount";
    case Workspace::Mode::none:
      return "none";
    case Workspace::Mode::copy:
      break;
  }
  return "copy";
}

json::object env_json(const Manifest& manifest) {
  json::object env;
  for (const auto& [name, entry] : manifest.env) {
    const bool hidden = entry.kind != EnvEntry::Kind::prompt && looks_like_credential(name) &&
                        (entry.kind == EnvEntry::Kind::literal || entry.text.find(":-") != std::string::npos);
    env.emplace(name,
                json::object{{"kind", name_of(entry.kind)}, {"text", hidden ? std::string("********") : entry.text}});
  }
  return env;
}

json::object resources_json(const Resources& resources) {
  json::object out;
  if (resources.cpus) out["cpus"] = *resources.cpus;
  if (resources.memory_bytes) out["memory"] = *resources.memory_bytes;
  if (resources.pids) out["pids"] = *resources.pids;
  if (resources.disk_bytes) out["disk"] = *resources.disk_bytes;
  if (resources.timeout_ms) out["timeout_ms"] = *resources.timeout_ms;
  return out;
}

}  // namespace

json::object to_json(const Manifest& manifest) {
  json::object provenance;
  for (const auto& [path, place] : manifest.provenance)
    provenance.emplace(path,
                       json::object{{"file", place.file.string()}, {"line", place.line}, {"column", place.column}});
  json::array warnings;
  for (const Fault& warning : manifest.warnings) warnings.push_back(to_json(warning));
  json::array post_init;
  for (const auto& command : manifest.post_init) post_init.push_back(to_array(command));
  return json::object{
      {"schema", "bot-bottle.manifest/1"},
      {"agent", manifest.agent},
      {"bottle", manifest.bottle},
      {"bottle_chain", to_array(manifest.bottle_chain)},
      {"agent_file", manifest.agent_file.string()},
      {"agent_origin", manifest.agent_origin == Origin::home ? "home" : "repository"},
      {"prompt", manifest.prompt},
      {"model", manifest.model},
      {"backend", manifest.backend},
      {"agent_provider",
       json::object{{"template", manifest.provider.plugin},
                    {"dockerfile", manifest.provider.dockerfile},
                    {"command", to_array(manifest.provider.command)},
                    {"auth_token", manifest.provider.auth_token},
                    {"forward_host_credentials", manifest.provider.forward_host_credentials},
                    {"config", manifest.provider.config == AgentProvider::Config::copy ? "copy" : "fresh"}}},
      {"env", env_json(manifest)},
      {"env_file", manifest.env_file.string()},
      {"skills", to_array(manifest.skills)},
      {"git",
       json::object{{"user", json::object{{"name", manifest.git_user.name}, {"email", manifest.git_user.email}}}}},
      {"git-gate", json::object{{"repos", manifest.git_gate_repos}}},
      {"egress", policy::to_json(manifest.egress)},
      {"supervise", manifest.supervise.enabled},
      {"supervise_auto", manifest.supervise.automatic},
      {"supervise_disclose", manifest.supervise.discloses},
      {"resources", resources_json(manifest.resources)},
      {"workspace", json::object{{"mode", name_of(manifest.workspace.mode)}, {"path", manifest.workspace.path}}},
      {"local", json::object{{"bind_ro", to_array(manifest.local.bind_ro)}, {"rootfs", manifest.local.rootfs}}},
      {"docker", json::object{{"wire", manifest.docker.wire}, {"runtime", manifest.docker.runtime}}},
      {"post_init", std::move(post_init)},
      {"provenance", std::move(provenance)},
      {"warnings", std::move(warnings)}};
}

}  // namespace bot_bottle::manifest
