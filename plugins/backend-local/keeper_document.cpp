#include "plugins/backend-local/keeper_document.hpp"

#include <array>

#include "core/base/text.hpp"

namespace bot_bottle::backend_local {
namespace {

constexpr std::array<std::string_view, 8> kind_names{"bind", "ro-bind", "tmpfs", "symlink",
                                                     "dir",  "proc",    "dev",   "remount-ro"};

Result<SandboxStep> parse_step(const json::value& value) {
  const json::object* const object = value.if_object();
  if (object == nullptr) return fail(ErrorKind::internal, "keeper document: a step is not an object");
  const std::string kind = get_string(*object, "kind");
  for (std::size_t i = 0; i < kind_names.size(); ++i)
    if (kind_names[i] == kind)
      return SandboxStep{.kind = static_cast<SandboxStep::Kind>(i),
                         .source = get_string(*object, "source"),
                         .dest = get_string(*object, "dest"),
                         .bytes = static_cast<std::uint64_t>(get_int(*object, "bytes", 0))};
  return fail(ErrorKind::internal, "keeper document: unknown step " + kind);
}

}  // namespace

std::string_view name_of(Component component) {
  return component == Component::bottle ? "bottle" : "sidecar";
}

json::object to_json(const KeeperDocument& document) {
  json::array steps;
  for (const SandboxStep& step : document.steps)
    steps.push_back({{"kind", kind_names[static_cast<std::size_t>(step.kind)]},
                     {"source", step.source},
                     {"dest", step.dest},
                     {"bytes", step.bytes}});
  json::array env;
  for (const auto& [name, value] : document.env) env.push_back(json::array{name, value});
  json::object out{{"schema", "bot-bottle.keeper/1"},
                   {"component", name_of(document.component)},
                   {"slug", document.slug},
                   {"agent", document.agent},
                   {"label", document.label},
                   {"state_dir", document.state_dir},
                   {"bwrap", document.bwrap},
                   {"inner_uid", document.inner_uid},
                   {"inner_gid", document.inner_gid},
                   {"steps", std::move(steps)},
                   {"init", to_array(document.init)},
                   {"program", to_array(document.program)},
                   {"env", std::move(env)},
                   {"idmapped_tree", document.idmapped_tree},
                   {"tree_uid", document.tree_uid},
                   {"tree_gid", document.tree_gid},
                   {"reserve_bytes", document.reserve_bytes},
                   {"disk_bytes", document.disk_bytes},
                   {"measured", to_array(document.measured)},
                   {"must_stay_absent", to_array(document.must_stay_absent)},
                   {"disabled_guards", to_array(document.disabled_guards)}};
  if (document.uid) out["uid"] = *document.uid;
  if (document.limits.cpus) out["cpus"] = *document.limits.cpus;
  if (document.limits.memory) out["memory"] = *document.limits.memory;
  if (document.limits.pids) out["pids"] = *document.limits.pids;
  return out;
}

Result<KeeperDocument> parse_keeper_document(std::string_view text) {
  BB_TRY(const json::object object, parse_json_object(text));
  KeeperDocument document;
  BB_TRY(const std::string component, need_string(object, "component"));
  document.component = component == "sidecar" ? Component::sidecar : Component::bottle;
  BB_TRY(document.slug, need_string(object, "slug"));
  BB_TRY(document.state_dir, need_string(object, "state_dir"));
  BB_TRY(document.bwrap, need_string(object, "bwrap"));
  document.agent = get_string(object, "agent");
  document.label = get_string(object, "label");
  document.inner_uid = static_cast<std::uint32_t>(get_int(object, "inner_uid", 1000));
  document.inner_gid = static_cast<std::uint32_t>(get_int(object, "inner_gid", 1000));
  if (object.contains("uid")) document.uid = static_cast<std::uint32_t>(get_int(object, "uid", 0));
  if (document.uid && *document.uid == 0)
    return fail(ErrorKind::internal, "keeper document: the sandbox must not run as uid 0");
  if (const json::array* steps = find_array(object, "steps")) {
    for (const json::value& value : *steps) {
      BB_TRY(SandboxStep step, parse_step(value));
      document.steps.push_back(std::move(step));
    }
  }
  document.init = get_strings(object, "init");
  document.program = get_strings(object, "program");
  if (document.init.empty()) return fail(ErrorKind::internal, "keeper document: nothing to run");
  if (const json::array* env = find_array(object, "env"))
    for (const json::value& value : *env)
      if (const json::array* pair = value.if_array();
          pair != nullptr && pair->size() == 2 && (*pair)[0].is_string() && (*pair)[1].is_string())
        document.env.emplace_back((*pair)[0].as_string(), (*pair)[1].as_string());
  if (const json::value* cpus = object.if_contains("cpus"); cpus != nullptr && cpus->is_number())
    document.limits.cpus = cpus->to_number<double>();
  if (object.contains("memory")) document.limits.memory = static_cast<std::uint64_t>(get_int(object, "memory", 0));
  if (object.contains("pids")) document.limits.pids = static_cast<std::uint64_t>(get_int(object, "pids", 0));
  document.idmapped_tree = get_string(object, "idmapped_tree");
  document.tree_uid = static_cast<std::uint32_t>(get_int(object, "tree_uid", 0));
  document.tree_gid = static_cast<std::uint32_t>(get_int(object, "tree_gid", 0));
  document.reserve_bytes = static_cast<std::uint64_t>(get_int(object, "reserve_bytes", 0));
  document.disk_bytes = static_cast<std::uint64_t>(get_int(object, "disk_bytes", 0));
  document.measured = get_strings(object, "measured");
  document.must_stay_absent = get_strings(object, "must_stay_absent");
  document.disabled_guards = get_strings(object, "disabled_guards");
#ifndef BB_TEST_HOOKS
  if (!document.disabled_guards.empty())
    return fail(ErrorKind::unsupported, "guards cannot be switched off: this build has no test hooks");
#endif
  return document;
}

std::string lock_path(std::string_view state_dir, Component component) {
  return std::string(state_dir) + "/backend/" + std::string(name_of(component)) + ".lock";
}
std::string reserve_path(std::string_view state_dir) {
  return std::string(state_dir) + "/backend/run/reserve";
}

std::string exec_socket_path(std::string_view state_dir) {
  return std::string(state_dir) + "/backend/run/init.sock";
}
std::string exit_record_path(std::string_view state_dir, Component component) {
  return std::string(state_dir) + "/backend/" + std::string(name_of(component)) + ".exit.json";
}
std::string cgroup_name(std::string_view slug, std::string_view state_dir, Component component) {
  return std::string(slug) + "-" + sha256_hex(state_dir).substr(0, 8) + "-" + std::string(name_of(component));
}

}  // namespace bot_bottle::backend_local
