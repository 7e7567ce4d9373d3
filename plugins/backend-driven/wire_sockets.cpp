#include "plugins/backend-driven/wire_sockets.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/unique_fd.hpp"

namespace bot_bottle::driven {
namespace {

constexpr int socket_tries = 1000;
constexpr int socket_pause_ms = 10;

}  // namespace

std::string socket_directory(const std::string& state_dir) {
  return state_dir + "/backend/sockets";
}

void link_sockets(const sdk::Call& call, const std::string& state_dir, const std::vector<std::string>& names) {
  const std::string ours = socket_directory(state_dir);
  or_throw(make_directories(ours, 0700));
  const UniqueFd wire(::open((state_dir + "/wire").c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  const UniqueFd own(::open(ours.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!wire || !own) throw Failure(error_from_errno("cannot open the wire in " + state_dir, errno));
  for (const std::string& name : names) {
    const std::string file = name + ".sock";
    ::unlinkat(own.get(), file.c_str(), 0);
    struct stat status {};
    for (int i = 0; ::linkat(wire.get(), file.c_str(), own.get(), file.c_str(), 0) != 0; ++i) {
      if (errno != ENOENT || i >= socket_tries)
        throw Failure(error_from_errno("cannot take over the sidecar's socket " + file, errno));
      call.check_cancelled();
      ::poll(nullptr, 0, socket_pause_ms);
    }
    if (::fstatat(own.get(), file.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISSOCK(status.st_mode)) {
      ::unlinkat(own.get(), file.c_str(), 0);
      throw sdk::Error(sdk::Status::failed_precondition, "the sidecar's " + file + " is not a socket");
    }
    // The guest's end is root's with these bits, and bottle-init connects as the agent; nobody else gets into 0700.
    if (::chmod((ours + "/" + file).c_str(), 0666) != 0)
      throw Failure(error_from_errno("cannot open the socket " + file + " to the bottle", errno));
  }
}

}  // namespace bot_bottle::driven
