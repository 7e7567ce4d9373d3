// The host and its services as a class. A service that this host does not have is Error(unsupported) with its id.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bot_bottle/sdk/call.hpp"
#include "bot_bottle/sdk/host_documents.hpp"

namespace bot_bottle::sdk {

/// A descriptor that a started program gets under another number.
struct ChildFd {
  std::int32_t source = -1;  // borrowed
  std::int32_t target = -1;
};

/// Cheap to copy; lives as long as the process. Any thread. In a constructor of a plugin everything may be used.
class Host {
 public:
  Host() = default;
  explicit Host(const bb_host* host) : raw_(host), table_(detail::local_copy<bb_host>(host)) {}

  void log(bb_log_level level, std::string_view text) const {
    if (table_.log != nullptr) table_.log(raw_, level, to_bb(text));
  }
  void debug(std::string_view text) const { log(BB_LOG_DEBUG, text); }
  void info(std::string_view text) const { log(BB_LOG_INFO, text); }
  void warning(std::string_view text) const { log(BB_LOG_WARNING, text); }
  void error(std::string_view text) const { log(BB_LOG_ERROR, text); }

  /// The host's own table, copied; all null when the host has no such service.
  template <typename Table>
  [[nodiscard]] Table service(const char* id) const {
    return detail::local_copy<Table>(table_.get_service == nullptr ? nullptr : table_.get_service(raw_, id));
  }

  /// Runs a program to its end. Error: not_found (no such program), timeout, cancelled. A code other than 0 is a
  /// result.
  [[nodiscard]] ProcessResult run(const Call& call, const ProcessRequest& request) const {
    const auto process = service<bb_process_service>(BB_SERVICE_PROCESS);
    need(process.run != nullptr, BB_SERVICE_PROCESS);
    return parse_document<ProcessResult>(exchange(call, "run", [&](const bb_call* inner, bb_writer out) {
      const std::string text = json::serialize(to_json(request));
      return process.run(table_.host_data, inner, to_bb(text), out);
    }));
  }
  [[nodiscard]] ProcessResult run(const Call& call, std::vector<std::string> argv) const {
    ProcessRequest request;
    request.argv = std::move(argv);
    return run(call, request);
  }

  /// Starts a program that outlives the call; the caller reaps the pid. 0 to 2 are /dev/null unless in `fds`; all other
  /// descriptors are closed in the child.
  [[nodiscard]] std::int64_t spawn(const Call& call, const ProcessRequest& request,
                                   const std::vector<ChildFd>& fds = {}) const {
    const auto process = service<bb_process_service>(BB_SERVICE_PROCESS);
    need(process.spawn != nullptr, BB_SERVICE_PROCESS);
    std::vector<std::int32_t> sources;
    std::vector<std::int32_t> targets;
    for (const ChildFd& fd : fds) {
      sources.push_back(fd.source);
      targets.push_back(fd.target);
    }
    const std::string text = json::serialize(to_json(request));
    const detail::InnerCall inner(call);
    std::int64_t pid = -1;
    inner.check(process.spawn(table_.host_data, inner.raw(), to_bb(text), sources.data(), targets.data(),
                              static_cast<std::uint32_t>(fds.size()), &pid),
                "spawn");
    return pid;
  }

  /// "home", "state", "cache", "libexec", "share", "plugin", "operator-home": an absolute path.
  [[nodiscard]] std::string path(const Call& call, std::string_view name) const {
    const auto paths = service<bb_paths_service>(BB_SERVICE_PATHS);
    need(paths.get != nullptr, BB_SERVICE_PATHS);
    return exchange(call, "path", [&](const bb_call* inner, bb_writer out) {
      return paths.get(table_.host_data, inner, to_bb(name), out);
    });
  }

  /// The read end of a pipe that holds the secret and then ends; the caller closes it.
  [[nodiscard]] int open_secret(const Call& call, std::string_view name) const {
    const auto secret = service<bb_secret_service>(BB_SERVICE_SECRET);
    need(secret.open != nullptr, BB_SERVICE_SECRET);
    const detail::InnerCall inner(call);
    std::int32_t fd = -1;
    inner.check(secret.open(table_.host_data, inner.raw(), to_bb(name), &fd), "secret");
    return fd;
  }

  /// At most 64 KiB. Wipe it after use, and never put it in a document, a message, a log line or an argv.
  [[nodiscard]] std::string read_secret(const Call& call, std::string_view name) const {
    const int fd = open_secret(call, name);
    std::string text;
    char buffer[4096];
    ssize_t count = 0;
    while ((count = ::read(fd, buffer, sizeof buffer)) > 0 && text.size() <= (std::size_t{64} << 10)) {
      text.append(buffer, static_cast<std::size_t>(count));
    }
    ::close(fd);
    if (count != 0) throw Error(Status::internal, "secret " + std::string(name) + ": cannot be read to its end");
    return text;
  }

  /// HTTP/1.1 over a unix socket. A status of 400 and above is a result.
  [[nodiscard]] HttpResponse http(const Call& call, const HttpRequest& request) const {
    const auto service_table = service<bb_http_unix_service>(BB_SERVICE_HTTP_UNIX);
    need(service_table.request != nullptr, BB_SERVICE_HTTP_UNIX);
    return parse_document<HttpResponse>(exchange(call, "http", [&](const bb_call* inner, bb_writer out) {
      const std::string text = json::serialize(to_json(request));
      return service_table.request(table_.host_data, inner, to_bb(text), out);
    }));
  }

  [[nodiscard]] const bb_host* raw() const { return raw_; }

 private:
  static void need(bool present, const char* id) {
    if (!present)
      throw Error(Status::unsupported, std::string("this version of bot-bottle has no service ") + id,
                  "update bot-bottle");
  }
  template <typename Body>
  static std::string exchange(const Call& call, std::string_view what, Body&& body) {
    const detail::InnerCall inner(call);
    std::string text;
    inner.check(body(inner.raw(), bb_writer{&text, detail::append_to_string}), what);
    return text;
  }

  const bb_host* raw_ = nullptr;
  bb_host table_{};
};

/// What every interface derives from.
class Interface {
 public:
  Interface() = default;
  virtual ~Interface() = default;
  Interface(const Interface&) = delete;
  Interface& operator=(const Interface&) = delete;

  /// Set before any function of the interface is called. A class that needs it in its constructor takes a `const
  /// Host&`.
  [[nodiscard]] const Host& host() const { return host_; }
  /// For the thunks and for unit tests.
  void set_host(const Host& host) { host_ = host; }

 protected:
  [[noreturn]] static void unsupported(const char* ability) {
    throw Error(Status::unsupported, std::string("this plugin cannot ") + ability);
  }

 private:
  Host host_;
};

}  // namespace bot_bottle::sdk
