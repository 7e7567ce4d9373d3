#include "sidecar/git_gate/child.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace bot_bottle::git_gate {
namespace {
constexpr std::size_t max_errors = std::size_t{64} << 10;
}

struct Child::Watch {
  uv_poll_t poll{};
  UniqueFd pidfd;
  net::Loop* loop = nullptr;
  Child* owner = nullptr;
  std::function<void(int)> on_exit;
};

Result<std::unique_ptr<Child>> Child::start(net::Loop& loop, ProcessRequest request,
                                            std::function<void(int code)> on_exit) {
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return fail(error_from_errno("socketpair", errno));
  UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  std::unique_ptr<Child> child(new Child);  // the constructor is private
  child->errors_.reset(::memfd_create("git-errors", MFD_CLOEXEC));
  if (!child->errors_) return fail(error_from_errno("memfd_create", errno));
  request.fds = {{theirs.get(), 0}, {theirs.get(), 1}, {child->errors_.get(), 2}};
  request.session = StartSession::yes;
  BB_TRY(child->pid_, spawn_process(request));
  auto watch = std::make_unique<Watch>();
  watch->pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, child->pid_, 0)));
  if (!watch->pidfd) return fail(error_from_errno("pidfd_open", errno));
  watch->loop = &loop;
  watch->owner = child.get();
  watch->on_exit = std::move(on_exit);
  watch->poll.data = watch.get();
  if (uv_poll_init(loop.raw(), &watch->poll, watch->pidfd.get()) != 0)
    return fail(ErrorKind::internal, "cannot watch a process");
  child->watch_ = watch.release();  // freed by the close callback
  uv_poll_start(&child->watch_->poll, UV_READABLE, [](uv_poll_t* raw, int, int) {
    Watch* one = static_cast<Watch*>(raw->data);
    uv_poll_stop(raw);
    if (one->owner == nullptr) return;
    const net::Loop::Turn turn(*one->loop);
    int status = 0;
    const pid_t pid = std::exchange(one->owner->pid_, -1);
    if (::waitpid(pid, &status, 0) != pid) status = 0x7f00;
    const auto on_done = std::move(one->on_exit);
    on_done(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  });
  BB_TRY(child->stream_, net::Stream::adopt(loop, std::move(ours)));
  return child;
}

Child::~Child() {
  stream_.close();
  if (pid_ > 0) {
    // The whole session: upload-pack has a pack-objects below it.
    ::kill(-pid_, SIGKILL);
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  if (watch_ == nullptr) return;
  watch_->owner = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&watch_->poll),
           [](uv_handle_t* raw) { delete static_cast<Watch*>(raw->data); });
}

std::string Child::errors() const {
  std::string text(max_errors, '\0');
  const ssize_t count = ::pread(errors_.get(), text.data(), text.size(), 0);
  text.resize(static_cast<std::size_t>(count > 0 ? count : 0));
  return text;
}

}  // namespace bot_bottle::git_gate
