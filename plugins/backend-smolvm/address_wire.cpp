#include "plugins/backend-smolvm/address_wire.hpp"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>

#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "core/base/unique_fd.hpp"
#include "plugins/backend-driven/machine_record.hpp"
#include "plugins/backend-smolvm/smolvm_backend.hpp"

namespace bot_bottle::backend_smolvm {
namespace {

using namespace std::chrono_literals;
constexpr int egress_port = 9099;
constexpr auto probe_call = 60s;

UniqueFd listen_on(const std::string& address, int port) {
  UniqueFd listener(::socket(AF_INET, SOCK_STREAM, 0));
  if (!listener) return listener;
  ::fcntl(listener.get(), F_SETFD, FD_CLOEXEC);
  const int yes = 1;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in place{};
  place.sin_family = AF_INET;
  place.sin_port = htons(static_cast<std::uint16_t>(port));
  ::inet_pton(AF_INET, address.c_str(), &place.sin_addr);
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&place), sizeof place) != 0 ||
      ::listen(listener.get(), 4) != 0)
    listener.reset();
  return listener;
}

/// In the order in which they are tried: by the bottle, so that a resume finds its own and launches rarely meet.
std::vector<std::string> candidates(const std::string& state_dir) {
  const auto start = static_cast<unsigned>(std::stoul(sha256_hex(state_dir).substr(0, 6), nullptr, 16));
  std::vector<std::string> all;
#ifdef __APPLE__
  for (unsigned i = 0; i < 16; ++i) all.push_back("127.0.0." + std::to_string(16 + (start + i) % 16));
#else
  for (unsigned i = 0; i < 1024; ++i) {
    const unsigned at = (start + i * 257) % (254 * 254);
    all.push_back("127.77." + std::to_string(1 + at / 254) + "." + std::to_string(1 + at % 254));
  }
#endif
  return all;
}

/// The few functions of SQLite's C interface that reading one row takes (sqlite.org/c3ref), bound when an old smolvm is
/// there: nobody else needs the library.
class Sqlite {
 public:
  Sqlite() {
#ifdef __APPLE__
    library_.reset(::dlopen("/usr/lib/libsqlite3.dylib", RTLD_NOW | RTLD_LOCAL));
#else
    library_.reset(::dlopen("libsqlite3.so.0", RTLD_NOW | RTLD_LOCAL));
#endif
    if (!library_)
      throw sdk::Error(sdk::Status::failed_precondition,
                       "what smolvm stored cannot be read: there is no SQLite library",
                       "sudo apt-get install libsqlite3-0, or use smolvm 1.7.0 or newer");
    bind("sqlite3_open_v2", open);
    bind("sqlite3_close_v2", close);
    bind("sqlite3_busy_timeout", busy_timeout);
    bind("sqlite3_prepare_v2", prepare);
    bind("sqlite3_bind_text", bind_text);
    bind("sqlite3_step", step);
    bind("sqlite3_column_blob", column_blob);
    bind("sqlite3_column_bytes", column_bytes);
    bind("sqlite3_finalize", finalize);
  }

  int (*open)(const char*, void**, int, const char*) = nullptr;
  int (*close)(void*) = nullptr;
  int (*busy_timeout)(void*, int) = nullptr;
  int (*prepare)(void*, const char*, int, void**, const char**) = nullptr;
  int (*bind_text)(void*, int, const char*, int, void (*)(void*)) = nullptr;
  int (*step)(void*) = nullptr;
  const void* (*column_blob)(void*, int) = nullptr;
  int (*column_bytes)(void*, int) = nullptr;
  int (*finalize)(void*) = nullptr;

 private:
  template <typename Function>
  void bind(const char* name, Function& into) {
    void* const found = ::dlsym(library_.get(), name);
    if (found == nullptr)
      throw sdk::Error(sdk::Status::failed_precondition, std::string("the SQLite library has no ") + name);
    std::memcpy(&into, &found, sizeof into);
  }
  struct Close {
    void operator()(void* library) const { ::dlclose(library); }
  };
  std::unique_ptr<void, Close> library_;
};

