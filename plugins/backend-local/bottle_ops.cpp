// exec, attach and the copies: what is done to a running bottle.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "plugins/backend-local/guest_client.hpp"
#include "plugins/backend-local/local_backend.hpp"

namespace bot_bottle::backend_local {
namespace {

namespace fs = std::filesystem;

void check_user(const sdk::Bottle& bottle, const sdk::ExecRequest& request) {
  if (request.user.empty() || request.user == "agent" || request.user == get_string(bottle.data, "user", "agent"))
    return;
  throw sdk::Error(sdk::Status::unsupported,
                   "a bottle of the local backend has one user: there is no '" + request.user + "' in it",
                   "leave --user out");
}

/// The agent's program by the name it was planned with: it may lie where no PATH of the guest leads.
std::vector<std::string> resolve_program(const sdk::Bottle& bottle, std::vector<std::string> argv) {
  const json::object* program = find_object(bottle.data, "program");
  if (program != nullptr && !argv.empty() && argv[0] == get_string(*program, "name"))
    argv[0] = get_string(*program, "path", argv[0]);
  return argv;
}

/// Why a bottle that should be there is not.
std::string end_reason(const std::string& state_dir) {
  const auto text = read_file(exit_record_path(state_dir, Component::bottle), 65536);
  if (!text) return {};
  const auto record = parse_json_object(*text);
  if (!record) return {};
  const std::string detail = get_string(*record, "detail");
  return detail.empty() ? get_string(*record, "reason") : detail;
}

/// The parent of a host path, opened as the operator would, and the name in it.
CopyEnd open_host_end(const std::string& path, UniqueFd& parent) {
  if (!path.starts_with('/')) throw sdk::Error(sdk::Status::invalid_argument, "'" + path + "' is not an absolute path");
  const fs::path normal = fs::path(path).lexically_normal();
  const fs::path trimmed = normal.has_filename() ? normal : normal.parent_path();
  parent.reset(::open(trimmed.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent) throw Failure(error_from_errno("cannot open " + trimmed.parent_path().string(), errno));
  return {parent.get(), trimmed.filename().string()};
}

}  // namespace

std::optional<std::pair<uid_t, gid_t>> agent_owner(const std::string& state_dir) {
  if (::geteuid() != 0) return std::nullopt;
  const auto text = read_file(state_dir + "/backend/bottle.uid", 64);
  const auto uid = text ? static_cast<uid_t>(std::strtoul(text->c_str(), nullptr, 10)) : 0;
  if (uid == 0)
    throw sdk::Error(sdk::Status::failed_precondition, "the bottle in " + state_dir + " has no uid on record");
  return std::pair<uid_t, gid_t>{uid, uid};
}

GuestPlace find_guest_place(const json::object& data, const std::string& state_dir, const std::string& guest_path) {
  const fs::path path = fs::path(guest_path).lexically_normal();
  if (!path.is_absolute())
    throw sdk::Error(sdk::Status::invalid_argument, "'" + guest_path + "' is not an absolute path of the bottle");
  const bool mounted = get_string(data, "workspace_mode") == "mount";
  const std::pair<std::string, std::string> places[] = {
      {get_string(data, "workspace_path"),
       mounted ? get_string(data, "workspace_source") : state_dir + "/backend/workspace"},
      {get_string(data, "home"), state_dir + "/backend/home"}};
  for (const auto& [inside, outside] : places) {
    if (inside.empty()) continue;
    const fs::path relative = path.lexically_relative(inside);
    if (relative.empty() || *relative.begin() == "..") continue;
    return {open_state_directory(outside), relative == "." ? std::string() : relative.string()};
  }
  throw sdk::Error(sdk::Status::unsupported,
                   "the local backend copies to and from the home and the workspace only, not " + guest_path,
                   "name a path below the workspace or /home/agent; bot-bottle exec SLUG -- cat FILE shows others");
}

sdk::ExecResult LocalBackend::exec(const sdk::Call& call, const sdk::Bottle& bottle, const sdk::ExecRequest& request,
                                   int stdin_fd) {
  check_user(bottle, request);
  GuestRun run;
  run.argv = resolve_program(bottle, request.argv);
  for (const auto& [name, value] : request.env) run.env.push_back(name + "=" + value);
  run.cwd = request.cwd.empty() ? get_string(bottle.data, "workspace_path", "/") : request.cwd;
  run.session = get_string(request.extra, "session");
  run.detached = get_bool(request.extra, "detached", false);
  run.tty = run.detached && request.tty;
  run.stdin_fd = stdin_fd;
  run.timeout = std::chrono::milliseconds(request.timeout_ms);
  run.max_output = request.max_output;
  run.cancel_fd = call.cancel_fd();
  auto done = run_in_guest(exec_socket_path(bottle.state_dir), run);
  if (!done) {
    Error error = std::move(done.error());
    if (error.kind == ErrorKind::failed_precondition)
      if (const std::string reason = end_reason(bottle.state_dir); !reason.empty())
        error.message += " (" + reason + ")";
    throw Failure(std::move(error));
  }
  sdk::ExecResult result;
  result.code = done->code;
  result.out = std::move(done->out);
  result.err = std::move(done->err);
  result.truncated = done->truncated;
  return result;
}

sdk::Attach LocalBackend::attach_argv(const sdk::Call& call, const sdk::Bottle& bottle,
                                      const sdk::ExecRequest& request) {
  check_user(bottle, request);
  json::object env;
  for (const auto& [name, value] : request.env) env[name] = value;
  json::object document{{"schema", "bot-bottle.exec/1"},
                        {"argv", to_array(resolve_program(bottle, request.argv))},
                        {"env", std::move(env)},
                        {"cwd", request.cwd.empty() ? get_string(bottle.data, "workspace_path", "/") : request.cwd},
                        {"tty", request.tty},
                        {"rows", request.rows},
                        {"columns", request.columns}};
  if (const std::string session = get_string(request.extra, "session"); !session.empty()) document["session"] = session;
  if (request.extra.contains("detached")) document["detached"] = get_bool(request.extra, "detached", false);
  sdk::Attach attach;
  attach.argv = {host().path(call, "libexec") + "/bottle-keeper", "attach", "--socket",
                 exec_socket_path(bottle.state_dir)};
  attach.env["BB_ATTACH_REQUEST"] = to_text(document);
  return attach;
}

void LocalBackend::copy_in(const sdk::Call& call, const sdk::Bottle& bottle, const sdk::CopyRequest& request) {
  UniqueFd parent;
  const CopyEnd from = open_host_end(request.source, parent);
  const GuestPlace to = find_guest_place(bottle.data, bottle.state_dir, request.dest);
  CopyOptions options;
  options.links = LinkRule::keep;
  options.recursive = request.recursive;
  if (request.mode) options.mode = static_cast<mode_t>(*request.mode);
  // A mounted tree keeps the operator's ownership; it is the operator's.
  const bool operators = get_string(bottle.data, "workspace_mode") == "mount" &&
                         request.dest.starts_with(get_string(bottle.data, "workspace_path"));
  if (!operators) options.owner = agent_owner(bottle.state_dir);
  options.cancelled = [&call] { return call.cancelled(); };
  // The directories above the new name, if they are not there: through no link, and the agent's own.
  const fs::path relative(to.path);
  UniqueFd at(::fcntl(to.root.get(), F_DUPFD_CLOEXEC, 0));
  for (const fs::path& part : relative.parent_path()) {
    if (::mkdirat(at.get(), part.c_str(), 0755) == 0 && options.owner &&
        ::fchownat(at.get(), part.c_str(), options.owner->first, options.owner->second, AT_SYMLINK_NOFOLLOW) != 0)
      throw Failure(error_from_errno("cannot change the owner of " + part.string(), errno));
    at = or_throw(open_beneath(at.get(), part.string(), O_RDONLY | O_DIRECTORY));
  }
  or_throw(copy_tree(from, {at.get(), relative.filename().string()}, options));
}

void LocalBackend::copy_out(const sdk::Call& call, const sdk::Bottle& bottle, const sdk::CopyRequest& request) {
  const GuestPlace from = find_guest_place(bottle.data, bottle.state_dir, request.source);
  UniqueFd parent;
  const CopyEnd to = open_host_end(request.dest, parent);
  CopyOptions options;
  options.links = LinkRule::keep_inside;
  options.locked = LockedFiles::opened;  // the agent must not keep its work from being looked at with chmod
  options.recursive = request.recursive;
  if (request.mode) options.mode = static_cast<mode_t>(*request.mode);
  options.cancelled = [&call] { return call.cancelled(); };
  const CopyReport report = or_throw(copy_tree({from.root.get(), from.path}, to, options));
  if (report.skipped > 0)
    host().warning(std::to_string(report.skipped) + " entries of " + request.source +
                   " were left out: devices, sockets, pipes, links that lead out");
}

}  // namespace bot_bottle::backend_local
