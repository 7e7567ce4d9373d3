// freeze, exists, remove, export: an archive is streamed out of the running container and an image is built of it, on
// top of the agent's own image. What the agent can write is home and workspace (and /tmp, which is not kept).
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <thread>

#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "plugins/backend-apple/apple_backend.hpp"
#include "plugins/backend-apple/apple_freezer.hpp"
#include "plugins/backend-apple/images.hpp"
#include "plugins/backend-apple/tree_pull.hpp"
#include "sidecar/guest/tar.hpp"

namespace bot_bottle::backend_apple {
namespace {

constexpr std::chrono::milliseconds patience{30'000};

/// Stops everything of the agent's while it lives: the tool has no pause. A program with the agent's own rights signals
/// all that it may; its end, and so the end of its input and whatever ends us, continues them (bottle-init hangs up on
/// what lost its operator). The relay is root's: it is not among those.
class Stillness {
 public:
  Stillness(const sdk::Call& call, const ContainerTool& tool, const std::string& container)
      : input_(driven::make_pipe()), word_(driven::make_pipe()) {
    channel_ = open_relay(tool, container, "0:0");
    run_.argv = {"/bin/sh", "-c",
                 "trap 'kill -s CONT -- -1' EXIT; trap 'exit 1' HUP INT TERM; "
                 // Twice: what was forked meanwhile.
                 "kill -s STOP -- -1; kill -s STOP -- -1; echo still; read line; exit 0"};
    run_.env = {"PATH=/usr/local/bin:/usr/bin:/bin"};
    run_.cwd = "/";
    run_.stdin_fd = input_.read.get();
    run_.cancel_fd = call.cancel_fd();
    run_.output = [this](std::string_view bytes) { or_throw(write_all(word_.write.get(), bytes)); };
    worker_ = std::thread([this] {
      sigset_t all;
      sigfillset(&all);
      ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
      try {
        static_cast<void>(run_in_guest(*channel_, run_));
      } catch (...) {
        failure_ = std::current_exception();
      }
      word_.write.reset();
    });
    std::string said;
    while (said.find('\n') == std::string::npos) {
      pollfd entry{.fd = word_.read.get(), .events = POLLIN, .revents = 0};
      std::array<char, 64> bytes{};
      const int ready = ::poll(&entry, 1, static_cast<int>(patience.count()));
      const ssize_t got = ready > 0 ? ::read(word_.read.get(), bytes.data(), bytes.size()) : 0;
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      said.append(bytes.data(), static_cast<std::size_t>(got));
    }
    if (said == "still\n") return;
    end();
    if (failure_) std::rethrow_exception(failure_);
    throw sdk::Error(sdk::Status::failed_precondition, "the bottle could not be held still");
  }
  Stillness(const Stillness&) = delete;
  Stillness& operator=(const Stillness&) = delete;
  ~Stillness() { end(); }

 private:
  void end() {
    input_.write.reset();
    if (worker_.joinable()) worker_.join();
  }

  driven::PipeEnds input_;
  driven::PipeEnds word_;
  std::unique_ptr<driven::GuestChannel> channel_;
  driven::GuestRun run_;
  std::thread worker_;
  std::exception_ptr failure_;
};

}  // namespace

std::string snapshot_reference(const std::string& ref) {
  const std::size_t dot = ref.find('.');
  const auto plain = [](std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    });
  };
  // 128 characters are an image's tag at most; '-' cannot begin one.
  if (dot == std::string::npos || ref.size() > 100 || ref.front() == '-' || !plain(ref.substr(0, dot)) ||
      !plain(ref.substr(dot + 1)))
    throw sdk::Error(sdk::Status::invalid_argument, "'" + ref + "' is not a snapshot's name");
  return std::string(image_host) + "/snapshot:" + ref;
}

ContainerTool AppleFreezer::tool(const sdk::Call& call) {
  ContainerTool made;
  made.set_cancel_fd(call.cancel_fd());
  return made;
}

sdk::Snapshot AppleFreezer::freeze(const sdk::Call& call, const sdk::Bottle& bottle) {
  const ContainerTool with = tool(call);
  const std::string ref = get_string(bottle.extra, "snapshot");
  const std::string reference = snapshot_reference(ref);
  if (with.has_own_image(reference)) throw sdk::Error(sdk::Status::already_exists, "there is a snapshot " + ref);
  const auto owned = with.find(bottle.state_dir);
  if (!owned || owned->state != "running")
    throw sdk::Error(sdk::Status::failed_precondition, "the bottle is not running");
  std::uint64_t size = 0;
  const auto uid = static_cast<std::uint32_t>(get_int(bottle.data, "uid", 1000));
  const auto gid = static_cast<std::uint32_t>(get_int(bottle.data, "gid", 1000));
  build_on_top(with, call, reference, get_string(bottle.data, "image"), "snapshot", get_string(bottle.data, "version"),
               bottle.state_dir, [&](const std::string& path) {
                 const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
                 if (!file) throw Failure(error_from_errno("cannot make " + path, errno));
                 call.progress("freezing home and workspace");
                 const Stillness still(call, with, owned->id);
                 PulledNames names;
                 for (const std::string& directory : kept_directories(bottle.data)) {
                   // As root the packer could be made to read what the agent may not: it runs with the agent's rights,
                   // whoever the relay is.
                   const auto channel = open_relay(with, owned->id, "0:0");
                   size += pull_tree(call, *channel,
                                     {.directory = directory, .as = directory.substr(1), .uid = uid, .gid = gid},
                                     file.get(), names);
                 }
                 or_throw(write_all(file.get(), guest::make_tar_end()));
               });
  sdk::Snapshot snapshot;
  snapshot.kind = snapshot_kind;
  snapshot.ref = ref;
  snapshot.size = size;
  return snapshot;
}

bool AppleFreezer::exists(const sdk::Call& call, const std::string& ref) {
  return tool(call).has_own_image(snapshot_reference(ref));
}

void AppleFreezer::remove(const sdk::Call& call, const std::string& ref) {
  tool(call).remove_image(snapshot_reference(ref));
}

void AppleFreezer::export_to(const sdk::Call& call, const std::string& ref, const std::string& path) {
  const ContainerTool with = tool(call);
  const std::string reference = snapshot_reference(ref);
  if (!with.has_own_image(reference)) throw sdk::Error(sdk::Status::not_found, "no snapshot " + ref);
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) throw sdk::Error(sdk::Status::already_exists, path + " exists");
  try {
    with.save_image(reference, path);
  } catch (...) {
    ::unlink(path.c_str());
    throw;
  }
}

}  // namespace bot_bottle::backend_apple
