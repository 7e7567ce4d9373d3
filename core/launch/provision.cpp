#include "core/launch/provision.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/base/file.hpp"
#include "core/base/paths.hpp"
#include "core/base/text.hpp"
#include "core/plan/git_gate.hpp"

namespace bot_bottle::launch {
namespace {

constexpr const char* selftest_program = "/run/bottle/bin/bottle-init";
constexpr std::int64_t selftest_timeout_ms = 10'000;
constexpr std::int64_t command_timeout_ms = 10 * 60'000;

/// The path below the home, or a Failure: a faulty provider must not reach the rest of the guest (nor, by "..", the
/// staging's surroundings on the host).
std::filesystem::path below_home(const plan::Plan& plan, const std::string& path) {
  const std::filesystem::path relative =
      std::filesystem::path(path).lexically_normal().lexically_relative(plan.guest.home);
  if (!path.starts_with('/') || relative.empty() || *relative.begin() == ".." || *relative.begin() == ".")
    throw Failure(make_error(ErrorKind::internal, "provider " + plan.provider + ": the file '" + path +
                                                      "' is not below the guest's home " + plan.guest.home));
  return relative;
}

void write_staged(const std::filesystem::path& file, std::string_view content, mode_t mode) {
  or_throw(make_directories(file.parent_path(), 0755));
  const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!fd) throw Failure(error_from_errno("cannot write " + file.string(), errno));
  or_throw(write_all(fd.get(), content));
  if (::fchmod(fd.get(), mode) != 0) throw Failure(error_from_errno("cannot set the mode of " + file.string(), errno));
}

/// "/home/agent/.claude/skills" in the guest is "~/.claude/skills" on the host.
void stage_skills(const plan::Plan& plan, const std::filesystem::path& staging) {
  if (plan.manifest.skills.empty()) return;
  const std::string guest_directory = get_string(plan.description, "skills_dir");
  if (guest_directory.empty())
    throw Failure(make_error(ErrorKind::unsupported, "the provider " + plan.provider + " has no skills",
                             "take `skills` out of agent and bottle"));
  const std::filesystem::path relative = below_home(plan, guest_directory);
  for (const std::string& skill : plan.manifest.skills) {
    if (skill.empty() || skill == "." || skill == ".." || skill.find('/') != std::string::npos)
      throw Failure(make_error(ErrorKind::invalid_argument, "'" + skill + "' is not the name of a skill"));
    std::error_code code;
    // The skill itself may be a link of the operator; links inside are copied as links and never followed.
    const std::filesystem::path source = std::filesystem::canonical(plan.host.operator_home / relative / skill, code);
    if (code || !std::filesystem::is_directory(source, code))
      throw Failure(make_error(ErrorKind::not_found,
                               "no skill '" + skill + "' in " + (plan.host.operator_home / relative).string()));
    or_throw(make_directories(staging / relative, 0755));
    std::filesystem::copy(source, staging / relative / skill,
                          std::filesystem::copy_options::recursive | std::filesystem::copy_options::copy_symlinks |
                              std::filesystem::copy_options::overwrite_existing,
                          code);
    if (code)
      throw Failure(make_error(ErrorKind::internal, "cannot copy the skill '" + skill + "': " + code.message()));
  }
}

std::string shown(const std::vector<std::string>& argv) {
  if (argv.size() == 3 && argv[0] == "sh" && argv[1] == "-c") return argv[2];  // a line of post_init, as it was written
  return join(argv, " ");
}

json::object exec_as_agent(const ProvisionContext& context, const std::vector<std::string>& argv) {
  plan::ExecRequest request;
  request.argv = argv;
  request.env = context.env;
  request.cwd = context.plan.guest.workspace;
  request.timeout_ms = command_timeout_ms;
  return context.backend.exec(context.bottle, plan::to_json(request), -1);
}

std::string output_of(const json::object& result) {
  std::string text = get_string(result, "stdout");
  const std::string errors = get_string(result, "stderr");
  if (!text.empty() && !errors.empty() && !text.ends_with('\n')) text += '\n';
  return std::string(trim(text + errors));
}

void must_succeed(const ProvisionContext& context, const std::vector<std::string>& argv, std::string_view what,
                  std::string hint = {}) {
  const json::object result = exec_as_agent(context, argv);
  const std::int64_t code = get_int(result, "code", 1);
  if (code == 0) return;
  Error error =
      make_error(ErrorKind::failed_precondition,
                 fmt::format("{} '{}' failed in the bottle with code {}", what, shown(argv), code), std::move(hint));
  error.details = output_of(result);
  throw Failure(std::move(error));
}

std::vector<std::vector<std::string>> commands_of(const json::object& document, std::string_view key) {
  std::vector<std::vector<std::string>> commands;
  const json::array* array = find_array(document, key);
  if (array == nullptr) return commands;
  for (const json::value& item : *array) {
    std::vector<std::string> argv;
    if (item.is_array())
      for (const json::value& word : item.as_array())
        if (word.is_string()) argv.emplace_back(word.as_string());
    if (!argv.empty()) commands.push_back(std::move(argv));
  }
  return commands;
}

}  // namespace

