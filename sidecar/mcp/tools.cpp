#include "sidecar/mcp/tools.hpp"

#include <algorithm>
#include <functional>

#include "core/base/text.hpp"

namespace bot_bottle::mcp {
namespace {

void append(std::string& out, const json::value& value) {  // NOLINT(misc-no-recursion): depth is bounded by the reader
  if (const json::object* object = value.if_object()) {
    std::vector<std::pair<std::string_view, const json::value*>> members;
    for (const auto& member : *object) members.emplace_back(member.key(), &member.value());
    std::ranges::sort(members, {}, [](const auto& member) { return member.first; });
    char before = '{';
    for (const auto& [key, member] : members) {
      out += before;
      out += to_text(json::value(json::string(key)));
      out += ':';
      append(out, *member);
      before = ',';
    }
    out += members.empty() ? "{}" : "}";
  } else if (const json::array* array = value.if_array()) {
    char before = '[';
    for (const json::value& item : *array) {
      out += before;
      append(out, item);
      before = ',';
    }
    out += array->empty() ? "[]" : "]";
  } else {
    out += to_text(value);
  }
}

}  // namespace

std::string canonical(const json::value& value) {
  std::string out;
  append(out, value);
  return out;
}

std::string digest_of_tool(const json::object& tool) {
  json::object definition = tool;
  definition.erase("_meta");
  return sha256_hex(canonical(definition));
}

ToolBook::Remarks ToolBook::note(std::string_view server, const json::array& tools) {
  Remarks remarks;
  for (const json::value& entry : tools) {
    const json::object* tool = entry.if_object();
    const std::string name = tool == nullptr ? std::string() : get_string(*tool, "name");
    // "Name" beside "name" is another tool's for a reader that takes keys in any case.
    const bool two_names = tool != nullptr && std::ranges::count_if(*tool, [](const auto& member) {
                                                return equals_ignoring_case(member.key(), "name");
                                              }) > 1;
    if (tool == nullptr || two_names || name.empty() || name.size() > max_name_octets) {
      remarks.malformed = true;
      continue;
    }
    std::string digest = digest_of_tool(*tool);
    const std::string key = std::string(server) + "\n" + name;
    if (const auto known = digests_.find(key); known != digests_.end()) {
      if (known->second != digest) remarks.changed.push_back(name);
    } else if (digests_.size() >= max_tools) {
      remarks.full = true;
    } else {
      digests_.emplace(key, std::move(digest));
    }
  }
  return remarks;
}

}  // namespace bot_bottle::mcp
