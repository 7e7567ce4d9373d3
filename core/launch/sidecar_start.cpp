#include "core/launch/sidecar_start.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "core/base/file.hpp"
#include "core/base/process.hpp"
#include "core/base/random.hpp"
#include "core/base/text.hpp"
#include "core/launch/control_client.hpp"

namespace bot_bottle::launch {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto status_timeout = std::chrono::seconds(2);
// It is usually there within 20 ms: looked at often at first (a look costs some µs), seldom later.
constexpr auto eager_time = std::chrono::milliseconds(200);
constexpr auto eager_wait = std::chrono::microseconds(500);
constexpr auto patient_wait = std::chrono::milliseconds(20);
constexpr auto compile_timeout = std::chrono::minutes(3);
constexpr std::size_t log_tail_bytes = 4096;
constexpr std::string_view database_prefix = "dlp-rules-";
constexpr std::string_view unfinished_suffix = ".new";
constexpr auto unfinished_age = std::chrono::hours(1);
constexpr std::string_view own_database_prefix = "dlp-own-";
constexpr std::size_t max_own_rules_bytes = std::size_t{1} << 20;
constexpr auto own_database_age = std::chrono::hours(24 * 7);

std::filesystem::path sidecar_program(const Installation& installation) {
  return installation.libexec / "bot-bottle-sidecar";
}

/// Name, size and time of change of a file: what tells one build of it from another, without reading it.
std::string identity_of(const std::filesystem::path& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) return file.string() + " absent\n";
  return fmt::format("{} {} {}.{:09} {}\n", file.string(), status.st_size, status.st_mtim.tv_sec,
                     status.st_mtim.tv_nsec, status.st_ino);
}

void write_config(int fd, std::string_view text, Clock::time_point deadline, const Signals& signals) {
  ::fcntl(fd, F_SETFL, O_NONBLOCK);
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written > 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
      continue;
    }
    if (errno == EPIPE)
      throw Failure(make_error(ErrorKind::unavailable, "the sidecar ended before it had read its configuration"));
    if (errno != EAGAIN && errno != EINTR)
      throw Failure(error_from_errno("cannot give the sidecar its configuration", errno));
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) throw Failure(make_error(ErrorKind::timeout, "the sidecar does not read its configuration"));
    std::array<pollfd, 2> polled{
        {{.fd = fd, .events = POLLOUT, .revents = 0}, {.fd = signals.cancel_fd(), .events = POLLIN, .revents = 0}}};
    ::poll(polled.data(), polled.size(), static_cast<int>(left));
    signals.throw_if_cancelled();
  }
}

json::object wait_until_ready(const state::Directory& directory, const state::ProcessIdentity& process,
                              Clock::time_point deadline, const Signals& signals) {
  std::string last = "it does not listen";
  const auto eager_until = Clock::now() + eager_time;
  while (true) {
    try {
      json::object status = control_call(directory.control_socket(), {{"call", "status"}}, status_timeout);
      if (get_bool(status, "ready", false)) return status;
      last = "it says that it is not ready";
    } catch (const Failure& failure) {
      if (failure.error().kind != ErrorKind::unavailable && failure.error().kind != ErrorKind::timeout) throw;
      last = failure.error().message;
    }
    if (process.pid > 0 && !process.is_alive())
      throw Failure(make_error(ErrorKind::unavailable, "the sidecar ended while it started"));
    if (Clock::now() >= deadline)
      throw Failure(make_error(
          ErrorKind::timeout, fmt::format("the sidecar was not ready after {} s: {}", sidecar_deadline.count(), last)));
    pollfd polled{.fd = signals.cancel_fd(), .events = POLLIN, .revents = 0};
    const std::chrono::nanoseconds wait =
        Clock::now() < eager_until ? std::chrono::nanoseconds(eager_wait) : patient_wait;
    const timespec pause{.tv_sec = 0, .tv_nsec = wait.count()};
    ::ppoll(&polled, 1, &pause, nullptr);
    signals.throw_if_cancelled();
  }
}

}  // namespace

std::filesystem::path rules_database_path(const Home& home, const Installation& installation, const OwnRules& own) {
  std::vector<std::filesystem::path> files;
  std::error_code code;
  for (const char* folder : {"rules", "injection"})
    for (std::filesystem::directory_iterator it(installation.share / folder, code), end; !code && it != end;
         it.increment(code))
      files.push_back(it->path());
  std::ranges::sort(files);
  std::string identity = identity_of(sidecar_program(installation));
  for (const std::filesystem::path& file : files) identity += identity_of(file);
  // Its text, not its date: another one of the same size may come within the same second.
  if (!own.file.empty()) {
    identity += own.used_for == OwnRules::For::files ? "files\n" : "streams\n";
    identity += or_throw(read_file(own.file, max_own_rules_bytes));
  }
  return home.cache() / (std::string(own.file.empty() ? database_prefix : own_database_prefix) +
                         sha256_hex(identity).substr(0, 16) + ".db");
}

