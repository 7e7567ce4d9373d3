#include "core/sync/git.hpp"

#include <algorithm>
#include <set>

#include "core/base/error.hpp"
#include "core/base/paths.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::sync {
namespace {

constexpr std::chrono::minutes git_time{5};
constexpr std::size_t max_output = std::size_t{256} << 20;

Error failed(const std::vector<std::string>& arguments, const ProcessResult& result) {
  const auto word = std::ranges::find_if(arguments, [](const std::string& one) { return !one.starts_with("-"); });
  return make_error(ErrorKind::failed_precondition,
                    "git " + (word == arguments.end() ? std::string() : *word) + ": " + std::string(trim(result.err)));
}

}  // namespace

std::string git_dir_option(const std::filesystem::path& git_dir) {
  return "--git-dir=" + git_dir.string();
}

std::optional<Git> Git::find() {
  const auto program = find_program("git", environment("PATH").value_or("/usr/bin:/bin"));
  if (!program) return std::nullopt;
  return Git(program->string());
}

Git Git::need() {
  auto git = find();
  if (!git) throw Failure(make_error(ErrorKind::unavailable, "git is not installed", "apt-get install git"));
  return std::move(*git);
}

Git Git::need(const std::filesystem::path& git_dir) {
  Git git = need();
  const ProcessResult listed = git.attempt(
      {git_dir_option(git_dir), "config", "--null", "--name-only", "--get-regexp", "^(filter|merge)\\..*\\."});
  // 1: none. Everything else could hide one that runs.
  if (listed.code > 1) throw Failure(failed({"config"}, listed));
  std::set<std::string> drivers;
  for (const std::string_view name : split(std::string_view(listed.out), '\0'))
    if (const std::size_t dot = name.rfind('.'); dot != std::string_view::npos && dot > 0)
      drivers.insert(std::string(name.substr(0, dot)));
  for (const std::string& driver : drivers) {
    // A merge driver that fails is a conflict; an empty one would take one side without a word.
    if (driver.starts_with("merge.")) {
      git.off_.emplace_back(driver + ".driver", "false");
      continue;
    }
    for (const char* key : {".clean", ".smudge", ".process"}) git.off_.emplace_back(driver + key, "");
    git.off_.emplace_back(driver + ".required", "false");
  }
  return git;
}

ProcessResult Git::attempt(const std::vector<std::string>& arguments, const GitInput& input) const {
  ProcessRequest request;
  request.argv = {program_};
  for (const char* setting : {"core.hooksPath=/dev/null",
                              "core.fsmonitor=false",
                              "core.alternateRefsCommand=",
                              "core.sshCommand=false",
                              "core.pager=cat",
                              "core.editor=false",
                              "gpg.program=false",
                              "gpg.ssh.program=false",
                              "gpg.x509.program=false",
                              "gpg.ssh.defaultKeyCommand=false",
                              "log.showSignature=false",
                              "commit.gpgSign=false",
                              "gc.auto=0",
                              "maintenance.auto=false",
                              "fetch.fsckObjects=true",
                              "transfer.fsckObjects=true",
                              "protocol.allow=never",
                              "protocol.file.allow=always",
                              "fetch.recurseSubmodules=false",
                              "submodule.recurse=false",
                              "credential.helper="}) {
    request.argv.emplace_back("-c");
    request.argv.emplace_back(setting);
  }
  request.argv.insert(request.argv.end(), arguments.begin(), arguments.end());
  std::map<std::string, std::string> env = input.env;
  // By the environment, where a name may hold any octet; as strong as -c.
  env["GIT_CONFIG_COUNT"] = std::to_string(off_.size());
  for (std::size_t i = 0; i < off_.size(); ++i) {
    env["GIT_CONFIG_KEY_" + std::to_string(i)] = off_[i].first;
    env["GIT_CONFIG_VALUE_" + std::to_string(i)] = off_[i].second;
  }
  env["GIT_TERMINAL_PROMPT"] = "0";
  env["GIT_NO_LAZY_FETCH"] = "1";
  env["GIT_OPTIONAL_LOCKS"] = "0";
  env["LC_ALL"] = "C";
  for (const char* name : {"PATH", "HOME"})
    if (auto value = environment(name)) env[name] = *value;
  request.env = std::move(env);
  request.cwd = input.cwd;
  request.stdin_text = input.text;
  request.timeout = git_time;
  request.max_output = max_output;
  return or_throw(run_process(request));
}

std::string Git::run(const std::vector<std::string>& arguments, const GitInput& input) const {
  ProcessResult result = attempt(arguments, input);
  if (result.code != 0) throw Failure(failed(arguments, result));
  if (result.truncated) throw Failure(make_error(ErrorKind::failed_precondition, "git said too much to be read"));
  return std::move(result.out);
}

std::optional<std::string> Git::ask(const std::vector<std::string>& arguments, const GitInput& input) const {
  const ProcessResult result = attempt(arguments, input);
  if (result.code != 0) return std::nullopt;
  return std::string(trim(result.out));
}

}  // namespace bot_bottle::sync