std::string database_path(const driven::Tool& tool) {
  const auto value = [&](const char* name) {
    const auto found = tool.environment().find(name);
    return found == tool.environment().end() ? std::string() : found->second;
  };
#ifdef __APPLE__
  return value("HOME") + "/Library/Application Support/smolvm/server/smolvm.db";
#else
  const std::string data = value("XDG_DATA_HOME");
  return (data.empty() ? value("HOME") + "/.local/share" : data) + "/smolvm/server/smolvm.db";
#endif
}

/// smolvm's record of a machine; nothing when there is none.
std::optional<json::object> stored_record(const std::string& path, const std::string& name) {
  constexpr int open_read_only = 1;
  constexpr int row = 100;
  const Sqlite sqlite;
  void* database = nullptr;
  void* statement = nullptr;
  std::optional<json::object> record;
  if (sqlite.open(path.c_str(), &database, open_read_only, nullptr) == 0) {
    sqlite.busy_timeout(database, 5'000);
    if (sqlite.prepare(database, "SELECT data FROM vms WHERE name = ?1", -1, &statement, nullptr) == 0 &&
        sqlite.bind_text(statement, 1, name.c_str(), -1, nullptr) == 0 && sqlite.step(statement) == row) {
      const auto* const data = static_cast<const char*>(sqlite.column_blob(statement, 0));
      const int size = sqlite.column_bytes(statement, 0);
      if (data != nullptr && size > 0)
        if (auto parsed = parse_json_object({data, static_cast<std::size_t>(size)})) record = std::move(*parsed);
    }
    sqlite.finalize(statement);
  }
  sqlite.close(database);
  return record;
}

}  // namespace

std::string reserve_address(const std::string& home, const std::string& state_root, const std::string& state_dir,
                            json::object record) {
  const std::string lock_path = home + "/smolvm-addresses.lock";
  const UniqueFd lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock || ::flock(lock.get(), LOCK_EX) != 0) throw Failure(error_from_errno("cannot lock " + lock_path, errno));
  std::vector<std::string> taken;
  for (const driven::RecordedMachine& machine : driven::list_records(state_root, backend_name))
    if (machine.state_dir != state_dir) {
      if (!machine.problem.empty())
        throw sdk::Error(sdk::Status::failed_precondition,
                         "which addresses are taken cannot be said: " + machine.problem);
      taken.push_back(get_string(machine.record, "address"));
    }
  std::vector<std::string> tried = candidates(state_dir);
  if (const auto before = driven::load_record(state_dir); before && !get_string(*before, "address").empty())
    tried = {get_string(*before, "address")};  // its machine's allow-list names it, and cannot be changed
  bool exists = false;
  for (const std::string& address : tried) {
    if (std::ranges::find(taken, address) != taken.end()) continue;
    // Another home's bottle is seen by what it listens on.
    const bool is_free = static_cast<bool>(listen_on(address, egress_port));
    exists = exists || is_free || errno == EADDRINUSE;
    if (!is_free) continue;
    record["address"] = address;
    driven::save_record(state_dir, std::move(record));
    return address;
  }
  if (!exists)
    throw sdk::Error(sdk::Status::unavailable, tried.front() + " is no address of this machine",
                     "sudo ifconfig lo0 alias " + tried.front() + " up");
  throw sdk::Error(sdk::Status::unavailable,
                   tried.size() == 1 ? "the bottle's address " + tried.front() + " is taken"
                                     : "all loopback addresses for bottles are taken",
                   "stop a bottle");
}

std::vector<int> ports_on_all_addresses() {
  std::set<int> ports;
  for (const char* path : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    const auto text = read_file(path, std::size_t{4} << 20);
    if (!text) continue;
    for (const std::string_view line : split(*text, '\n')) {
      // proc_net(5): "  0: ADDRESS:PORT REMOTE:PORT STATE …" in hex; 0A is listening, zeros are any address.
      const std::size_t start = line.find(": ");
      const std::size_t colon = line.find(':', start == std::string_view::npos ? start : start + 2);
      if (colon == std::string_view::npos || line.size() < colon + 5) continue;
      if (line.substr(start + 2, colon - start - 2).find_first_not_of('0') != std::string_view::npos) continue;
      const std::size_t state = line.find(' ', line.find(' ', colon) + 1);
      if (state != std::string_view::npos && line.substr(state + 1, 2) == "0A")
        ports.insert(static_cast<int>(std::strtol(std::string(line.substr(colon + 1, 4)).c_str(), nullptr, 16)));
    }
  }
  return {ports.begin(), ports.end()};
}