namespace {

ProcessResult run_sidecar(const Installation& installation, std::vector<std::string> arguments,
                          const Signals& signals) {
  ProcessRequest request;
  request.argv = {sidecar_program(installation).string()};
  std::ranges::move(arguments, std::back_inserter(request.argv));
  request.argv.insert(request.argv.end(), {"--share", installation.share.string()});
  request.env = std::map<std::string, std::string>{{"PATH", "/usr/bin:/bin"}, {"LANG", "C.UTF-8"}};
  request.timeout = compile_timeout;
  request.cancel_fd = signals.cancel_fd();
  return or_throw<ProcessResult>(run_process(request).map_error(in("compiling the DLP rules")));
}

/// What older versions and files left; another launch may be doing the same. A database of somebody's own rules goes
/// when it is old: another bottle may be about to read it.
void remove_old_databases(const std::filesystem::path& database) {
  std::error_code code;
  for (std::filesystem::directory_iterator it(database.parent_path(), code), end; !code && it != end;
       it.increment(code)) {
    const std::string name = it->path().filename().string();
    std::error_code ignored;
    const auto age = std::filesystem::file_time_type::clock::now() - it->last_write_time(ignored);
    if (name.ends_with(unfinished_suffix) && age > unfinished_age) ::unlink(it->path().c_str());  // of a killed launch
    if (!name.ends_with(".db") || it->path() == database) continue;
    if (database.filename().string().starts_with(database_prefix)
            ? name.starts_with(database_prefix)
            : name.starts_with(own_database_prefix) && age > own_database_age)
      ::unlink(it->path().c_str());
  }
}

}  // namespace

void ensure_rules_database(const std::filesystem::path& database, const Installation& installation,
                           const Signals& signals, const OwnRules& own) {
  if (::access(database.c_str(), R_OK) == 0) return;
  or_throw(make_directories(database.parent_path()));
  // Launches at once each make one, and the first stays: a file that is put into the place of another while a bottle is
  // binding that is gone for it (ENOENT from mount(2);
  // a_thousand_proposals_are_answered_once_while_the_screen_is_open).
  const std::string made = database.string() + "." + random_base36(8) + std::string(unfinished_suffix);
  std::vector<std::string> arguments{"--compile-rules", made};
  if (!own.file.empty()) arguments.insert(arguments.end(), {"--rules", own.file.string()});
  if (own.used_for == OwnRules::For::files) arguments.emplace_back("--for-files");
  const ProcessResult result = run_sidecar(installation, std::move(arguments), signals);
  if (result.code != 0) {
    Error error =
        make_error(ErrorKind::failed_precondition,
                   fmt::format("the DLP rules cannot be compiled (code {})", result.code), "bot-bottle doctor");
    error.details = std::string(trim(result.err));
    ::unlink(made.c_str());
    throw Failure(std::move(error));
  }
  const int linked = ::link(made.c_str(), database.c_str()) == 0 ? 0 : errno;
  ::unlink(made.c_str());
  if (linked != 0 && linked != EEXIST) throw Failure(error_from_errno("making " + database.string(), linked));
  remove_old_databases(database);
}

void remove_unused_database(const std::filesystem::path& database, const json::object& status) {
  if (get_string(status, "rules_from") == "rule files") ::unlink(database.c_str());
}

std::vector<std::string> check_own_rules(const std::filesystem::path& file, const Installation& installation,
                                         const Signals& signals) {
  const ProcessResult result = run_sidecar(installation, {"--check-rules", file.string()}, signals);
  if (result.code != 0) {
    Error error = make_error(ErrorKind::invalid_argument, "egress.dlp.rules: " + file.string() + " cannot be used");
    error.details = std::string(trim(result.err));
    throw Failure(std::move(error));
  }
  std::vector<std::string> notes;
  for (const std::string_view line : split(trim(result.out), '\n'))
    if (!line.empty()) notes.emplace_back(line);
  return notes;
}

json::object start_sidecar(plugins::Backend& backend, const json::object& plan, const SecretBytes& config,
                           int lifeline_fd, const state::Directory& directory, const Signals& signals) {
  const auto deadline = Clock::now() + sidecar_deadline;
  std::array<int, 2> fds{};
  if (::pipe2(fds.data(), O_CLOEXEC) != 0) throw Failure(error_from_errno("cannot make a pipe", errno));
  UniqueFd read_end(fds[0]);
  UniqueFd write_end(fds[1]);
  try {
    const json::object sidecar = backend.start_sidecar(plan, read_end.get(), lifeline_fd);
    read_end.reset();
    state::ProcessIdentity process;
    process.pid = static_cast<pid_t>(get_int(sidecar, "pid", 0));
    write_config(write_end.get(), config.view(), deadline, signals);
    write_end.reset();
    return wait_until_ready(directory, process, deadline, signals);
  } catch (const Failure& failure) {
    Error error = failure.error();
    const std::string tail = directory.log_tail("sidecar.log", log_tail_bytes);
    if (error.kind != ErrorKind::cancelled && !tail.empty())
      error.details += (error.details.empty() ? "" : "\n") + std::string("sidecar.log:\n") + std::string(trim(tail));
    throw Failure(std::move(error));
  }
}

}  // namespace bot_bottle::launch
