#include "core/plugins/registry.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "core/base/text.hpp"
#include "core/plugins/adapters.hpp"
#include "core/plugins/child.hpp"
#include "core/plugins/describe.hpp"
#include "core/plugins/loaded.hpp"
#include "core/plugins/trust.hpp"

namespace bot_bottle::plugins {

struct Registry::State {
  HostOptions options;
  TrustStore trust;
  std::vector<Description> plugins;
  std::map<std::string, std::unique_ptr<Backend>> backends;
  std::map<std::string, std::unique_ptr<Provider>> providers;
  std::map<std::string, std::unique_ptr<DeployKeyProvisioner>> deploy_keys;
  std::map<std::string, std::set<std::string>> grants;  // plugin → host variables
  std::map<std::string, std::unique_ptr<Freezer>> freezers;

  void discover_again() {
    trust = TrustStore::load(options.home.trust());
    plugins = discover(options.home, options.installation, trust, options.trust_all);
  }

  /// The first that provides it and is not shadowed; one that may be used before one that may not.
  const Description* find(const std::string& kind, const std::string& name) const {
    const std::string wanted = kind + ":" + name;
    const Description* second_best = nullptr;
    for (const Description& plugin : plugins) {
      if (plugin.state == Description::State::shadowed || plugin.state == Description::State::not_described) continue;
      if (std::ranges::find(plugin.provides, wanted) == plugin.provides.end()) continue;
      if (plugin.state == Description::State::ready) return &plugin;
      if (second_best == nullptr) second_best = &plugin;
    }
    return second_best;
  }

  [[noreturn]] void not_found(const std::string& kind, const std::string& name) const {
    std::vector<std::string> names;
    for (const Description& plugin : plugins) {
      if (plugin.state == Description::State::shadowed) continue;
      for (const std::string& item : plugin.provides) {
        if (split_provided(item).first == kind) names.push_back(split_provided(item).second);
      }
    }
    std::ranges::sort(names);
    std::string hint;
    if (const auto near = nearest(name, names)) {
      hint = "did you mean " + *near + "?";
    } else if (!names.empty()) {
      hint = "one of: " + join(names, ", ") + "; see bot-bottle " +
             (kind == "deploy-key" ? "plugin list" : "list " + kind + "s");
    } else {
      hint = "no plugin offers one: see bot-bottle plugin list";
    }
    Error error = make_error(ErrorKind::not_found, "there is no " + kind + " called " + name, hint);
    // A plugin that cannot be read may be the one that was meant.
    for (const Description& plugin : plugins) {
      if (plugin.state != Description::State::refused || !plugin.provides.empty()) continue;
      error.details +=
          (error.details.empty() ? "" : "\n") + ("the plugin " + plugin.name + " is not usable: " + plugin.reason);
    }
    throw Failure(std::move(error));
  }

