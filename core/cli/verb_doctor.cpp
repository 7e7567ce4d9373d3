// `doctor`: each backend, program, kernel feature and permission: ok, or missing and how to fix it.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "core/base/error.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/cli/host_facts.hpp"
#include "core/cli/show.hpp"
#include "core/cli/verbs.hpp"
#include "core/plugins/registry.hpp"

namespace bot_bottle::cli {
namespace {

struct BackendFacts {
  std::vector<Fact> facts;
  std::vector<Fact> plugins;  // those that may not or cannot run
  json::array probes;
  bool any_available = false;
};

/// A backend that cannot be loaded or probed is a line of its own and hides no other.
BackendFacts probe_backends(Context& context) {
  BackendFacts result;
  plugins::Registry& registry = context.registry();
  const auto ask = std::exchange(registry.options().ask_trust, {});  // looking around asks no questions
  for (const std::string& name : registry.names_of("backend")) {
    Fact fact{.group = "backends", .name = name, .verdict = Verdict::optional_missing, .detail = {}, .fix = {}};
    try {
      const json::object probe = registry.backend(name).probe();
      json::object item = probe;
      item["name"] = name;
      result.probes.emplace_back(std::move(item));
      const auto features = get_strings(probe, "features");
      if (get_bool(probe, "available", false)) {
        fact.verdict = Verdict::ok;
        result.any_available = true;
        fact.detail = get_string(probe, "version");
        if (!features.empty()) fact.detail += (fact.detail.empty() ? "" : "; ") + join(features, ", ");
      } else {
        fact.detail = get_string(probe, "reason", "not available");
        fact.fix = get_string(probe, "fix");
      }
    } catch (const Failure& failure) {
      fact.detail = failure.error().message;
      fact.fix = failure.error().hint;
      result.probes.push_back({{"name", name}, {"available", false}, {"reason", fact.detail}, {"fix", fact.fix}});
    }
    result.facts.push_back(std::move(fact));
  }
  registry.options().ask_trust = ask;
  for (const plugins::Description& plugin : registry.list()) {
    if (plugin.state == plugins::Description::State::ready || plugin.state == plugins::Description::State::shadowed)
      continue;
    const bool ours = plugin.location == plugins::Description::Location::installed;
    result.plugins.push_back({.group = "plugins",
                              .name = plugin.name.empty() ? plugin.directory.filename().string() : plugin.name,
                              .verdict = ours ? Verdict::missing : Verdict::optional_missing,
                              .detail = plugin.reason,
                              .fix = plugin.fix.empty() && ours ? "reinstall bot-bottle" : plugin.fix});
  }
  if (!result.any_available)
    for (Fact& fact : result.facts) fact.verdict = Verdict::missing;
  if (result.facts.empty())
    result.facts.push_back({.group = "backends",
                            .name = "any",
                            .verdict = Verdict::missing,
                            .detail = "no backend plugin is installed",
                            .fix = "reinstall bot-bottle; looked in " + context.installation().plugins.string()});
  return result;
}

std::vector<Fact> installation_facts(Context& context) {
  std::vector<Fact> facts;
  for (const char* name : {"bot-bottle-sidecar", "bottle-init", "bottle-keeper"}) {
    const std::filesystem::path file = context.installation().libexec / name;
    const bool there = ::access(file.c_str(), X_OK) == 0;
    facts.push_back({.group = "installation",
                     .name = name,
                     .verdict = there ? Verdict::ok : Verdict::missing,
                     .detail = there ? short_path(file) : "not in " + short_path(file.parent_path()),
                     .fix = there ? "" : "reinstall bot-bottle"});
  }
  const std::filesystem::path home = context.home().root;
  Fact fact{.group = "installation", .name = "home", .verdict = Verdict::ok, .detail = short_path(home), .fix = {}};
  struct stat status {};
  if (::stat(home.c_str(), &status) != 0) {
    fact.verdict = Verdict::optional_missing;
    fact.detail += ": not there yet";
    fact.fix = "bot-bottle init";
  } else if (status.st_uid != ::geteuid()) {
    fact.verdict = Verdict::missing;
    fact.detail += fmt::format(": belongs to uid {}", status.st_uid);
    fact.fix = fmt::format("chown -R {} {}", ::geteuid(), home.string());
  } else if ((status.st_mode & 0022U) != 0) {
    // Whoever can write here grants powers to agents (spec 01).
    fact.verdict = Verdict::missing;
    fact.detail += ": others can write in it";
    fact.fix = "chmod go-w " + home.string();
  } else if (::access(home.c_str(), W_OK) != 0) {
    fact.verdict = Verdict::missing;
    fact.detail += ": cannot be written";
    fact.fix = "chmod u+w " + home.string();
  }
  facts.push_back(std::move(fact));
  return facts;
}

std::string_view name_of(Verdict verdict) {
  return verdict == Verdict::ok ? "ok" : verdict == Verdict::missing ? "missing" : "optional";
}

int examine(Context& context) {
  BackendFacts backends = probe_backends(context);
  std::vector<Fact> facts = std::move(backends.facts);
  for (Fact& fact : backends.plugins) facts.push_back(std::move(fact));
  for (auto* part : {&program_facts, &kernel_facts})
    for (Fact& fact : (*part)()) facts.push_back(std::move(fact));
  for (Fact& fact : installation_facts(context)) facts.push_back(std::move(fact));
  std::size_t missing = 0;
  for (const Fact& fact : facts)
    if (fact.verdict == Verdict::missing) ++missing;
  const int code = !backends.any_available ? exit_code_of(ErrorKind::unavailable) : missing > 0 ? 1 : 0;
  if (context.output.json) {
    json::array items;
    for (const Fact& fact : facts)
      items.push_back({{"group", fact.group},
                       {"name", fact.name},
                       {"verdict", name_of(fact.verdict)},
                       {"detail", fact.detail},
                       {"fix", fact.fix}});
    context.print_json({{"schema", "bot-bottle.doctor/1"},
                        {"ok", code == 0},
                        {"facts", std::move(items)},
                        {"backends", std::move(backends.probes)}});
    return code;
  }
  std::string group;
  for (const Fact& fact : facts) {
    if (fact.group != group) {
      if (!group.empty()) context.out("");
      group = fact.group;
      context.out(context.paint(group, Tone::strong));
    }
    const Tone tone = fact.verdict == Verdict::ok        ? Tone::good
                      : fact.verdict == Verdict::missing ? Tone::bad
                                                         : Tone::warning;
    const std::string name = escape_untrusted(fact.name, 40);
    std::string line = "  " + context.paint(fmt::format("{:<8}", name_of(fact.verdict)), tone) + "  " + name;
    line.append(name.size() < 18 ? 18 - name.size() : 0, ' ');
    context.out(line + "  " + escape_untrusted(fact.detail, 300));
    if (fact.verdict != Verdict::ok && !fact.fix.empty())
      context.out("            fix: " + escape_untrusted(fact.fix, 300));
  }
  context.out("");
  if (!backends.any_available)
    context.out(context.paint("no backend is available: nothing can run here", Tone::bad));
  else if (missing > 0)
    context.out(context.paint(fmt::format("{} missing", missing), Tone::bad));
  else
    context.out(context.paint("ready", Tone::good));
  return code;
}

}  // namespace

void add_doctor(CLI::App& app, Context& context) {
  CLI::App* verb =
      add_verb(app, "doctor", "Whether this machine can run bottles, and what to fix", "Look", "bot-bottle doctor");
  add_json_option(*verb, context);
  verb->callback([&context] { context.action = [&context] { return examine(context); }; });
}

}  // namespace bot_bottle::cli
