// The isolation part of `plugin check`: what the bottle's own self-test says, what of the host can be seen, and the
// scripted attacker (bottle-attack), where it is installed and can run in this bottle.
#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "core/base/file.hpp"
#include "core/base/paths.hpp"
#include "core/base/text.hpp"
#include "core/plugins/check_bottle.hpp"

namespace bot_bottle::plugins {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> selftest_argv(const BottleUnderTest& bottle) {
  std::vector<std::string> argv = get_strings(bottle.bottle, "selftest");
  if (!argv.empty()) return argv;
  argv = {"/run/bottle/bin/bottle-init", "--selftest"};
  struct stat network {};
  if (::stat("/proc/self/ns/net", &network) == 0)
    argv.insert(argv.end(), {"--host-network", std::to_string(network.st_ino)});
  return argv;
}

/// As the core does after each launch (core/launch): a bottle that fails it is stopped.
std::string run_selftest(BottleUnderTest& bottle) {
  json::object request = BottleUnderTest::request(selftest_argv(bottle));
  request["cwd"] = "/";
  const json::object result = bottle.exec(request);
  const auto report = parse_json_object(trim(get_string(result, "stdout")));
  if (!report) return "it says nothing: " + get_string(result, "stdout") + get_string(result, "stderr");
  if (const auto failed = get_strings(*report, "failed"); !failed.empty()) return join(failed, "\n");
  return get_int(result, "code", 1) == 0 && get_bool(*report, "ok", false) ? "" : "it did not pass";
}

/// Files below `root` that hold `text`; nothing of theirs is shown.
std::string find_text(const fs::path& root, std::string_view text) {
  std::error_code code;
  for (fs::recursive_directory_iterator it(root, fs::directory_options::skip_permission_denied, code), end;
       !code && it != end; it.increment(code)) {
    std::error_code ignored;
    if (it->is_symlink(ignored) || !it->is_regular_file(ignored)) continue;
    if (const auto content = read_file(it->path()); content && content->find(text) != std::string::npos)
      return it->path().string();
  }
  return {};
}

/// A process that shows `text` in its arguments.
std::string find_argument(std::string_view text) {
  std::error_code code;
  for (const auto& entry : fs::directory_iterator("/proc", code)) {
    const std::string pid = entry.path().filename().string();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    if (const auto line = read_file(entry.path() / "cmdline"); line && line->find(text) != std::string::npos)
      return "pid " + pid;
  }
  return {};
}

/// The known gaps of this version (share/bot-bottle/attack): id, blank, reason.
std::vector<std::string> known_gaps(const fs::path& share) {
  std::vector<std::string> ids;
  const auto text = read_file(share / "attack" / "known_gaps.txt");
  if (!text) return ids;
  for (const std::string_view line : split(*text, '\n'))
    if (!line.empty() && line.front() != '#') ids.emplace_back(line.substr(0, line.find(' ')));
  return ids;
}

/// Of a bottle that is a machine of its own: by the numbers of its own kernel it is in the first namespaces, whose
/// numbers are the same everywhere (include/linux/proc_ns.h). They are not this machine's.
constexpr const char* own_kernel = "own-kernel";
constexpr const char* initial_namespaces = "5.21.3";

void run_attacker(BottleUnderTest& bottle) {
  const fs::path attacker = bottle.context.options.installation.libexec / "bottle-attack";
  const std::string what = "the attacks on isolation are refused";
  std::error_code code;
  if (!fs::exists(attacker, code)) return bottle.note(what, "not tried, bottle-attack is not installed");
  bool can_run = false;
  bottle.check("the attacker can be brought in", [&]() -> std::string {
    bottle.copy_in(attacker, "/workspace/attacker", false, 0755);
    // Its libraries may be missing in a bottle with another file system: then it proves nothing.
    can_run = get_int(bottle.shell("./attacker suite --list --only 5"), "code", 1) == 0;
    return {};
  });
  if (!can_run) return bottle.note(what, "not tried, bottle-attack does not run in this bottle");
  std::vector<std::string> skipped = known_gaps(bottle.context.options.installation.share);
  if (const auto features = get_strings(bottle.backend.probe(), "features");
      std::ranges::find(features, own_kernel) != features.end()) {
    skipped.emplace_back(initial_namespaces);
    bottle.note(what, "but " + std::string(initial_namespaces) +
                          ", the first namespaces: the backend says that a bottle has a kernel of its own");
  }
  bottle.check(
      what,
      [&]() -> std::string {
        std::vector<std::string> argv{"./attacker", "suite", "--json", "--only", "5"};
        if (!skipped.empty()) argv.insert(argv.end(), {"--skip", join(skipped, ",")});
        json::object request = BottleUnderTest::request(argv);
        request["timeout_ms"] = 100'000;
        json::object& env = request["env"].as_object();
        env["HOME"] = "/home/agent";
        env["BB_ATTACK_HOST_PATHS"] = bottle.scratch().string() + ":" + bottle.context.options.home.root.string();
        const json::object result = bottle.exec(request);
        std::string escaped;
        int blocked = 0;
        const std::string said = get_string(result, "stdout");
        for (const std::string_view line : split(said, '\n')) {
          const auto attempt = parse_json_object(line);
          if (!attempt) continue;
          const std::string verdict = get_string(*attempt, "verdict");
          blocked += verdict == "blocked" ? 1 : 0;
          if (verdict == "escaped")
            escaped += (escaped.empty() ? "" : "\n") + get_string(*attempt, "id") + " " +
                       get_string(*attempt, "attempt") + ": " + get_string(*attempt, "detail");
        }
        if (escaped.empty() && blocked == 0) return "the attacker said nothing: " + get_string(result, "stderr");
        return escaped;
      },
      std::chrono::minutes(2));
}

}  // namespace