void check_stored_allow_list(const driven::Tool& tool, const std::string& name, const std::string& address) {
  const std::string path = database_path(tool);
  const auto record = stored_record(path, name);
  const char* const fix = "use smolvm 1.7.0 or newer";
  if (!record)
    throw sdk::Error(sdk::Status::failed_precondition,
                     "what smolvm stored of the machine " + name + " cannot be read from " + path, fix);
  const json::array* allowed = find_array(*record, "allowed_cidrs");
  if (allowed == nullptr)
    throw sdk::Error(sdk::Status::failed_precondition,
                     "smolvm has dropped the allow-list of the machine " + name + ": it would reach every address",
                     fix);
  const std::vector<std::string> stored = get_strings(*record, "allowed_cidrs");
  const json::array* hosts = find_array(*record, "dns_filter_hosts");
  if (stored != std::vector<std::string>{address + "/32"} || allowed->size() != 1 ||
      (hosts != nullptr && !hosts->empty()))
    throw sdk::Error(sdk::Status::failed_precondition,
                     "smolvm has stored another allow-list for the machine " + name + ": " + join(stored, ", "), fix);
}

std::vector<std::string> endpoint_options(const json::object& plan_data, const std::string& address) {
  std::vector<std::string> options;
  const json::array* endpoints = find_array(plan_data, "endpoints");
  if (endpoints == nullptr) return options;
  for (const json::value& value : *endpoints) {
    const std::string name = get_string(value.as_object(), "name");
    const std::string port = std::to_string(get_int(value.as_object(), "port", 0));
    options.push_back(
        name + "=" + port + ":" +
        (address.empty() ? std::string(wire_in_machine) + "/" + name + ".sock" : "tcp:" + address + ":" + port));
  }
  return options;
}

void probe_from_inside(Machines& machines, const std::string& name, const std::string& address,
                       const json::object& plan_data) {
  // Open for as long as the question takes: who gets through has seen a service of this machine.
  const UniqueFd forbidden = listen_on("127.0.0.1", 0);
  sockaddr_in place{};
  socklen_t size = sizeof place;
  if (!forbidden || ::getsockname(forbidden.get(), reinterpret_cast<sockaddr*>(&place), &size) != 0)
    throw Failure(error_from_errno("cannot listen on 127.0.0.1", errno));
  const std::string port = std::to_string(ntohs(place.sin_port));
  std::vector<std::string> argv{init_in_machine, "--selftest", "--own-kernel"};
  for (const std::string& option : endpoint_options(plan_data, address))
    argv.insert(argv.end(), {"--endpoint", option});
  argv.insert(argv.end(), {"--endpoint", "forbidden=" + port + ":tcp:127.0.0.1:" + port});
  driven::ToolRun run;
  run.deadline = probe_call;
  const driven::ToolResult result = machines.exec_as_root(name, argv, std::move(run));
  const auto answer = parse_json_object(trim(result.out));
  const char* const fix = "use smolvm 1.7.0 or newer";
  if (!answer || !answer->contains("failed"))
    throw sdk::Error(sdk::Status::failed_precondition,
                     "the machine " + name + " could not be asked what it reaches: " + driven::complaint_of(result),
                     fix);
  bool refused = false;
  for (const std::string& failed : get_strings(*answer, "failed")) {
    if (failed.starts_with("endpoint forbidden: ")) refused = true;
    if (failed.starts_with("endpoint ") && !failed.starts_with("endpoint forbidden"))
      throw sdk::Error(sdk::Status::failed_precondition,
                       "the machine " + name + " does not reach its sidecar at " + address + ": " + failed, fix);
    if (failed.starts_with("network: "))
      throw sdk::Error(sdk::Status::failed_precondition,
                       "the walls of the machine " + name + " do not stand: " + failed, fix);
  }
  if (!refused)
    throw sdk::Error(sdk::Status::failed_precondition,
                     "the allow-list of the machine " + name +
                         " does not hold: from inside, a service on this machine's 127.0.0.1 could be reached",
                     fix);
}

}  // namespace bot_bottle::backend_smolvm
