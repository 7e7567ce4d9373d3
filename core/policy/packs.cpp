#include "core/policy/packs.hpp"

#include <fmt/format.h>
#include <re2/re2.h>
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "core/base/text.hpp"
#include "core/policy/packs_data.hpp"
#include "core/policy/reader.hpp"

namespace bot_bottle::policy {
namespace {

constexpr std::string_view any_repository = "[^/]+/[^/]+";
constexpr std::string_view any_project = "[^/]+";  // GitLab: a number, or a path with %2F
constexpr std::string_view repository_slot = "{repo}";
constexpr std::string_view project_slot = "{project}";
constexpr std::string_view model_slot = "{model}";  // Hugging Face: a repository, but for what only looks like one
constexpr std::size_t max_repositories = 64;

struct Loaded {
  std::vector<Pack> packs;
  std::vector<json::object> documents;  // in the same order
};

std::vector<PackSample> read_samples(const json::object& document, std::string_view key) {
  std::vector<PackSample> samples;
  if (const json::array* list = find_array(document, key))
    for (const json::value& entry : *list)
      if (const json::object* sample = entry.if_object())
        samples.push_back({get_string(*sample, "method"), get_string(*sample, "url")});
  return samples;
}

/// The texts are ours and tested: one that does not parse is left out, and the test that counts them goes red.
Loaded load() {
  Loaded loaded;
  for (const std::string_view text : packs_text()) {
    std::ostringstream out;
    try {
      out << toml::json_formatter{toml::parse(text)};
    } catch (const toml::parse_error&) {
      continue;
    }
    auto document = parse_json_object(out.str());
    if (!document) continue;
    Pack pack;
    pack.name = get_string(*document, "name");
    pack.description = get_string(*document, "description");
    pack.host = get_string(*document, "host");
    pack.allows = read_samples(*document, "allows");
    pack.refuses = read_samples(*document, "refuses");
    if (pack.name.empty() || pack.allows.empty() || pack.refuses.empty()) continue;
    loaded.packs.push_back(std::move(pack));
    loaded.documents.push_back(std::move(*document));
  }
  return loaded;
}

const Loaded& loaded() {
  static const Loaded all = load();
  return all;
}

std::string replace_all(std::string text, std::string_view slot, std::string_view with) {
  for (std::size_t at = 0; (at = text.find(slot, at)) != std::string::npos; at += with.size())
    text.replace(at, slot.size(), with);
  return text;
}

/// One segment of a path that is not `word`, whatever its case. RE2 has no lookahead that would say it shorter.
std::string any_segment_but(std::string_view word) {
  std::string rest = "[^/]+";  // behind all of it
  for (std::size_t i = word.size(); i-- > 0;) {
    const std::string octet = word[i] == '-' ? "\\-" : std::string{word[i], static_cast<char>(word[i] & ~0x20)};
    rest = fmt::format("(?:[^{0}/][^/]*|[{0}]{1}){2}", octet, rest, i == 0 ? "" : "?");
  }
  return rest;
}

/// What the slots stand for.
struct Slots {
  std::string repository;
  std::string project;
  std::string model;
};

/// "(?:octo/tool|octo/other)", its names quoted; for projects with %2F for '/'.
Slots alternatives(const std::vector<std::string>& repositories) {
  // Models without a namespace ("/api/models/gpt2/xet-write-token/refs/pr/1") and a namespace "raw"
  // ("/api/models/raw/x/xet-write-token/main") would make a token to write with look like a repository or its file.
  if (repositories.empty())
    return {std::string(any_repository), std::string(any_project),
            any_segment_but("api") + "/" + any_segment_but("xet-write-token")};
  std::string paths;
  std::string projects;
  for (const std::string& repository : repositories) {
    paths += (paths.empty() ? "" : "|") + RE2::QuoteMeta(repository);
    projects += (projects.empty() ? "" : "|") + RE2::QuoteMeta(replace_all(repository, "/", "%2F"));
  }
  const std::string named = "(?:" + paths + ")";
  return {named, "(?:" + projects + ")", named};
}

bool has_slot(std::string_view pattern) {
  return pattern.find(repository_slot) != std::string_view::npos ||
         pattern.find(project_slot) != std::string_view::npos || pattern.find(model_slot) != std::string_view::npos;
}

/// Fills the slots. With chosen repositories, paths of a route that name none of them fall away: a search would show
/// the others.
void fill_slots(json::object& route, const std::vector<std::string>& repositories) {
  const Slots slots = alternatives(repositories);
  json::array* matches = route.contains("matches") ? route.at("matches").if_array() : nullptr;
  if (matches == nullptr) return;
  bool scoped = false;
  const auto each_list = [&](const auto& handle) {
    for (json::value& match : *matches)
      if (json::object* object = match.if_object())
        if (json::value* list = object->if_contains("paths"); list != nullptr && list->is_array())
          handle(list->as_array());
  };
  each_list([&](const json::array& list) {
    for (const json::value& path : list) scoped = scoped || has_slot(get_string(path.as_object(), "value"));
  });
  each_list([&](json::array& list) {
    json::array kept;
    for (json::value& path : list) {
      const std::string value = get_string(path.as_object(), "value");
      if (scoped && !repositories.empty() && !has_slot(value)) continue;
      path.as_object()["value"] =
          replace_all(replace_all(replace_all(value, repository_slot, slots.repository), project_slot, slots.project),
                      model_slot, slots.model);
      kept.push_back(path);
    }
    list = std::move(kept);  // an empty list allows nothing (I1)
  });
}

bool is_repository(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == 0 || slash == std::string_view::npos || slash + 1 == text.size() || text.size() > 200) return false;
  return std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.' || c == '/';
  });
}

