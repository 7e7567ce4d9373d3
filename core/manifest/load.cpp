// One agent on its bottle: the public `load` and `load_bottle`.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "core/manifest/merge.hpp"
#include "core/manifest/scalars.hpp"
#include "core/manifest/source.hpp"

namespace bot_bottle::manifest {
namespace {

/// "~/x" for what is below the operator's home.
std::string short_path(const std::filesystem::path& path) {
  const std::string text = path.string();
  const auto home = operator_home();
  if (!home || home->string().size() < 2 || !text.starts_with(home->string() + "/")) return text;
  return "~" + text.substr(home->string().size());
}

/// Says that a repository's bottle of that name was seen and is not read; empty when there is none.
std::string ignored_bottle(std::string_view name, const Sources& sources) {
  if (!sources.repository) return {};
  const std::filesystem::path file = *sources.repository / ".bot-bottle" / "bottles" / (std::string(name) + ".md");
  std::error_code code;
  if (!std::filesystem::exists(std::filesystem::symlink_status(file, code))) return {};
  return "\n" + short_path(file) + " is not read: powers come from your home. Read it, then copy it to " +
         short_path(sources.home.bottles());
}

/// The form of spec 02, Errors: where was looked, what was meant, what next.
[[noreturn]] void throw_unknown(std::string_view what, std::string_view name, const Listing& listing,
                                const Sources& sources) {
  const std::vector<NamedFile>& files = listing.files;
  const std::vector<Fault>& skipped = listing.warnings;
  const bool is_agent = what == "agent";
  const std::vector<std::string> names = names_of(files);
  Error error = make_error(ErrorKind::not_found, "no " + std::string(what) + " named " + in_quotes(name),
                           names.empty() ? "bot-bottle init" : "bot-bottle list " + std::string(what) + "s");
  error.details = "looked in: " + short_path(is_agent ? sources.home.agents() : sources.home.bottles());
  if (is_agent && sources.repository)
    error.details += ", " + short_path(*sources.repository / ".bot-bottle" / "agents");
  if (const auto near = nearest(name, names))
    error.details += "\ndid you mean: " + *near;
  else if (name.ends_with(".md") && std::ranges::find(names, name.substr(0, name.size() - 3)) != names.end())
    error.details += "\ndid you mean: " + std::string(name.substr(0, name.size() - 3));
  // A file of that name which is none of ours is what the person is looking at.
  for (const Fault& warning : skipped)
    if (warning.place.file.stem() == name)
      error.details += "\n" + warning.place.file.filename().string() + " " + warning.message;
  if (!is_agent) error.details += ignored_bottle(name, sources);
  throw Failure(std::move(error));
}

std::string chain_text(const std::vector<std::string>& names, const std::string& last) {
  return join(names, " → ") + " → " + last;
}

void overlay(const AgentFile& agent, Manifest& manifest) {
  const auto set = [&manifest](std::string& field, const std::optional<std::string>& value, const char* path,
                               const Place& place) {
    if (!value) return;
    field = *value;
    manifest.provenance[path] = place;
  };
  set(manifest.git_user.name, agent.git_name, "git.user.name", agent.git_name_place);
  set(manifest.git_user.email, agent.git_email, "git.user.email", agent.git_email_place);
  for (const auto& [name, place] : agent.skills) {
    if (std::ranges::find(manifest.skills, name) != manifest.skills.end()) continue;
    manifest.provenance[index_path("skills", manifest.skills.size())] = place;
    manifest.skills.push_back(name);
  }
}

}  // namespace

const NamedFile* find_named(const std::vector<NamedFile>& files, std::string_view name) {
  const auto found = std::ranges::find(files, name, &NamedFile::name);
  return found == files.end() ? nullptr : &*found;
}

std::vector<std::string> names_of(const std::vector<NamedFile>& files) {
  std::vector<std::string> names;
  for (const NamedFile& file : files) names.push_back(file.name);
  return names;
}

Document open_document(const NamedFile& file, Faults& faults) {
  // O_NONBLOCK: a FIFO of that name must not hold us; O_NOFOLLOW: a repository's link must not lead to the operator's
  // files.
  const int follow = file.origin == Origin::repository ? O_NOFOLLOW : 0;
  const UniqueFd fd(::open(file.file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | follow));
  const Place place{file.file, 0, 0};
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) {
    faults.error(place, {}, error_from_errno("cannot open the file", errno).message);
    return {};
  }
  if (!S_ISREG(status.st_mode)) {
    faults.error(place, {}, "not a regular file");
    return {};
  }
  if (status.st_size > static_cast<off_t>(max_file_bytes)) {
    faults.error(place, {}, "the file is larger than 1 MiB");
    return {};
  }
  const auto text = read_all(fd.get(), max_file_bytes);
  if (!text) {
    faults.error(place, {}, "cannot read the file: " + text.error().message);
    return {};
  }
  return read_document(*text, file.file, faults);
}

