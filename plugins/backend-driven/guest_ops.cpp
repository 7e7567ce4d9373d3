#include "plugins/backend-driven/guest_ops.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <thread>
#include <utility>

#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "core/base/random.hpp"
#include "core/base/safe_path.hpp"
#include "plugins/backend-driven/tool.hpp"
#include "plugins/backend-local/copy_progress.hpp"
#include "plugins/backend-local/copy_tree.hpp"
#include "sidecar/guest/tree.hpp"

namespace bot_bottle::driven {
namespace {

namespace fs = std::filesystem;

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

/// Packed into a pipe by a thread, sent from it: neither waits for all of the other.
void send_tree(const sdk::Call& call, const OpenChannel& open, int root, const std::string& path, const std::string& as,
               const guest::PackOptions& options, const std::string& guest_directory, const std::string& what,
               std::uint64_t* sent) {
  PipeEnds ends = make_pipe();
  std::string problem;
  bool packed = false;
  std::thread packer([&] {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
    const auto sink = [&](std::string_view bytes) {
      if (sent != nullptr) *sent += bytes.size();
      return write_all(ends.write.get(), bytes).has_value();
    };
    // An end is only written behind a whole tree: bottle-init takes anything else for cut short.
    packed = guest::pack_tree(root, path, as, options, sink, problem) && sink(guest::make_tar_end());
    ends.write.reset();
  });
  GuestRun run;
  run.argv = {guest_init, "--unpack", guest_directory};
  run.cwd = "/";
  run.stdin_fd = ends.read.get();
  run.cancel_fd = call.cancel_fd();
  GuestResult done;
  try {
    done = run_in_guest(*open(), run);
  } catch (...) {
    ends.read.reset();
    packer.join();
    throw;
  }
  ends.read.reset();
  packer.join();
  call.check_cancelled();
  if (!packed && !problem.empty())
    throw sdk::Error(
        problem.find("No such file") != std::string::npos ? sdk::Status::not_found : sdk::Status::failed_precondition,
        "cannot copy " + what + ": " + problem);
  if (done.code != 0) throw_guest("cannot copy to " + guest_directory, done);
}

}  // namespace

void check_user(const sdk::Bottle& bottle, const sdk::ExecRequest& request) {
  if (request.user.empty() || request.user == "agent" || request.user == get_string(bottle.data, "user", "agent"))
    return;
  throw sdk::Error(sdk::Status::unsupported, "a bottle has one user: there is no '" + request.user + "' in it",
                   "leave --user out");
}

sdk::ExecResult exec_in_guest(const sdk::Call& call, const OpenChannel& open, const sdk::Bottle& bottle,
                              const sdk::ExecRequest& request, int stdin_fd) {
  check_user(bottle, request);
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
  GuestResult done = run_in_guest(*open(), run);
  sdk::ExecResult result;
  result.code = done.code;
  result.out = std::move(done.out);
  result.err = std::move(done.err);
  result.truncated = done.truncated;
  return result;
}

json::object attach_document(const sdk::Bottle& bottle, const sdk::ExecRequest& request) {
  check_user(bottle, request);
  json::object env;
  for (const auto& [name, value] : request.env) env[name] = value;
  json::object document{{"schema", "bot-bottle.exec/1"},
                        {"argv", to_array(request.argv)},
                        {"env", std::move(env)},
                        {"cwd", request.cwd.empty() ? get_string(bottle.data, "workspace_path", "/") : request.cwd},
                        {"tty", request.tty},
                        {"rows", request.rows},
                        {"columns", request.columns}};
  if (const std::string session = get_string(request.extra, "session"); !session.empty()) document["session"] = session;
  if (request.extra.contains("detached")) document["detached"] = get_bool(request.extra, "detached", false);
  return document;
}

void copy_into_guest(const sdk::Call& call, const OpenChannel& open, const sdk::CopyRequest& request) {
  UniqueFd parent;
  const std::string name = open_host_end(request.source, parent);
  const fs::path dest = guest_path(request.dest);
  guest::PackOptions options;
  options.recursive = request.recursive;
  if (request.mode) options.mode = static_cast<mode_t>(*request.mode);
  options.going = [&call](std::uint64_t) { return !call.cancelled(); };
  send_tree(call, open, parent.get(), name, dest.filename().string(), options, dest.parent_path().string(),
            request.source, nullptr);
}

void copy_out_of_guest(const sdk::Host& host, const sdk::Call& call, const OpenChannel& open,
                       const std::string& state_dir, const sdk::CopyRequest& request) {
  const fs::path source = guest_path(request.source);
  UniqueFd parent;
  const std::string name = open_host_end(request.dest, parent);
  const Staging staging(state_dir);
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
  const GuestResult done = run_in_guest(*open(), run);
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
    host.warning(std::to_string(report.skipped + writer.skipped()) + " entries of " + request.source +
                 " were left out: devices, sockets, pipes, links that lead out");
}

void copy_tree_into_guest(const sdk::Call& call, const OpenChannel& open, const std::string& source,
                          const std::string& guest_directory, const std::string& skip_tree) {
  const UniqueFd root(::open(source.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) throw Failure(error_from_errno("cannot read the workspace " + source, errno));
  guest::PackOptions options;
  struct stat own {};
  // A workspace that holds our own home (cwd = ~) would copy the copy.
  if (!skip_tree.empty() && ::stat(skip_tree.c_str(), &own) == 0) options.skip.emplace_back(own.st_dev, own.st_ino);
  const auto tell = backend_local::copy_report(call, "copying the workspace");
  std::uint64_t sent = 0;
  options.going = [&](std::uint64_t count) {
    tell(count, sent);
    return !call.cancelled();
  };
  send_tree(call, open, root.get(), ".", "", options, guest_directory, source, &sent);
}

void unpack_into_guest(const sdk::Call& call, const OpenChannel& open, std::string archive,
                       const std::string& guest_directory) {
  GuestRun run;
  run.argv = {guest_init, "--unpack", guest_directory};
  run.cwd = "/";
  run.cancel_fd = call.cancel_fd();
  run.input = [&, sent = false]() mutable -> std::optional<std::string> {
    if (std::exchange(sent, true)) return std::nullopt;
    return std::move(archive);
  };
  const GuestResult done = run_in_guest(*open(), run);
  if (done.code != 0) throw_guest("cannot write into " + guest_directory, done);
}

}  // namespace bot_bottle::driven
