#include "plugins/backend-apple/create_arguments.hpp"

#include <algorithm>

#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "plugins/backend-apple/containers.hpp"
#include "plugins/backend-driven/guest_channel.hpp"
#include "plugins/backend-driven/wire_sockets.hpp"

namespace bot_bottle::backend_apple {
namespace {

constexpr const char* wire_in_bottle = "/run/bottle/wire";
constexpr int max_files = 65536;

void add(std::vector<std::string>& to, std::initializer_list<std::string> words) {
  to.insert(to.end(), words);
}

/// bottle-init's own, behind the image.
std::vector<std::string> init_arguments(const json::object& data) {
  std::vector<std::string> words;
  for (const std::string& option : endpoint_options(data)) add(words, {"--endpoint", option});
  if (get_bool(data, "life_socket", false)) add(words, {"--lifeline", std::string(wire_in_bottle) + "/life.sock"});
  // No engine puts a filter of system calls on a machine's processes, and a vsock leads to its host.
  add(words, {"--exec-abstract", "--filter"});
  add(words,
      {"--uid", std::to_string(get_int(data, "uid", 1000)), "--gid", std::to_string(get_int(data, "gid", 1000))});
  const json::object none;
  const json::object* resources = find_object(data, "resources");
  if (resources == nullptr) resources = &none;
  add(words,
      {"--max-processes", std::to_string(get_int(*resources, "pids", 2048)), "--max-files", std::to_string(max_files)});
  for (const std::string& path : {get_string(data, "home"), get_string(data, "workspace_path"), std::string("/tmp"),
                                  std::string("/dev"), std::string("/proc")})
    add(words, {"--writable", path});
  return words;
}

std::vector<std::string> fixed_arguments(const sdk::Plan& plan) {
  const json::object& data = plan.data;
  const json::object none;
  const json::object* resources = find_object(data, "resources");
  if (resources == nullptr) resources = &none;
  std::vector<std::string> words{"--name", container_name(plan.state_dir)};
  // bottle-init is root's until it listens (lo, port 53) and gives itself away: these five are what that takes.
  add(words, {"--user", "0:0", "--workdir", "/", "--cap-drop", "ALL"});
  for (const char* capability : {"NET_ADMIN", "NET_BIND_SERVICE", "SETUID", "SETGID", "SETPCAP"})
    add(words, {"--cap-add", capability});
  // Guarded by apple_test: a_container_has_no_network.
  add(words, {"--network", "none", "--dns", "127.0.0.1"});
  for (const std::string& name : mounted_sockets(data))
    add(words, {"--volume", driven::socket_directory(plan.state_dir) + "/" + name + ".sock:" + wire_in_bottle + "/" +
                                name + ".sock"});
  // The only variable that is set, and once: a program's own come by its request, exec's -e would not replace them.
  add(words, {"--env", "PATH=/usr/local/bin:/usr/bin:/bin"});
  add(words, {"--cpus", std::to_string(get_int(*resources, "cpus", 4)), "--memory",
              std::to_string(get_int(*resources, "memory_mib", 4096)) + "M"});
  add(words, {"--entrypoint", driven::guest_init});
  return words;
}

}  // namespace

std::vector<std::string> mounted_sockets(const json::object& plan_data) {
  std::vector<std::string> names = get_strings(plan_data, "endpoint_names");
  if (get_bool(plan_data, "life_socket", false)) names.emplace_back("life");
  return names;
}

std::vector<std::string> endpoint_options(const json::object& plan_data) {
  std::vector<std::string> options;
  if (const json::array* endpoints = find_array(plan_data, "endpoints"))
    for (const json::value& value : *endpoints) {
      const std::string name = get_string(value.as_object(), "name");
      options.push_back(name + "=" + std::to_string(get_int(value.as_object(), "port", 0)) + ":" + wire_in_bottle +
                        "/" + name + ".sock");
    }
  return options;
}

std::string made_as(const sdk::Plan& plan) {
  std::string all = get_string(plan.data, "image") + "\n";
  for (const std::string& word : fixed_arguments(plan)) all += word + "\n";
  for (const std::string& word : init_arguments(plan.data)) all += word + "\n";
  return sha256_hex(all).substr(0, 16);
}

std::vector<std::string> create_arguments(const sdk::Plan& plan) {
  const json::object& data = plan.data;
  std::vector<std::string> words = fixed_arguments(plan);
  for (const auto& [name, value] : {std::pair<const char*, std::string>{label_managed, "true"},
                                    {label_slug, plan.slug},
                                    {label_component, "agent"},
                                    {label_version, get_string(data, "version")},
                                    {label_state, plan.state_dir},
                                    {label_agent, get_string(data, "agent")},
                                    {label_title, get_string(data, "label")},
                                    {label_endpoints, join(get_strings(data, "endpoint_names"), ",")},
                                    {label_made_as, made_as(plan)}})
    add(words, {"--label", std::string(name) + "=" + encode_label(value)});
  words.push_back(get_string(data, "image"));
  for (std::string& word : init_arguments(data)) words.push_back(std::move(word));
  return words;
}

}  // namespace bot_bottle::backend_apple
