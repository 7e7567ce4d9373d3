// The egress block is core/policy's: it goes there as JSON, and what policy finds wrong comes back with line and
// column.
#include <algorithm>
#include <set>

#include "core/base/terminal_text.hpp"
#include "core/manifest/schema.hpp"

namespace bot_bottle::manifest {
namespace {

struct Places {
  std::map<std::string, Spot> spots;
  std::set<std::string> reported;  // paths that have a fault of ours already: policy's view of them is noise
};

bool is_unsound(const Node& node) {
  return node.kind == Node::Kind::ambiguous || node.kind == Node::Kind::null || node.kind == Node::Kind::invalid;
}

/// Every path below `node`, as policy may spell it: plain ("hosts.a.example"), and quoted where a key holds a dot.
void index(const Node& node, const std::string& path,
           Places& places) {  // NOLINT(misc-no-recursion): bounded by the readers
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const Node& item = node.items[i];
    if (node.is_map()) {
      const std::string& key = node.keys[i].name;
      const std::string plain = path.empty() ? key : path + "." + key;
      places.spots.emplace(plain, node.keys[i].spot);
      places.spots.emplace(path + "[" + key + "]", node.keys[i].spot);
      places.spots.emplace(path + "[\"" + key + "\"]", node.keys[i].spot);
      if (is_unsound(item)) places.reported.insert(plain);
      index(item, plain, places);
    } else {
      const std::string child = index_path(path, i);
      places.spots.emplace(child, item.spot);
      if (is_unsound(item)) places.reported.insert(child);
      index(item, child, places);
    }
  }
}

Spot locate(std::string path, const Places& places, const Spot& fallback) {
  while (!path.empty()) {
    if (const auto found = places.spots.find(path); found != places.spots.end()) return found->second;
    const std::size_t cut = path.find_last_of(".[");
    path.erase(cut == std::string::npos ? 0 : cut);
  }
  return fallback;
}

/// A path of the host that policy passes on as text.
void expand(const View& block, std::string_view key, std::string& path) {
  const auto view = block.child(key);
  if (!view || path.empty()) return;
  if (const auto expanded = view->host_path()) path = *expanded;
}

}  // namespace

json::value to_json_value(const View& view, Ambiguity ambiguity) {  // NOLINT(misc-no-recursion): bounded by the readers
  const Node& node = view.node();
  switch (node.kind) {
    case Node::Kind::boolean:
      return node.boolean;
    case Node::Kind::integer:
      return node.integer;
    case Node::Kind::floating:
      return node.floating;
    case Node::Kind::text:
      return json::value(json::string(node.text));
    case Node::Kind::ambiguous:
    case Node::Kind::null:
      if (ambiguity == Ambiguity::report)
        static_cast<void>(view.text(node.kind == Node::Kind::null ? "a value" : "a string"));
      return json::value(json::string(node.text));
    case Node::Kind::invalid:
      return json::value(json::string());
    case Node::Kind::sequence: {
      json::array out;
      for (const View& item : view.list().value_or(std::vector<View>{})) out.push_back(to_json_value(item, ambiguity));
      return out;
    }
    case Node::Kind::map: {
      json::object out;
      for (const View& member : view.members()) out.emplace(member.key(), to_json_value(member, ambiguity));
      return out;
    }
  }
  return nullptr;
}

void read_egress(const View& block, Manifest& manifest) {
  if (!block.map()) return;
  const std::size_t before = block.faults().errors();
  const json::value document = to_json_value(block, Ambiguity::report);
  const bool sound = block.faults().errors() == before;
  policy::ParsedEgress parsed = policy::parse_egress(document);
  Places places;
  index(block.node(), {}, places);
  for (const policy::Problem& problem : parsed.problems) {
    std::string path = problem.path;
    if (path.starts_with("egress.")) path.erase(0, 7);
    if (path == "egress") path.clear();
    const Spot spot = locate(path, places, block.node().spot);
    if (places.reported.contains(path)) continue;
    const std::string shown_path =
        block.path() + (path.empty() || path.front() == '[' ? "" : ".") + escape_untrusted(path, 200);
    block.faults().error(spot.place(), shown_path, problem.message, problem.hint);
  }
  if (!parsed.problems.empty() || !sound) return;
  manifest.egress = std::move(parsed.egress);
  expand(block, "upstream_ca", manifest.egress.upstream_ca);
  if (const auto dlp = block.child("dlp")) expand(*dlp, "rules", manifest.egress.dlp_rules);
  for (policy::Route& route : manifest.egress.routes)
    if (route.origin.empty()) route.origin = "bottle";
}

}  // namespace bot_bottle::manifest
