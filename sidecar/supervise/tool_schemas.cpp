// What tools/list says: read by models, so it says when to call what.
#include <algorithm>
#include <array>

#include "sidecar/supervise/tools.hpp"

namespace bot_bottle::supervise {
namespace {

json::object text_schema(std::string_view description) {
  return {{"type", "string"}, {"description", description}};
}

json::object list_schema(std::string_view description, json::object items) {
  return {{"type", "array"}, {"description", description}, {"items", std::move(items)}};
}

json::object object_schema(json::object properties, json::array required) {
  json::object schema{{"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
  if (!required.empty()) schema["required"] = std::move(required);
  return schema;
}

json::object tool(std::string_view name, std::string_view title, std::string_view description, json::object schema,
                  bool is_reading) {
  return {{"name", name},
          {"title", title},
          {"description", description},
          {"inputSchema", std::move(schema)},
          {"annotations", {{"readOnlyHint", is_reading}, {"openWorldHint", false}}}};
}

json::object matches_schema() {
  const json::object string{{"type", "string"}};
  const json::object path =
      object_schema({{"type", json::object{{"type", "string"}, {"enum", json::array{"prefix", "exact", "regex"}}}},
                     {"value", string}},
                    {"type", "value"});
  const json::object header =
      object_schema({{"name", string},
                     {"value", string},
                     {"type", json::object{{"type", "string"}, {"enum", json::array{"exact", "regex"}}}}},
                    {"name", "value"});
  return list_schema("Which requests; without it every request to the host. Entries are alternatives.",
                     object_schema({{"paths", list_schema("Of the URL", path)},
                                    {"methods", list_schema("GET, POST, …", string)},
                                    {"headers", list_schema("Header fields", header)}},
                                   {}));
}

json::array make_tools() {
  const json::object why = text_schema("Why it is needed: the operator reads it");
  json::array tools;
  tools.push_back(tool("list-egress-routes", "List routes", "The hosts and requests that may leave this bottle now.",
                       object_schema({}, {}), true));
  tools.push_back(tool(
      "egress-block", "Ask for a route",
      "Ask the operator to let requests to a host through, after one was blocked. Waits for the answer; then send the "
      "same request again. Ask for as little as is needed.",
      object_schema({{"host", text_schema("A host name, as api.example.com")},
                     {"matches", matches_schema()},
                     {"git", object_schema({{"fetch", json::object{{"type", "boolean"}}}}, {})},
                     {"justification", why}},
                    {"host", "justification"}),
      false));
  tools.push_back(tool(
      "capability-block", "Ask for programs",
      "Ask the operator for another image: Debian packages on top of this one, or a whole Dockerfile. When approved, "
      "this bottle stops, and goes on with the new image when the operator resumes it.",
      object_schema({{"packages", list_schema("Debian packages", {{"type", "string"}})},
                     {"dockerfile", text_schema("A whole Dockerfile; without COPY and ADD")},
                     {"justification", why}},
                    {"justification"}),
      false));
  tools.push_back(tool(
      "git-allow", "Ask for a push",
      "Ask the operator to let findings of a rejected push through, because they are no secrets. Waits for the answer; "
      "then push again.",
      object_schema({{"repo", text_schema("The repository's name in this bottle")},
                     {"fingerprints",
                      list_schema("As the rejected push printed them: commit:file:rule:line", {{"type", "string"}})},
                     {"justification", why}},
                    {"repo", "fingerprints", "justification"}),
      false));
  tools.push_back(tool("ask-operator", "Ask the operator", "Ask the human who runs this bottle. Waits for the answer.",
                       object_schema({{"question", text_schema("What to answer")},
                                      {"choices", list_schema("Answers to choose from", {{"type", "string"}})}},
                                     {"question"}),
                       true));
  tools.push_back(tool("list-capabilities", "List capabilities",
                       "What this bottle may do: routes, repositories, skills, limits.", object_schema({}, {}), true));
  return tools;
}

}  // namespace

json::object tools_list() {
  static const json::array tools = make_tools();
  return {{"tools", tools}};
}

bool is_tool(std::string_view name) {
  static constexpr std::array<std::string_view, 6> names{"list-egress-routes", "egress-block", "capability-block",
                                                         "git-allow",          "ask-operator", "list-capabilities"};
  return std::ranges::find(names, name) != names.end();
}

}  // namespace bot_bottle::supervise
