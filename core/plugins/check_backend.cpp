// The backend part of `plugin check`: the probe, a pure plan and, where the machine can, the whole life of one bottle
// with the real sidecar.
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>

#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "core/plugins/check_bottle.hpp"

namespace bot_bottle::plugins {
namespace {

namespace fs = std::filesystem;

/// A plan and a probe are fast; a bottle may have to unpack an image first.
constexpr std::chrono::seconds pure_limit{10};
constexpr std::chrono::minutes launch_limit{5};

/// Everything below a directory, with sizes: what a pure function may not change.
std::vector<std::string> listing(const fs::path& root) {
  std::vector<std::string> out;
  std::error_code code;
  for (fs::recursive_directory_iterator it(root, code), end; !code && it != end; it.increment(code)) {
    std::error_code ignored;
    out.push_back(it->path().string() + " " +
                  (it->is_regular_file(ignored) ? std::to_string(it->file_size(ignored)) : "-"));
  }
  std::ranges::sort(out);
  return out;
}

bool check_plan(BottleUnderTest& bottle) {
  const json::object spec = bottle.make_spec();
  const bool valid = bottle.check(
      "plan fits its schema",
      [&]() -> std::string {
        const auto before = listing(bottle.state);
        bottle.plan = bottle.backend.plan(spec);
        if (auto problems = schema_problems(bottle.context.schemas, bottle.plan, "bot-bottle.plan/1");
            !problems.empty())
          return problems;
        if (listing(bottle.state) != before) return "plan wrote into the state directory";
        if (bottle.backend.plan(spec) != bottle.plan) return "the same spec gives two plans";
        if (get_string(bottle.plan, "slug") != bottle.slug) return "the plan is for another slug";
        if (get_strings(bottle.plan, "summary").empty()) return "the plan has no summary for the operator";
        return leaked_secrets(bottle.context, bottle.plan);
      },
      pure_limit);
  if (!valid) return false;
  bottle.check(
      "plan ignores unknown fields",
      [&]() -> std::string {
        json::object more = spec;
        more["a_field_of_the_future"] = 1;
        return bottle.backend.plan(more) == bottle.plan ? "" : "the plan changed";
      },
      pure_limit);
  bottle.check("removing what never was is success", [&] { return bottle.backend.remove(bottle.plan), std::string(); });
  return true;
}

void start_from(BottleUnderTest& bottle, const json::object& snapshot) {
  bottle.check(
      "a bottle starts from a snapshot",
      [&]() -> std::string {
        bottle.empty_wires();
        json::object spec = bottle.make_spec();
        spec["snapshot"] = snapshot;
        bottle.plan = bottle.backend.plan(spec);
        bottle.launch();
        return expect(bottle.shell("cat kept.txt /home/agent/kept.txt given.txt"), 0, "frozen\nfrozen\ngiven\n");
      },
      launch_limit);
  bottle.check("stop and remove it",
               [&] { return bottle.backend.stop(bottle.bottle), bottle.backend.remove(bottle.bottle), std::string(); });
  check_thaw(bottle.context, *bottle.context.freezer, snapshot);
}

/// Launches in a process of its own and kills that, as `kill -9` of the operator's program would: a backend may hold
/// its bottle by the lifeline or by a connection of the process. "" or what went wrong.
std::string launch_and_be_killed(BottleUnderTest& bottle) {
  CheckPipe told;
  const pid_t program = ::fork();
  if (program < 0) throw Failure(error_from_errno("cannot start a process", errno));
  if (program == 0) {
    std::string text;
    try {
      bottle.launch();
      text = to_text(bottle.bottle);
    } catch (const std::exception& failure) {
      text = failure.what();
    }
    static_cast<void>(write_all(told.write.get(), text));
    told.write.reset();
    while (true) ::pause();
  }
  told.write.reset();
  const auto text = read_all(told.read.get(), std::size_t{4} << 20);
  ::kill(program, SIGKILL);
  while (::waitpid(program, nullptr, 0) < 0 && errno == EINTR) {
  }
  const auto document = text ? parse_json(*text) : Result<json::value>(fail(text.error()));
  if (!document || !document->is_object()) return text ? *text : text.error().message;
  bottle.bottle = document->as_object();
  return {};
}

/// What a `kill -9` of the operator's program leaves.
void end_with_lifeline(BottleUnderTest& bottle) {
  bottle.check(
      "a bottle ends with its lifeline, and can be removed then",
      [&]() -> std::string {
        bottle.empty_wires();
        bottle.plan = bottle.backend.plan(bottle.make_spec());
        if (auto problem = launch_and_be_killed(bottle); !problem.empty()) return problem;
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
        while (bottle.enumerated()) {
          if (std::chrono::steady_clock::now() > deadline) {
            bottle.backend.remove(bottle.bottle);
            return "it still runs after 30 s";
          }
          ::poll(nullptr, 0, 20);
        }
        bottle.backend.remove(bottle.bottle);
        return {};
      },
      launch_limit);
}

void run_life(BottleUnderTest& bottle) {
  const bool is_up = bottle.check(
      "sidecar and bottle start", [&] { return bottle.launch(), std::string(); }, launch_limit);
  std::optional<json::object> snapshot;
  if (is_up) {
    check_use(bottle);
    check_copies(bottle);
    check_isolation(bottle);
    if (bottle.context.freezer != nullptr) {
      static_cast<void>(bottle.shell("echo frozen > kept.txt; echo frozen > /home/agent/kept.txt"));
      snapshot = check_freeze(bottle.context, *bottle.context.freezer, bottle.bottle);
      bottle.check("a frozen bottle goes on", [&] { return expect(bottle.exec({"true"}), 0, ""); });
    }
  }
  bottle.check("stop, twice", [&]() -> std::string {
    if (!is_up) return {};
    bottle.backend.stop(bottle.bottle);
    bottle.backend.stop(bottle.bottle);
    if (!bottle.exec_fails()) return "a program still runs after stop";
    return bottle.enumerated() ? "the bottle is still listed" : "";
  });
  bottle.check("remove, twice", [&]() -> std::string {
    bottle.backend.remove(is_up ? bottle.bottle : bottle.plan);
    bottle.backend.remove(is_up ? bottle.bottle : bottle.plan);
    return bottle.enumerated() ? "the bottle is still listed" : "";
  });
  if (snapshot) start_from(bottle, *snapshot);
  if (is_up) end_with_lifeline(bottle);
}

}  // namespace

void check_backend(CheckContext& context, Backend& backend) {
  const std::string name = "backend:" + backend.name();
  ::setenv("HOSTNAME_OF_CHECK", "host", 1);  // nothing of our environment may be seen in a bottle
  json::object probe;
  const bool probed = context.checker.check(
      name + ": probe fits its schema",
      [&]() -> std::string {
        probe = backend.probe();
        if (auto problems = schema_problems(context.schemas, probe, "bot-bottle.probe/1"); !problems.empty())
          return problems;
        if (!get_bool(probe, "available", false) && get_string(probe, "reason").empty())
          return "it is not available and does not say why";
        return leaked_secrets(context, probe);
      },
      std::chrono::seconds(30));
  if (!probed) return;
  if (!get_bool(probe, "available", false)) {
    const std::string fix = get_string(probe, "fix");
    context.checker.not_run(
        name + ": the life of a bottle",
        "it is not available here: " + get_string(probe, "reason") + (fix.empty() ? "" : " (" + fix + ")"));
    return;
  }
  BottleUnderTest bottle(context, backend);
  if (!check_plan(bottle)) return;
  std::error_code code;
  if (!fs::exists(context.options.installation.libexec / "bot-bottle-sidecar", code)) {
    context.checker.not_run(name + ": the life of a bottle", "bot-bottle-sidecar is not installed");
    return;
  }
  run_life(bottle);
}

}  // namespace bot_bottle::plugins