std::optional<PackUse> read_use(const json::value& value, const std::string& at, Problems& problems) {
  PackUse use;
  if (value.is_string()) {
    use.name = std::string(value.as_string());
    return use;
  }
  if (!value.is_object()) {
    problems.push_back({at, fmt::format("is {}", type_of(value)), "github:read, or {name: github:read, token_ref: …}"});
    return std::nullopt;
  }
  ObjectReader reader(value, at, problems);
  static constexpr auto known = std::to_array<std::string_view>({"name", "token_ref", "repositories", "host"});
  reader.check_keys(known);
  if (!reader.has("name")) reader.problem("name", "is missing", "name: github:read");
  use.name = reader.string("name").value_or("");
  use.token_ref = reader.string("token_ref").value_or("");
  use.host = reader.string("host").value_or("");
  if (const auto names = reader.strings("repositories")) {
    if (names->empty() || names->size() > max_repositories)
      reader.problem("repositories", fmt::format("needs 1 to {} names", max_repositories),
                     "repositories: [owner/name]");
    for (const std::string& name : *names)
      if (!is_repository(name))
        reader.problem("repositories", fmt::format("{} is not owner/name", in_quotes(name)),
                       "repositories: [owner/name]");
    use.repositories = *names;
  }
  if (use.name.empty()) return std::nullopt;
  return use;
}

bool has_same_credential(const Route& one, const Route& other) {
  return one.auth == other.auth;
}

}  // namespace

const std::vector<Pack>& all_packs() {
  return loaded().packs;
}

std::string pack_names() {
  std::string names;
  for (const Pack& pack : all_packs()) names += (names.empty() ? "" : ", ") + pack.name;
  return names;
}

std::vector<Route> expand_pack(const PackUse& use, const std::string& path, Problems& problems) {
  std::vector<Route> routes;
  const auto found = std::ranges::find(all_packs(), use.name, &Pack::name);
  if (found == all_packs().end()) {
    problems.push_back({path, fmt::format("there is no pack {}", in_quotes(use.name)), pack_names()});
    return routes;
  }
  if (!use.host.empty() && found->host.empty()) {
    problems.push_back({path + ".host", fmt::format("{} has its own hosts", use.name), "remove the key"});
    return routes;
  }
  const json::object& document = loaded().documents[static_cast<std::size_t>(found - all_packs().begin())];
  const json::array* list = find_array(document, "routes");
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    json::object route = (*list)[i].as_object();
    const std::string scheme = get_string(route, "token");
    route.erase("token");
    if (!scheme.empty() && !use.token_ref.empty())
      route["auth"] = json::object{{"scheme", scheme}, {"token_ref", use.token_ref}};
    if (!use.host.empty() && get_string(route, "host") == found->host) route["host"] = use.host;
    fill_slots(route, use.repositories);
    Route& added = routes.emplace_back();
    read_route(route, path, added, problems);
    added.origin = "pack:" + use.name;
  }
  return routes;
}

std::vector<PackUse> read_automatic(const json::value& value, const std::string& path, Problems& problems) {
  std::vector<PackUse> rules;
  const json::array* list = value.if_array();
  if (list == nullptr) {
    problems.push_back({path, fmt::format("is {}, not a list", type_of(value)), "auto: [{pack: github:read}]"});
    return rules;
  }
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string at = indexed(path, i);
    const json::object* rule = (*list)[i].if_object();
    if (rule == nullptr || !rule->contains("pack")) {
      problems.push_back({at, "is not a rule", "{pack: github:read}"});
      continue;
    }
    if (rule->contains("name") || rule->contains("token_ref")) {
      problems.push_back(
          {at, "a rule has 'pack', and of its options 'repositories' and 'host'", "{pack: github:read}"});
      continue;
    }
    json::object document{{"name", rule->at("pack")}};
    for (const auto& member : *rule)
      if (member.key() != "pack") document[member.key()] = member.value();
    const auto use = read_use(document, at, problems);
    if (!use) continue;
    static_cast<void>(expand_pack(*use, at, problems));  // an unknown pack is found now
    rules.push_back(*use);
  }
  return rules;
}

void read_packs(const json::value& value, const std::string& path, Egress& egress, Problems& problems) {
  const json::array* list = value.if_array();
  if (list == nullptr) {
    problems.push_back({path, fmt::format("is {}, not a list", type_of(value)), "packs: [github:read]"});
    return;
  }
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string at = indexed(path, i);
    const auto use = read_use((*list)[i], at, problems);
    if (!use) continue;
    for (Route& route : expand_pack(*use, at, problems)) {
      const auto there = std::ranges::find(egress.routes, route.host, &Route::host);
      if (there == egress.routes.end()) {
        egress.routes.push_back(std::move(route));
      } else if (!there->origin.starts_with("pack:")) {
        continue;  // what the bottle says of a host itself stands
      } else if (!has_same_credential(*there, route)) {
        problems.push_back(
            {at, fmt::format("{} and {} give {} different credentials", there->origin.substr(5), use->name, route.host),
             "give both packs the same token_ref"});
      } else {
        std::ranges::move(route.matches, std::back_inserter(there->matches));
        there->refuse_all = there->matches.empty();
        there->git_fetch = there->git_fetch || route.git_fetch;
      }
    }
  }
}

}  // namespace bot_bottle::policy