  LoadedPlugin& load(const Description& plugin) {
    if (plugin.state != Description::State::ready && plugin.state != Description::State::untrusted) {
      throw Failure(make_error(ErrorKind::refused, "the plugin " + plugin.name + " is not used: " + plugin.reason,
                               plugin.fix.empty()
                                   ? "build it for this version, or take away " + plugin.directory.string()
                                   : "run: " + plugin.fix));
    }
    CheckedLibrary library = open_library(plugin.directory, plugin.library);
    // Decided on the descriptor that is loaded, not on what discovery saw.
    const bool by_location = plugin.location == Description::Location::installed;
    if (!by_location && !options.trust_all && !trust.trusts(plugin.name, library.sha256)) {
      if (!options.ask_trust || !options.ask_trust(plugin, library.sha256)) {
        const std::string why =
            trust.find(plugin.name) == nullptr ? "is not trusted" : "has changed since it was trusted";
        throw Failure(make_error(ErrorKind::refused,
                                 "the plugin " + plugin.name + " in " + plugin.directory.string() + " " + why,
                                 "look at it, then run: bot-bottle plugin trust " + plugin.name));
      }
      trust.record({plugin.name, library.sha256, library.path.string(), plugin.version, {}});
    }
    return load_plugin(plugin, std::move(library), options);
  }
};

Registry::Registry(HostOptions options) : state_(std::make_unique<State>()) {
  state_->options = std::move(options);
  // What was granted, and from nowhere but the operator's environment.
  if (!state_->options.find_secret)
    state_->options.find_secret = [state = state_.get()](const std::string& plugin, const std::string& name) {
      const auto granted = state->grants.find(plugin);
      if (granted == state->grants.end() || !granted->second.contains(name)) return std::optional<std::string>();
      return environment(name);
    };
  state_->discover_again();
}

Registry::~Registry() {
  state_->backends.clear();
  state_->providers.clear();
  state_->deploy_keys.clear();
  state_->freezers.clear();
  forget_options(state_->options);
}

const std::vector<Description>& Registry::list() const {
  return state_->plugins;
}

std::vector<std::string> Registry::names_of(const std::string& kind) const {
  std::set<std::string> names;
  for (const Description& plugin : state_->plugins) {
    if (plugin.state != Description::State::ready) continue;
    for (const std::string& item : plugin.provides) {
      if (split_provided(item).first == kind) names.insert(split_provided(item).second);
    }
  }
  return {names.begin(), names.end()};
}

const Description& Registry::description_of(const std::string& kind, const std::string& name) const {
  const Description* plugin = state_->find(kind, name);
  if (plugin == nullptr) state_->not_found(kind, name);
  return *plugin;
}

Backend& Registry::backend(const std::string& name) {
  auto& slot = state_->backends[name];
  if (!slot) slot = adapt_backend(state_->load(description_of("backend", name)), name);
  return *slot;
}

Provider& Registry::provider(const std::string& name) {
  auto& slot = state_->providers[name];
  if (!slot) slot = adapt_provider(state_->load(description_of("provider", name)), name);
  return *slot;
}

DeployKeyProvisioner& Registry::deploy_key(const std::string& name) {
  auto& slot = state_->deploy_keys[name];
  if (!slot) slot = adapt_deploy_key(state_->load(description_of("deploy-key", name)), name);
  return *slot;
}

void Registry::grant_secret(const std::string& plugin, const std::string& variable) {
  state_->grants[plugin].insert(variable);
}

Freezer& Registry::freezer(const std::string& name) {
  auto& slot = state_->freezers[name];
  if (!slot) slot = adapt_freezer(state_->load(description_of("freezer", name)), name);
  return *slot;
}

void Registry::trust(const std::string& name_or_path) {
  const bool is_path = name_or_path.find('/') != std::string::npos;
  const Description* found = nullptr;
  for (const Description& plugin : state_->plugins) {
    if (!is_path && plugin.name == name_or_path && plugin.location == Description::Location::contrib) found = &plugin;
    if (found != nullptr) break;
  }
  if (found == nullptr && !is_path) {
    for (const Description& plugin : state_->plugins) {
      if (plugin.name != name_or_path) continue;
      throw Failure(make_error(ErrorKind::failed_precondition,
                               "the plugin " + name_or_path + " is installed and trusted already"));
    }
    std::vector<std::string> names;
    for (const Description& plugin : state_->plugins) names.push_back(plugin.name);
    const auto near = nearest(name_or_path, names);
    throw Failure(make_error(ErrorKind::not_found, "there is no plugin called " + name_or_path,
                             near ? "did you mean " + *near + "?" : "see bot-bottle plugin list"));
  }
  std::filesystem::path directory;
  std::string library;
  if (found != nullptr) {
    if (found->state == Description::State::refused) {
      throw Failure(make_error(ErrorKind::refused, "the plugin " + found->name + " cannot be trusted: " + found->reason,
                               found->fix.empty() ? "" : "run: " + found->fix));
    }
    directory = found->directory;
    library = found->library;
  } else {
    std::filesystem::path path = std::filesystem::absolute(name_or_path).lexically_normal();
    std::error_code code;
    if (std::filesystem::is_directory(path, code)) {
      const Description described =
          describe_directory(path.has_filename() ? path : path.parent_path(), Description::Location::contrib);
      if (described.state != Description::State::ready) {
        throw Failure(make_error(ErrorKind::refused, "cannot be trusted: " + described.reason,
                                 described.fix.empty() ? "" : "run: " + described.fix));
      }
      directory = described.directory;
      library = described.library;
    } else {
      directory = path.parent_path();
      library = path.filename().string();
    }
  }
  const CheckedLibrary checked = open_library(directory, library);
  const Description described = describe_directory(directory, Description::Location::contrib);
  TrustEntry entry{described.name, checked.sha256, checked.path.string(), described.version, {}};
  if (described.state == Description::State::not_described) {
    // The operator asked for this library by name, so it may be opened to be asked what it is: in a child.
    const InspectedLibrary inspected = inspect_library(directory, library, state_->options);
    entry.name = inspected.name;
    entry.version = inspected.version;
    entry.provides = inspected.provides;
  } else if (described.library != library) {
    throw Failure(make_error(ErrorKind::invalid_argument,
                             checked.path.string() + " is not the library that plugin.toml names",
                             "run: bot-bottle plugin trust " + (directory / described.library).string()));
  }
  state_->trust.record(std::move(entry));
  state_->discover_again();
}

HostOptions& Registry::options() {
  return state_->options;
}

}  // namespace bot_bottle::plugins