namespace {

/// The next bottle of the chain; null at its end, or after a fault.
const NamedFile* parent_of(const NamedFile& child, const Node& root, const std::vector<NamedFile>& bottles,
                           const std::vector<std::string>& names, Faults& faults) {
  const auto extends = read_extends(root, faults);
  if (!extends) return nullptr;
  const auto& [parent, place] = *extends;
  const NamedFile* found = find_named(bottles, parent);
  if (parent == child.name)
    faults.error(place, "extends", "the bottle extends itself: " + chain_text(names, parent));
  else if (std::ranges::find(names, parent) != names.end())
    faults.error(place, "extends", "the bottles extend each other in a circle: " + chain_text(names, parent));
  else if (found == nullptr)
    faults.error(place, "extends", "no bottle " + in_quotes(parent) + ": " + chain_text(names, parent),
                 suggestion(parent, names_of(bottles), "bottles"));
  else
    return found;
  return nullptr;
}

}  // namespace

Chain read_chain(const std::vector<NamedFile>& bottles, const NamedFile& bottle, Faults& faults) {
  Chain chain;
  std::vector<Node> roots;
  chain.complete = true;
  for (const NamedFile* next = &bottle; next != nullptr;) {
    chain.names.push_back(next->name);
    Document document = open_document(*next, faults);
    if (!document.usable) {
      chain.complete = false;
      break;
    }
    const std::size_t read = faults.errors();
    next = parent_of(*next, document.root, bottles, chain.names, faults);
    if (faults.errors() > read) chain.complete = false;
    roots.push_back(std::move(document.root));
  }
  if (roots.empty()) return chain;
  Node merged = std::move(roots.back());
  for (roots.pop_back(); !roots.empty(); roots.pop_back()) merged = merge(std::move(merged), std::move(roots.back()));
  chain.root = std::move(merged);
  return chain;
}

bool load_into(Manifest& manifest, const std::vector<NamedFile>& bottles, const NamedFile& bottle, Faults& faults) {
  manifest.bottle = bottle.name;
  Chain chain = read_chain(bottles, bottle, faults);
  manifest.bottle_chain = std::move(chain.names);
  if (!chain.root) return false;
  // What can be read is checked all the same: all faults at once.
  faults.set_partial(!chain.complete);
  read_bottle(*chain.root, manifest, faults);
  faults.set_partial(false);
  return chain.complete;
}

Manifest load(const Sources& sources, const std::string& agent_name,
              const std::optional<std::string>& bottle_override) {
  Faults faults;
  Listing agents = list_agents(sources);
  const NamedFile* file = find_named(agents.files, agent_name);
  if (file == nullptr) throw_unknown("agent", agent_name, agents, sources);
  for (Fault& warning : agents.warnings) faults.add(std::move(warning));

  Manifest manifest;
  manifest.agent = agent_name;
  manifest.agent_file = file->file;
  manifest.agent_origin = file->origin;
  const Document document = open_document(*file, faults);
  AgentFile agent = read_agent(document, faults);
  const Listing bottles = list_bottles(sources);
  const NamedFile* bottle = nullptr;
  if (bottle_override) {
    bottle = find_named(bottles.files, *bottle_override);
    if (bottle == nullptr) throw_unknown("bottle", *bottle_override, bottles, sources);
  } else if (document.usable && !agent.bottle) {
    std::string hint = "add bottle: NAME, or start with --bottle NAME";
    if (!bottles.files.empty()) hint += " (" + suggestion({}, names_of(bottles.files), "bottles") + ")";
    faults.error({file->file, 1, 1}, "bottle", "is missing", std::move(hint));
  } else if (agent.bottle && !agent.bottle->empty()) {
    bottle = find_named(bottles.files, *agent.bottle);
    if (bottle == nullptr) {
      std::string hint = suggestion(*agent.bottle, names_of(bottles.files), "bottles");
      if (hint.empty()) hint = "create " + (sources.home.bottles() / (*agent.bottle + ".md")).string();
      hint += ignored_bottle(*agent.bottle, sources);
      faults.error(agent.bottle_place, "bottle", "no bottle " + in_quotes(*agent.bottle), std::move(hint));
    }
  }
  if (bottle != nullptr) load_into(manifest, bottles.files, *bottle, faults);
  if (faults.has_errors()) throw_faults("agent " + in_quotes(agent_name), faults.take());
  manifest.prompt = std::move(agent.prompt);
  manifest.model = std::move(agent.model);
  if (!bottle_override) manifest.provenance["bottle"] = agent.bottle_place;
  manifest.provenance["prompt"] = document.body_begin.place();
  overlay(agent, manifest);
  manifest.warnings = faults.take();
  return manifest;
}

Manifest load_bottle(const Sources& sources, const std::string& bottle_name) {
  Faults faults;
  const Listing bottles = list_bottles(sources);
  const NamedFile* bottle = find_named(bottles.files, bottle_name);
  if (bottle == nullptr) throw_unknown("bottle", bottle_name, bottles, sources);
  Manifest manifest;
  load_into(manifest, bottles.files, *bottle, faults);
  if (faults.has_errors()) throw_faults("bottle " + in_quotes(bottle_name), faults.take());
  manifest.warnings = faults.take();
  return manifest;
}

}  // namespace bot_bottle::manifest