void check_isolation(BottleUnderTest& bottle) {
  bottle.check("the self-test passes", [&] { return run_selftest(bottle); });
  bottle.check("the agent has no network of its own", [&]() -> std::string {
    // On the address wire one route is right, and the self-test tells it from others.
    if (get_string(bottle.plan, "wire") == "address") return {};
    const json::object result = bottle.shell("cat /proc/net/route 2>/dev/null | tail -n +2 | grep -v '^lo' || true");
    return trim(get_string(result, "stdout")).empty() ? "" : "it has routes: " + get_string(result, "stdout");
  });
  bottle.check("nothing of the operator's home and of the state is inside", [&]() -> std::string {
    const std::string mark = "mark-" + bottle.slug;
    or_throw(write_file_fast(bottle.scratch() / mark, mark, 0644));
    const json::object result = bottle.shell("cat " + (bottle.scratch() / mark).string() + " /proc/1/root" +
                                             (bottle.scratch() / mark).string() + " 2>/dev/null; ls " +
                                             bottle.context.options.home.root.string() + " 2>/dev/null; true");
    return trim(get_string(result, "stdout")).empty() ? ""
                                                      : "the host's files can be read: " + get_string(result, "stdout");
  });
  bottle.check("no descriptor of the host is inside", [&]() -> std::string {
    const json::object result =
        bottle.shell("for fd in /proc/self/fd/*; do n=${fd##*/}; [ $n -gt 2 ] && readlink $fd; done; true");
    const std::string targets = get_string(result, "stdout");
    for (const std::string_view target : split(targets, '\n'))
      if (!target.empty() && !target.starts_with("/proc/")) return "there is " + std::string(target);
    return {};
  });
  bottle.check("the sidecar's secrets are on no argv, in no file and not inside", [&]() -> std::string {
    if (auto where = find_argument(bottle.context.planted); !where.empty()) return "on the argv of " + where;
    if (auto where = find_text(bottle.state, bottle.context.planted); !where.empty()) return "in " + where;
    return {};
  });
  run_attacker(bottle);
}

}  // namespace bot_bottle::plugins
