#include "plugins/backend-docker/names.hpp"

#include <filesystem>

#include "core/base/text.hpp"

namespace bot_bottle::backend_docker {

std::string resource_name(const std::string& state_dir, const std::string& part) {
  const std::string slug = std::filesystem::path(state_dir).filename().string();
  return "bot-bottle-" + slug + "-" + sha256_hex(state_dir).substr(0, 8) + "-" + part;
}

std::vector<Owned> list_owned(Engine& engine, Which which, const std::string& state_dir) {
  json::array labels{std::string(label_managed) + "=true"};
  if (!state_dir.empty()) labels.emplace_back(std::string(label_state) + "=" + state_dir);
  const std::string filters = url_encoded(to_text(json::object{{"label", std::move(labels)}}));
  const char* target = which == Which::containers ? "/containers/json?all=1&filters="
                       : which == Which::volumes  ? "/volumes?filters="
                                                  : "/networks?filters=";
  json::value answer = engine.call("GET", target + filters);
  const json::array* items = answer.if_array();
  if (which == Which::volumes && answer.is_object()) items = find_array(answer.as_object(), "Volumes");
  std::vector<Owned> found;
  if (items == nullptr) return found;
  for (const json::value& value : *items) {
    const json::object* item = value.if_object();
    const json::object* item_labels = item == nullptr ? nullptr : find_object(*item, "Labels");
    // Looked at again: the filter is the engine's, the promise is ours.
    if (item_labels == nullptr || get_string(*item_labels, label_managed) != "true") continue;
    Owned owned;
    owned.labels = *item_labels;
    owned.slug = get_string(owned.labels, label_slug);
    owned.state_dir = get_string(owned.labels, label_state);
    owned.component = get_string(owned.labels, label_component);
    if (!state_dir.empty() && owned.state_dir != state_dir) continue;
    if (which == Which::containers) {
      owned.kind = "container";
      owned.id = get_string(*item, "Id");
      const std::vector<std::string> names = get_strings(*item, "Names");
      owned.name = names.empty() ? owned.id : names.front().substr(1);
      owned.running = get_string(*item, "State") == "running";
      owned.created = get_int(*item, "Created", 0);
    } else {
      owned.kind = which == Which::volumes ? "volume" : "network";
      owned.name = get_string(*item, "Name");
      owned.id = which == Which::volumes ? owned.name : get_string(*item, "Id");
    }
    if (!owned.id.empty()) found.push_back(std::move(owned));
  }
  return found;
}

json::object make_labels(const json::object& plan_data, const std::string& slug, const std::string& state_dir,
                         const std::string& component) {
  return {{label_managed, "true"},
          {label_slug, slug},
          {label_component, component},
          {label_state, state_dir},
          {label_version, get_string(plan_data, "version")},
          {label_agent, get_string(plan_data, "agent")},
          {label_title, get_string(plan_data, "label")},
          {label_endpoints, join(get_strings(plan_data, "endpoint_names"), ",")}};
}

}  // namespace bot_bottle::backend_docker