bool stage_files(const plan::Plan& plan, const std::filesystem::path& staging) {
  or_throw(remove_tree(staging));
  or_throw(make_directories(staging, 0755));
  bool any = false;
  std::string git = plan::make_guest_git_config(plan.manifest);
  if (const json::array* files = find_array(plan.provider_plan, "files")) {
    for (const json::value& value : *files) {
      if (!value.is_object()) continue;
      const json::object& file = value.as_object();
      const std::filesystem::path relative = below_home(plan, get_string(file, "path"));
      std::string content = get_string(file, "content");
      if (relative == ".gitconfig") content += std::exchange(git, {});
      write_staged(staging / relative, content, static_cast<mode_t>(get_int(file, "mode", 0600)) & 0777U);
      any = true;
    }
  }
  if (!git.empty()) {
    write_staged(staging / ".gitconfig", git, 0644);
    any = true;
  }
  stage_skills(plan, staging);
  return any || !plan.manifest.skills.empty();
}

void provision(const ProvisionContext& context) {
  if (stage_files(context.plan, context.staging))
    context.backend.copy_in(context.bottle, {{"schema", "bot-bottle.copy/1"},
                                             {"source", context.staging.string()},
                                             {"dest", context.plan.guest.home},
                                             {"recursive", true}});
  context.provider.provision(context.plan.provider_spec, context.backend, context.bottle);
  for (const auto& argv : commands_of(context.plan.provider_plan, "commands"))
    must_succeed(context, argv, "the provider's command");
  for (const auto& argv : commands_of(context.plan.provider_plan, "mcp_commands")) {
    try {
      const json::object result = exec_as_agent(context, argv);
      if (get_int(result, "code", 1) == 0) continue;
      context.warn(fmt::format("registering an MCP server failed: {}\n{}", shown(argv), output_of(result)));
    } catch (const Failure& failure) {
      if (failure.error().kind == ErrorKind::cancelled) throw;
      context.warn(fmt::format("registering an MCP server failed: {}\n{}", shown(argv), failure.error().message));
    }
  }
}

void run_post_init(const ProvisionContext& context) {
  for (const auto& argv : context.plan.manifest.post_init)
    must_succeed(context, argv, "post_init",
                 "correct it in the bottle's file; it runs inside: only what egress allows is reached");
}

void run_selftest(plugins::Backend& backend, const json::object& bottle) {
  plan::ExecRequest request;
  request.argv = get_strings(bottle, "selftest");
  if (request.argv.empty()) {
    request.argv = {selftest_program, "--selftest"};
    struct stat network {};
    if (::stat("/proc/self/ns/net", &network) == 0) {
      request.argv.emplace_back("--host-network");
      request.argv.push_back(std::to_string(network.st_ino));
    }
  }
  request.cwd = "/";
  request.timeout_ms = selftest_timeout_ms;
  const json::object result = backend.exec(bottle, plan::to_json(request), -1);
  const std::string out = get_string(result, "stdout");
  std::vector<std::string> failed;
  bool ok = get_int(result, "code", 1) == 0;
  if (const auto report = parse_json_object(trim(out))) {
    failed = get_strings(*report, "failed");
    ok = ok && get_bool(*report, "ok", false) && failed.empty();
  } else {
    ok = false;  // fail closed: a test that says nothing has not passed
  }
  if (ok) return;
  Error error = make_error(ErrorKind::refused, "the bottle failed its self-test and was stopped", "bot-bottle doctor");
  error.details =
      failed.empty() ? fmt::format("code {}\n{}", get_int(result, "code", 1), output_of(result)) : join(failed, "\n");
  throw Failure(std::move(error));
}

}  // namespace bot_bottle::launch
