// The isolation part of `plugin check`: what the bottle's own self-test says, what of the host can be seen, and the
// scripted attacker (bottle-attack), where it is installed and can run in this bottle.
#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "core/base/file.hpp"
#include "core/base/paths.hpp"
#include "core/base/process.hpp"
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

/// Where the bottle itself shows the secret: in a process's environment or arguments, or in a small file of what is the
/// bottle's own (not /usr and its like, which are read-only and large).
std::string find_inside(BottleUnderTest& bottle) {
  // As "[p]lanted…" it is found by grep, and in grep's own arguments it is not.
  const std::string pattern = "[" + bottle.context.planted.substr(0, 1) + "]" + bottle.context.planted.substr(1);
  const json::object result =
      bottle.exec({"sh", "-c",
                   "cat /proc/self/environ | grep -qs CHECKED || exit 3\n"
                   "grep -ls -e \"$0\" /proc/[0-9]*/environ /proc/[0-9]*/cmdline\n"
                   "find / -maxdepth 1 -type f -size -128 -exec grep -ls -e \"$0\" {} + 2>/dev/null\n"
                   "find /etc /home /root /run /tmp /var/tmp /dev/shm /workspace -maxdepth 6 -type f -size -128"
                   " -exec grep -ls -e \"$0\" {} + 2>/dev/null; true",
                   pattern});
  if (get_int(result, "code", 1) != 0) return "inside cannot be searched: no grep, or no environment is shown";
  const std::string found = get_string(result, "stdout");
  return trim(found).empty() ? "" : "inside, in " + std::string(trim(found));
}

/// An attempt that is not made here, and why.
struct LeftOut {
  std::string id;
  std::string why;
};

/// The known gaps of this version (share/bot-bottle/attack): id, blank, reason.
std::vector<LeftOut> known_gaps(const fs::path& share) {
  std::vector<LeftOut> gaps;
  const auto text = read_file(share / "attack" / "known_gaps.txt");
  if (!text) return gaps;
  for (const std::string_view line : split(*text, '\n')) {
    if (line.empty() || line.front() == '#') continue;
    const std::size_t end = std::min(line.find(' '), line.size());
    gaps.push_back({std::string(line.substr(0, end)), "a known gap: " + std::string(trim(line.substr(end)))});
  }
  return gaps;
}

/// Of a bottle that is a machine of its own: by the numbers of its own kernel it is in the first namespaces, whose
/// numbers are the same everywhere (include/linux/proc_ns.h). They are not this machine's.
constexpr const char* own_kernel = "own-kernel";
constexpr const char* initial_namespaces = "5.21.3";

std::vector<LeftOut> left_out_of(BottleUnderTest& bottle) {
  std::vector<LeftOut> out = known_gaps(bottle.context.options.installation.share);
  const auto features = get_strings(bottle.backend.probe(), "features");
  if (std::ranges::find(features, own_kernel) != features.end())
    out.push_back({initial_namespaces, "the first namespaces: the backend says that a bottle has a kernel of its own"});
  return out;
}

/// What the attacker tries here: item 5 of its list, and the families of sockets.
constexpr const char* attempted = "5,1.22";
constexpr std::int64_t max_report = std::int64_t{4} << 20;

std::vector<std::string> ids_of(std::string_view lines) {
  std::vector<std::string> ids;
  for (const std::string_view line : split(lines, '\n'))
    if (const auto attempt = parse_json_object(line)) ids.push_back(get_string(*attempt, "id"));
  return ids;
}

