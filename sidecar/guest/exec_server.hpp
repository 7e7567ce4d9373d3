// Runs programs in the bottle for the operator: the exec socket's server (protocol.hpp), the children, and the sessions
// that outlive their client.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/unique_fd.hpp"
#include "sidecar/guest/loop.hpp"
#include "sidecar/guest/protocol.hpp"

namespace bot_bottle::guest {

/// Limits of every program; 0 = leave as it is. Hard and soft alike.
struct ChildLimits {
  std::uint64_t processes = 0;   // RLIMIT_NPROC
  std::uint64_t data_bytes = 0;  // RLIMIT_DATA, per process
  std::uint64_t files = 0;       // RLIMIT_NOFILE
};

class ExecServer {
 public:
  ExecServer(Loop& loop, UniqueFd listener, ChildLimits limits, UniqueFd landlock);
  ~ExecServer();
  /// A child ended (from waitpid). Unknown pids are orphans that pid 1 inherited.
  void on_exit(pid_t pid, int status);
  /// SIGTERM to everything, SIGKILL after a second, then the end of this process and with it the namespace.
  void shut_down();
  [[nodiscard]] bool is_ending() const { return ending_; }

 private:
  struct Client;
  struct Program;

  void on_connection();
  bool make_room(bool inside);
  void on_bytes(Client& client);
  void on_frame(Client& client, const Frame& frame);
  void start(Client& client, const Request& request);
  void attach(Client& client, Program& program);
  void on_started(Program& program);
  void on_output(Program& program);
  void drop(Client& client);
  static void refuse(int socket, int error, std::string_view text);

  Loop& loop_;
  UniqueFd listener_;
  ChildLimits limits_;
  UniqueFd landlock_;
  std::list<std::unique_ptr<Client>> clients_;
  std::map<pid_t, std::unique_ptr<Program>> programs_;
  bool ending_ = false;
};

}  // namespace bot_bottle::guest
