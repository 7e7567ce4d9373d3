// `doctor`: each backend, program, kernel feature and permission: ok, or missing and how to fix it.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "core/base/error.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/cli/home_facts.hpp"
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
  return facts;
}

std::string_view name_of(Verdict verdict) {
  return verdict == Verdict::ok ? "ok" : verdict == Verdict::missing ? "missing" : "optional";
}

struct Examined {
  std::vector<Fact> facts;
  json::array probes;
  bool any_backend = false;
  std::size_t missing = 0;
  /// Spec 02: nothing can run, or something that it needs is not there.
  [[nodiscard]] int code() const { return !any_backend || missing > 0 ? exit_code_of(ErrorKind::unavailable) : 0; }
};

Examined examine(Context& context) {
  BackendFacts backends = probe_backends(context);
  Examined result{
      .facts = std::move(backends.facts), .probes = std::move(backends.probes), .any_backend = backends.any_available};
  const auto add = [&result](std::vector<Fact> facts) {
    for (Fact& fact : facts) result.facts.push_back(std::move(fact));
  };
  add(std::move(backends.plugins));
  add(program_facts());
  add(kernel_facts());
  add(installation_facts(context));
  add(home_facts(context.home()));
  for (const Fact& fact : result.facts)
    if (fact.verdict == Verdict::missing) ++result.missing;
  return result;
}

json::array to_json(const std::vector<Fact>& facts) {
  json::array items;
  for (const Fact& fact : facts)
    items.push_back({{"group", fact.group},
                     {"name", fact.name},
                     {"verdict", name_of(fact.verdict)},
                     {"detail", fact.detail},
                     {"fix", fact.fix},
                     {"can_fix", fact.repair.has_value()}});
  return items;
}

constexpr std::size_t detail_column = 32;
constexpr std::size_t fix_column = 17;

/// `head` and then `text`, whose further lines on a terminal begin below its first.
void print_wrapped(const Context& context, const std::string& head, const std::string& text, std::size_t column) {
  const std::size_t width = context.stdout_is_terminal() ? terminal_width() : 0;
  std::string line = head;
  std::size_t at = column;
  for (const std::string_view word : split(text, ' ')) {
    const std::size_t size = display_width(word);
    if (width > 0 && at > column && at + size > width) {
      context.out(line);
      line.assign(column, ' ');
      at = column;
    }
    line += (at > column ? " " : "") + std::string(word);
    at += size + 1;
  }
  context.out(line);
}

void show(const Context& context, const Examined& examined) {
  std::string group;
  for (const Fact& fact : examined.facts) {
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
    print_wrapped(context, line + "  ", escape_untrusted(fact.detail, 300), detail_column);
    if (fact.verdict != Verdict::ok && !fact.fix.empty())
      print_wrapped(context, "            fix: ", escape_untrusted(fact.fix, 300), fix_column);
  }
  context.out("");
  if (!examined.any_backend)
    context.out(context.paint("no backend is available: nothing can run here", Tone::bad));
  else if (examined.missing > 0)
    context.out(context.paint(fmt::format("{} missing", examined.missing), Tone::bad));
  else
    context.out(context.paint("ready", Tone::good));
}

/// What was done. A directory above may make others visible: until nothing more is found.
json::array repair_all(Context& context) {
  json::array fixed;
  constexpr int most_rounds = 4;
  for (int round = 0; round < most_rounds; ++round) {
    bool any = false;
    for (const Fact& fact : home_facts(context.home())) {
      if (!fact.repair) continue;
      const std::string what = short_path(fact.repair->path);
      if (const auto done = apply(*fact.repair); !done) {
        context.warn(done.error().message);
        continue;
      }
      any = true;
      fixed.push_back({{"path", fact.repair->path.string()}, {"fix", fact.fix}});
      context.note("fixed: " + escape_untrusted(fact.fix, 300));
    }
    if (!any) break;
  }
  return fixed;
}

int doctor(Context& context, bool fix) {
  json::array fixed;
  if (fix) fixed = repair_all(context);
  Examined examined = examine(context);
  if (context.output.json) {
    context.print_json({{"schema", "bot-bottle.doctor/1"},
                        {"ok", examined.code() == 0},
                        {"facts", to_json(examined.facts)},
                        {"backends", std::move(examined.probes)},
                        {"fixed", std::move(fixed)}});
    return examined.code();
  }
  show(context, examined);
  const auto repairable = static_cast<std::size_t>(
      std::ranges::count_if(examined.facts, [](const Fact& fact) { return fact.repair.has_value(); }));
  if (repairable == 0) return examined.code();
  if (!context.confirm(fmt::format("Fix {} of these now?", repairable))) {
    context.note(fmt::format("{} of these can be fixed for you: bot-bottle doctor --fix", repairable));
    return examined.code();
  }
  repair_all(context);
  examined = examine(context);
  context.note(examined.code() == 0 ? "ready" : "not all of it: bot-bottle doctor");
  return examined.code();
}

}  // namespace

void add_doctor(CLI::App& app, Context& context) {
  CLI::App* verb = add_verb(app, "doctor", "Whether this machine can run bottles, and what to fix", "Look",
                            "bot-bottle doctor\nbot-bottle doctor --fix");
  auto fix = std::make_shared<bool>(false);
  verb->add_flag("--fix", *fix, "Put right what is your own and loses nothing: modes, directories, dead sockets");
  add_json_option(*verb, context);
  verb->callback([&context, fix] { context.action = [&context, fix] { return doctor(context, *fix); }; });
}

}  // namespace bot_bottle::cli