/// "" when each attempt of `listed` was seen to be refused: no proof is not a pass.
std::string judge(const json::object& result, const std::vector<std::string>& listed) {
  std::vector<std::string> problems;
  std::vector<std::string> reported;
  const std::string said = get_string(result, "stdout");
  for (const std::string_view line : split(said, '\n')) {
    const auto attempt = parse_json_object(line);
    if (!attempt) continue;
    reported.push_back(get_string(*attempt, "id"));
    const std::string verdict = get_string(*attempt, "verdict");
    if (verdict != "blocked")
      problems.push_back(reported.back() + " " + get_string(*attempt, "attempt") + ": " +
                         (verdict == "escaped" ? "" : "no proof either way: ") + get_string(*attempt, "detail"));
  }
  if (get_bool(result, "truncated", false)) problems.emplace_back("the attacker's report is cut");
  std::vector<std::string> missing = listed;
  std::erase_if(missing, [&](const std::string& id) { return std::ranges::find(reported, id) != reported.end(); });
  if (!missing.empty())
    problems.push_back(std::to_string(missing.size()) + " attempts were not reported, the first is " + missing.front());
  if (problems.size() > 20) problems.erase(problems.begin() + 20, problems.end());
  const std::int64_t code = get_int(result, "code", 1);
  if (problems.empty() && code != 0)
    problems.push_back("the attacker ended with " + std::to_string(code) + ": " + get_string(result, "stderr"));
  if (problems.empty() && reported.empty()) problems.emplace_back("the attacker said nothing");
  return join(problems, "\n");
}

/// What has to be tried, by the host's own bottle-attack: nothing that came into the bottle shortens the list. Nothing
/// when it does not run here.
std::vector<std::string> attempts_of(const fs::path& attacker, const std::vector<std::string>& suite,
                                     const json::object& env, int cancel_fd) {
  ProcessRequest request;
  request.argv = {attacker.string()};
  request.argv.insert(request.argv.end(), suite.begin(), suite.end());
  request.argv.emplace_back("--list");
  request.env.emplace();
  for (const auto& [name, value] : env) request.env->emplace(name, value.as_string());
  request.max_output = max_report;
  request.cancel_fd = cancel_fd;
  const auto done = run_process(request);
  return done && done->code == 0 && !done->truncated ? ids_of(done->out) : std::vector<std::string>();
}

void run_attacker(BottleUnderTest& bottle) {
  const fs::path attacker = bottle.context.options.installation.libexec / "bottle-attack";
  const std::string what = "the attacks on isolation are refused";
  std::error_code code;
  if (!fs::exists(attacker, code)) return bottle.not_run(what, "bottle-attack is not installed");
  const std::vector<LeftOut> left_out = left_out_of(bottle);
  std::vector<std::string> suite{"suite", "--json", "--only", attempted};
  std::vector<std::string> skipped;
  for (const LeftOut& one : left_out) skipped.push_back(one.id);
  if (!skipped.empty()) suite.insert(suite.end(), {"--skip", join(skipped, ",")});
  json::object env = BottleUnderTest::request({})["env"].as_object();
  env["HOME"] = "/home/agent";
  env["BB_ATTACK_HOST_PATHS"] = bottle.scratch().string() + ":" + bottle.context.options.home.root.string();
  const auto listed = attempts_of(attacker, suite, env, bottle.context.options.cancel_fd);
  if (listed.empty()) return bottle.not_run(what, "bottle-attack does not run on this machine");
  const auto run = [&](const char* option) {
    // By a shell, for what cannot be started at all is no failed call then, but a code.
    std::vector<std::string> argv{"sh", "-c", "exec \"$0\" \"$@\"", "./attacker"};
    argv.insert(argv.end(), suite.begin(), suite.end());
    if (option != nullptr) argv.emplace_back(option);
    json::object request = BottleUnderTest::request(argv);
    request["timeout_ms"] = 100'000;
    request["max_output"] = max_report;
    request["env"] = env;
    return bottle.exec(request);
  };
  json::object started;
  if (!bottle.check("the attacker can be brought in", [&] {
        bottle.copy_in(attacker, "/workspace/attacker", false, 0755);
        return started = run("--list"), std::string();
      }))
    return;
  // Its libraries may be missing in a bottle with another file system: then it proves nothing.
  if (const std::int64_t ended = get_int(started, "code", 1); ended != 0)
    return bottle.not_run(what, "bottle-attack does not run in this bottle (code " + std::to_string(ended) +
                                    "): " + std::string(trim(get_string(started, "stderr"))));
  for (const LeftOut& one : left_out) bottle.not_run("the attack " + one.id + " is refused", one.why);
  bottle.check(
      what, [&] { return judge(run(nullptr), listed); }, std::chrono::minutes(2));
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
    return find_inside(bottle);
  });
  run_attacker(bottle);
}

}  // namespace bot_bottle::plugins
