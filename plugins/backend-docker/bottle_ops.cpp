// exec, attach and the copies: what is done to a running bottle. Copies are archives through bottle-init with the
// agent's own rights, not the engine's archive calls: nothing of root's walks a tree that the agent shapes
// (CVE-2018-15664), and it works in every runtime.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <thread>

#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "core/base/random.hpp"
#include "plugins/backend-docker/docker_backend.hpp"
#include "plugins/backend-docker/guest_stream.hpp"
#include "plugins/backend-local/copy_tree.hpp"
#include "sidecar/guest/tree.hpp"

namespace bot_bottle::backend_docker {
namespace {

namespace fs = std::filesystem;

void check_user(const sdk::Bottle& bottle, const sdk::ExecRequest& request) {
  if (request.user.empty() || request.user == "agent" || request.user == get_string(bottle.data, "user", "agent"))
    return;
  throw sdk::Error(sdk::Status::unsupported, "a bottle has one user: there is no '" + request.user + "' in it",
                   "leave --user out");
}

std::string user_of(const sdk::Bottle& bottle) {
  return std::to_string(get_int(bottle.data, "uid", 1000)) + ":" + std::to_string(get_int(bottle.data, "gid", 1000));
}

std::string container_of(Engine& engine, const sdk::Bottle& bottle) {
  const std::string known = get_string(bottle.data, "container");
  return known.empty() ? running_agent(engine, bottle.state_dir) : known;
}

/// The parent of a host path, opened as the operator would, and the name in it.
std::string open_host_end(const std::string& path, UniqueFd& parent) {
  if (!path.starts_with('/')) throw sdk::Error(sdk::Status::invalid_argument, "'" + path + "' is not an absolute path");
  const fs::path normal = fs::path(path).lexically_normal();
  const fs::path trimmed = normal.has_filename() ? normal : normal.parent_path();
  parent.reset(::open(trimmed.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent) throw Failure(error_from_errno("cannot open " + trimmed.parent_path().string(), errno));
  return trimmed.filename().string();
}

fs::path guest_path(const std::string& text) {
  const fs::path normal = fs::path(text).lexically_normal();
  if (!normal.is_absolute() || normal == "/")
    throw sdk::Error(sdk::Status::invalid_argument, "'" + text + "' is not an absolute path of the bottle");
  return normal.has_filename() ? normal : normal.parent_path();
}

[[noreturn]] void throw_guest(const std::string& what, const GuestResult& result) {
  std::string said = result.err.substr(0, 500);
  while (!said.empty() && said.back() == '\n') said.pop_back();
  const bool missing = said.find("No such file") != std::string::npos;
  const bool denied = said.find("ermission denied") != std::string::npos;
  throw sdk::Error(missing  ? sdk::Status::not_found
                   : denied ? sdk::Status::permission_denied
                            : sdk::Status::failed_precondition,
                   what + ": " + (said.empty() ? "code " + std::to_string(result.code) : said));
}

/// A directory of our own that goes with this object.
class Staging {
 public:
  explicit Staging(const std::string& state_dir) : path_(state_dir + "/backend/staging-" + random_base36(8)) {
    or_throw(make_directories(path_, 0700));
    fd_.reset(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd_) throw Failure(error_from_errno("cannot open " + path_, errno));
  }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  ~Staging() { static_cast<void>(remove_tree(path_)); }
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  std::string path_;
  UniqueFd fd_;
};

}  // namespace

std::string running_agent(Engine& engine, const std::string& state_dir) {
  for (const Owned& owned : list_owned(engine, Which::containers, state_dir))
    if (owned.component == "agent" && owned.running) return owned.id;
  throw sdk::Error(sdk::Status::failed_precondition, "the bottle is not running");
}

sdk::ExecResult DockerBackend::exec(const sdk::Call& call, const sdk::Bottle& bottle, const sdk::ExecRequest& request,
                                    int stdin_fd) {
  check_user(bottle, request);
  Engine& to = engine(call);
  GuestRun run;
  run.argv = request.argv;
  for (const auto& [name, value] : request.env) run.env.push_back(name + "=" + value);
  run.cwd = request.cwd.empty() ? get_string(bottle.data, "workspace_path", "/") : request.cwd;
  run.session = get_string(request.extra, "session");
  run.detached = get_bool(request.extra, "detached", false);
  run.tty = run.detached && request.tty;
  run.stdin_fd = stdin_fd;
  run.timeout = std::chrono::milliseconds(request.timeout_ms);
  run.max_output = request.max_output;
  run.cancel_fd = call.cancel_fd();
  GuestResult done = run_in_guest(to, container_of(to, bottle), user_of(bottle), run);
  sdk::ExecResult result;
  result.code = done.code;
  result.out = std::move(done.out);
  result.err = std::move(done.err);
  result.truncated = done.truncated;
  return result;
}

sdk::Attach DockerBackend::attach_argv(const sdk::Call& call, const sdk::Bottle& bottle,
                                       const sdk::ExecRequest& request) {
  check_user(bottle, request);
  Engine& to = engine(call);
  json::object env;
  for (const auto& [name, value] : request.env) env[name] = value;
  json::object document{
      {"schema", "bot-bottle.exec/1"},
      {"argv", to_array(request.argv)},
      {"env", std::move(env)},
      {"cwd", request.cwd.empty() ? get_string(bottle.data, "workspace_path", "/") : request.cwd},
      {"tty", request.tty},
      {"rows", request.rows},
      {"columns", request.columns},
      {"docker", {{"socket", to.socket()}, {"container", container_of(to, bottle)}, {"user", user_of(bottle)}}}};
  if (const std::string session = get_string(request.extra, "session"); !session.empty()) document["session"] = session;
  if (request.extra.contains("detached")) document["detached"] = get_bool(request.extra, "detached", false);
  sdk::Attach attach;
  attach.argv = {host().path(call, "libexec") + "/bottle-docker"};
  attach.env["BB_ATTACH_REQUEST"] = to_text(document);
  return attach;
}

void DockerBackend::copy_in(const sdk::Call& call, const sdk::Bottle& bottle, const sdk::CopyRequest& request) {
  Engine& to = engine(call);
  UniqueFd parent;
  const std::string name = open_host_end(request.source, parent);
  const fs::path dest = guest_path(request.dest);
  guest::PackOptions options;
  options.recursive = request.recursive;
  if (request.mode) options.mode = static_cast<mode_t>(*request.mode);
  options.going = [&call](std::uint64_t) { return !call.cancelled(); };
  // Packed into a pipe by a thread, sent from it: neither waits for all of the other.
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw Failure(error_from_errno("cannot make a pipe", errno));
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  std::string problem;
  bool packed = false;
  std::thread packer([&] {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
    const auto sink = [&](std::string_view bytes) { return write_all(write_end.get(), bytes).has_value(); };
    // An end is only written behind a whole tree: bottle-init takes anything else for cut short.
    packed = guest::pack_tree(parent.get(), name, dest.filename().string(), options, sink, problem) &&
             sink(guest::make_tar_end());
    write_end.reset();
  });
  GuestRun run;
  run.argv = {guest_init, "--unpack", dest.parent_path().string()};
  run.cwd = "/";
  run.stdin_fd = read_end.get();
  run.cancel_fd = call.cancel_fd();
  GuestResult done;
  try {
    done = run_in_guest(to, container_of(to, bottle), user_of(bottle), run);
  } catch (...) {
    read_end.reset();
    packer.join();
    throw;
  }
  read_end.reset();
  packer.join();
  call.check_cancelled();
  if (!packed && !problem.empty())
    throw sdk::Error(
        problem.find("No such file") != std::string::npos ? sdk::Status::not_found : sdk::Status::failed_precondition,
        "cannot copy " + request.source + ": " + problem);
  if (done.code != 0) throw_guest("cannot copy to " + request.dest, done);
}

void DockerBackend::copy_out(const sdk::Call& call, const sdk::Bottle& bottle, const sdk::CopyRequest& request) {
  Engine& to = engine(call);
  const fs::path source = guest_path(request.source);
  UniqueFd parent;
  const std::string name = open_host_end(request.dest, parent);
  const Staging staging(bottle.state_dir);
  guest::TreeWriter writer(staging.fd(), {});
  guest::TarReader reader(writer);
  bool good = true;
  GuestRun run;
  run.argv = {guest_init, "--pack", source.string()};
  run.cwd = "/";
  run.output = [&](std::string_view bytes) {
    good = good && reader.feed(bytes);
    if (!good)
      throw sdk::Error(sdk::Status::failed_precondition,
                       "what came out of the bottle as " + request.source +
                           " cannot be taken: " + (reader.problem().empty() ? writer.problem() : reader.problem()));
  };
  run.cancel_fd = call.cancel_fd();
  const GuestResult done = run_in_guest(to, container_of(to, bottle), user_of(bottle), run);
  if (done.code != 0) throw_guest("cannot copy " + request.source, done);
  if (!reader.is_complete())
    throw sdk::Error(sdk::Status::failed_precondition,
                     "what came out of the bottle as " + request.source + " is cut short");
  writer.finish();
  struct stat status {};
  if (::fstatat(staging.fd(), "copy", &status, AT_SYMLINK_NOFOLLOW) != 0)
    throw sdk::Error(sdk::Status::not_found, request.source + " is not a file or directory that can be copied");
  // The second copy is the one with the rules: links that lead out, modes, what is there already.
  backend_local::CopyOptions options;
  options.links = backend_local::LinkRule::keep_inside;
  options.recursive = request.recursive;
  if (request.mode) options.mode = static_cast<mode_t>(*request.mode);
  options.cancelled = [&call] { return call.cancelled(); };
  const backend_local::CopyReport report =
      or_throw(backend_local::copy_tree({staging.fd(), "copy"}, {parent.get(), name}, options));
  if (report.skipped + writer.skipped() > 0)
    host().warning(std::to_string(report.skipped + writer.skipped()) + " entries of " + request.source +
                   " were left out: devices, sockets, pipes, links that lead out");
}

}  // namespace bot_bottle::backend_docker
