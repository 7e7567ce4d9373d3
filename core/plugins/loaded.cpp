#include "core/plugins/loaded.hpp"

#include <algorithm>
#include <cstdlib>
#include <list>
#include <map>

#include "core/plugins/describe.hpp"
#include "core/plugins/library.hpp"
#include "core/plugins/tables.hpp"

namespace bot_bottle::plugins {
namespace {

/// Never destroyed: plugins keep pointers into it until the process has ended.
std::list<LoadedPlugin>& loaded() {
  static auto* const list = new std::list<LoadedPlugin>;
  return *list;
}

[[noreturn]] void report(const Description& described, const std::vector<std::string>& faults,
                         const std::string& hint = {}) {
  Error error =
      make_error(ErrorKind::failed_precondition, "plugin " + described.name + " cannot be used: " + faults.front(),
                 hint.empty() ? "bot-bottle plugin check " + described.directory.string() : hint);
  if (faults.size() > 1) {
    error.message = "plugin " + described.name + " cannot be used: " + std::to_string(faults.size()) + " faults";
    for (const std::string& fault : faults) error.details += (error.details.empty() ? "" : "\n") + fault;
  }
  throw Failure(std::move(error));
}

/// A table of an interface that is named in plugin.toml, or that is simply there.
template <typename Table>
void take_table(const bb_plugin& entry, const char* id, bool promised, std::optional<Table>& out,
                std::vector<std::string>& faults) {
  const void* theirs = entry.get_interface(id);
  if (theirs == nullptr && !promised) return;
  Table table{};
  const auto found = table_faults(theirs, table);
  if (found.empty()) out = table;
  faults.insert(faults.end(), found.begin(), found.end());
}

void compare(const Description& described, const bb_plugin& entry, std::vector<std::string>& faults) {
  const auto lie = [&](const std::string& what, const std::string& said, const std::string& is) {
    if (said != is) faults.push_back("plugin.toml says " + what + " " + said + ", the library says " + is);
  };
  lie("name", described.name, entry.name);
  lie("version", described.version, entry.version);
  lie("abi", described.abi, std::to_string(entry.abi_major) + "." + std::to_string(entry.abi_minor));
}

/// `init`, with only `log` at hand. What it throws stops here (tests/abi: bad_init_throws).
void initialise(LoadedPlugin& plugin, std::vector<std::string>& faults) {
  plugin.host->set_initialising(true);
  try {
    if (const bb_status status = plugin.entry.init(plugin.host->raw()); status != BB_OK) {
      faults.push_back("init failed with status " + std::to_string(status));
    }
  } catch (const std::exception& error) {
    faults.push_back(std::string("init threw \"") + error.what() + "\"");
  } catch (...) {
    faults.emplace_back("init threw something that is not an exception");
  }
  plugin.host->set_initialising(false);
  if (faults.empty() && plugin.entry.deinit != nullptr) {
    // Registered after the library's own destructors, so it runs before them.
    static std::vector<void (*)()> endings;
    endings.push_back(plugin.entry.deinit);
    std::atexit([] {
      const auto ending = endings.back();
      endings.pop_back();
      ending();
    });
  }
}

}  // namespace

bool LoadedPlugin::offers(const std::string& kind) const {
  if (kind == "backend") return backend.has_value();
  if (kind == "provider") return provider.has_value();
  if (kind == "freezer") return freezer.has_value();
  if (kind == "deploy-key") return deploy_key.has_value();
  return true;  // a third party's kind: nobody here asks for it
}

std::vector<std::string> LoadedPlugin::offered() const {
  std::vector<std::string> out;
  for (const char* kind : {"backend", "provider", "freezer", "deploy-key"}) {
    if (offers(kind)) out.push_back(std::string(kind) + ":" + name);
  }
  return out;
}

LoadedPlugin& load_plugin(const Description& described, CheckedLibrary library, HostOptions& options) {
  // By content and name, so that a second registry finds what the first has loaded: init runs once in a process.
  std::vector<std::string> faults;
  for (LoadedPlugin& plugin : loaded()) {
    if (plugin.sha256 != library.sha256 || plugin.name != described.name) continue;
    // The same library under another plugin.toml: what that one says is compared, too.
    if (!described.abi.empty()) compare(described, plugin.entry, faults);
    for (const std::string& item : described.provides) {
      const std::string kind = split_provided(item).first;
      if (!plugin.offers(kind)) faults.push_back("offers no " + interface_id_of(kind));
    }
    if (!faults.empty()) report(described, faults);
    plugin.host->set_options(&options);
    return plugin;
  }
  LoadedPlugin plugin;
  plugin.sha256 = library.sha256;
  const void* entry = nullptr;
  try {
    entry = load_entry(std::move(library));
  } catch (const Failure& failure) {
    report(described, {failure.error().message}, failure.error().hint);
  }
  faults = entry_faults(entry, plugin.entry);
  if (!faults.empty()) report(described, faults);
  plugin.name = described.provides.empty() ? plugin.entry.name : described.name;
  plugin.version = plugin.entry.version;
  const bool is_described = !described.abi.empty();
  if (is_described) compare(described, plugin.entry, faults);
  plugin.host = std::make_unique<PluginHost>(plugin.name, described.directory);
  plugin.host->set_options(&options);
  // Its tables are there before init (the entry is constant), but get_interface is the plugin's code: init comes first.
  initialise(plugin, faults);
  const auto promised = [&](std::string_view kind) {
    return std::ranges::any_of(described.provides,
                               [&](const std::string& item) { return split_provided(item).first == kind; });
  };
  try {
    take_table(plugin.entry, BB_INTERFACE_BACKEND, promised("backend"), plugin.backend, faults);
    take_table(plugin.entry, BB_INTERFACE_PROVIDER, promised("provider"), plugin.provider, faults);
    take_table(plugin.entry, BB_INTERFACE_FREEZER, promised("freezer"), plugin.freezer, faults);
    take_table(plugin.entry, BB_INTERFACE_DEPLOY_KEY, promised("deploy-key"), plugin.deploy_key, faults);
  } catch (...) {
    faults.emplace_back("get_interface threw across the boundary");
  }
  if (!faults.empty()) {
    plugin.host->set_options(nullptr);
    // The library stays, and may have kept its pointer to the host: so does the host.
    static auto* const buried = new std::list<std::unique_ptr<PluginHost>>;
    buried->push_back(std::move(plugin.host));
    report(described, faults);
  }
  return loaded().emplace_back(std::move(plugin));
}

void forget_options(const HostOptions& options) {
  for (LoadedPlugin& plugin : loaded()) {
    plugin.host->with_options([&](const HostOptions* current) {
      if (current == &options) plugin.host->set_options(nullptr);
    });
  }
}

}  // namespace bot_bottle::plugins
