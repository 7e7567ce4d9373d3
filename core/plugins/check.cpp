#include "core/plugins/check.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "core/base/file.hpp"
#include "core/base/random.hpp"
#include "core/base/text.hpp"
#include "core/plugins/adapters.hpp"
#include "core/plugins/describe.hpp"
#include "core/plugins/exports.hpp"

namespace bot_bottle::plugins {
namespace {

constexpr std::chrono::minutes check_limit{10};

void run_checks(Checker& checker, const Description& described, HostOptions options, const std::string& slug) {
  std::vector<std::string> misbehaviour;
  options.ask_trust = nullptr;
  options.on_log = [&misbehaviour](std::uint32_t level, const std::string&, const std::string& text) {
    if (level == BB_LOG_MISBEHAVING) misbehaviour.push_back(text);
  };
  options.on_progress = nullptr;
  // Whatever a plugin asks for, it gets a value that we can find again.
  const std::string planted = "planted-" + random_base36(32);
  options.find_secret = [&planted](const std::string&, const std::string&) {
    return std::optional<std::string>(planted);
  };

  LoadedPlugin* plugin = nullptr;
  const bool loads = checker.check("the library loads and is what plugin.toml says", [&] {
    plugin = &load_plugin(described, open_library(described.directory, described.library), options);
    return std::string();
  });
  if (!loads) return;
  auto schemas = Schemas::load(options.installation.share / "schemas");
  if (!checker.check("the schemas are installed", [&] { return schemas ? std::string() : schemas.error().message; }))
    return;

  // A provider that takes the token from our environment, instead of naming it, shows it in its plan.
  ::setenv("CHECKED_TOKEN", planted.c_str(), 1);
  CheckContext context{checker, *schemas, options, planted, slug};
  for (const std::string& item : described.provides) {
    const auto [kind, name] = split_provided(item);
    if (kind == "backend") {
      std::unique_ptr<Backend> backend;
      if (checker.check(item + " can be created",
                        [&, name = name] { return backend = adapt_backend(*plugin, name), std::string(); })) {
        std::unique_ptr<Freezer> freezer;
        if (std::ranges::find(described.provides, "freezer:" + name) != described.provides.end())
          checker.check("freezer:" + name + " can be created",
                        [&, name = name] { return freezer = adapt_freezer(*plugin, name), std::string(); });
        context.freezer = freezer.get();
        check_backend(context, *backend);
        context.freezer = nullptr;
      }
    } else if (kind == "provider") {
      std::unique_ptr<Provider> provider;
      if (checker.check(item + " can be created",
                        [&, name = name] { return provider = adapt_provider(*plugin, name), std::string(); })) {
        check_provider(context, *provider);
      }
    } else if (kind == "deploy-key") {
      std::unique_ptr<DeployKeyProvisioner> provisioner;
      if (checker.check(item + " can be created",
                        [&, name = name] { return provisioner = adapt_deploy_key(*plugin, name), std::string(); }))
        check_deploy_key(context, *provisioner);
    } else if (kind == "freezer" &&
               std::ranges::find(described.provides, "backend:" + name) != described.provides.end()) {
      continue;  // checked with its backend
    } else {
      checker.not_run(item, "it has all required functions; there is no suite for this kind yet");
    }
  }
  checker.check("the plugin keeps the rules of plugin.h", [&] { return join(misbehaviour, "\n"); });
  forget_options(options);
}

}  // namespace

std::string schema_problems(const Schemas& schemas, const json::object& document, std::string_view tag) {
  return join(schemas.problems(json::value(document), tag), "\n");
}

std::string leaked_secrets(const CheckContext& context, const json::object& document) {
  const std::string text = to_text(document);
  if (text.find(context.planted) != std::string::npos) return "a secret's value is in the document";
  constexpr std::size_t shortest = 12;  // shorter values are words
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    const std::string_view pair = *variable;
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || pair.size() - equals - 1 < shortest) continue;
    const std::string name = to_upper(pair.substr(0, equals));
    const bool looks_secret =
        std::ranges::any_of(std::vector<std::string>{"TOKEN", "SECRET", "PASSWORD", "API_KEY", "APIKEY"},
                            [&](const std::string& word) { return name.find(word) != std::string::npos; });
    if (looks_secret && text.find(pair.substr(equals + 1)) != std::string::npos)
      return "the value of the host's $" + name + " is in the document";
  }
  return {};
}

/// Before it is loaded: stray weak symbols would be merged with those of other plugins.
CheckLine check_exports(const std::filesystem::path& library) {
  CheckLine line{"the library exports one symbol", CheckOutcome::failed, {}};
  const auto symbols = exported_symbols(library);
  if (!symbols) {
    if (symbols.error().kind == ErrorKind::unsupported) line.outcome = CheckOutcome::not_run;
    line.detail = symbols.error().message;
    return line;
  }
  std::vector<std::string> stray;
  for (const std::string& symbol : *symbols)
    if (symbol != "bb_plugin_entry") stray.push_back(symbol);
  if (stray.size() + 1 == symbols->size() && stray.empty()) {
    line.outcome = CheckOutcome::passed;
  } else if (stray.empty()) {
    line.detail = "bb_plugin_entry is not among its exports";
  } else {
    const std::size_t count = stray.size();
    constexpr std::size_t shown = 5;
    if (count > shown) stray.resize(shown);
    line.detail = "besides bb_plugin_entry it exports " + join(stray, ", ") +
                  (count > shown ? " and " + std::to_string(count - shown) + " more" : "") +
                  ": link with the version script of the SDK (plugin.version)";
  }
  return line;
}

std::vector<CheckLine> check_plugin(const std::filesystem::path& directory, const HostOptions& options) {
  std::vector<CheckLine> lines;
  std::filesystem::path absolute = std::filesystem::absolute(directory).lexically_normal();
  if (!absolute.has_filename()) absolute = absolute.parent_path();
  const Description described = describe_directory(absolute, Description::Location::contrib);
  if (described.state != Description::State::ready) {
    lines.push_back({"plugin.toml and permissions", CheckOutcome::failed,
                     described.reason + (described.fix.empty() ? "" : " (run: " + described.fix + ")")});
    return lines;
  }
  lines.push_back({"plugin.toml and permissions", CheckOutcome::passed, described.name + " " + described.version});
  lines.push_back(check_exports(absolute / described.library));
  const std::string slug = "check-" + random_base36(8);
  ChildReport report = run_in_child([&](Checker& checker) { run_checks(checker, described, options, slug); },
                                    check_limit, options.cancel_fd);
  // A child that was ended could not do it; its bottle ended with its lifeline.
  static_cast<void>(remove_tree(options.home.state_of(slug)));
  lines.insert(lines.end(), std::make_move_iterator(report.lines.begin()), std::make_move_iterator(report.lines.end()));
  return lines;
}

}  // namespace bot_bottle::plugins
