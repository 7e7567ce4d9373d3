#include "core/plugins/host.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <bot_bottle/sdk/call.hpp>
#include <bot_bottle/sdk/host_documents.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/base/process.hpp"
#include "core/base/secret.hpp"
#include "core/plugins/call.hpp"
#include "core/plugins/http_unix.hpp"
#include "core/plugins/tables.hpp"

namespace bot_bottle::plugins {
namespace {

constexpr std::size_t max_secret_bytes = std::size_t{64} << 10;  // a pipe's default capacity

PluginHost& host_of(void* data) {
  return *static_cast<PluginHost*>(data);
}

/// Tells the caller why a service failed. Our own call gets a note (the plugin may recover); a call that the plugin
/// made has a `fail` of its own.
bb_status answer(const bb_call* raw, const Error& error) {
  const bb_status status = status_of(error.kind);
  if (raw == nullptr) return status;
  if (PluginCall::is_ours(raw)) {
    PluginCall::note(raw, error);
    return status;
  }
  const auto call = normalise<bb_call>(raw);
  const std::string message = error.details.empty() ? error.message : error.message + "\n" + error.details;
  if (call.fail != nullptr) call.fail(raw, to_bb(message), to_bb(error.hint));
  return status;
}

/// The boundary of every service: nothing is thrown into a plugin.
template <typename Body>
bb_status serve(const bb_call* raw, Body&& body) noexcept {
  try {
    body();
    return BB_OK;
  } catch (const Failure& failure) {
    return answer(raw, failure.error());
  } catch (const sdk::Error& error) {
    return answer(raw, make_error(kind_of(static_cast<bb_status>(error.status)), error.message, error.hint));
  } catch (const std::exception& error) {
    return answer(raw, make_error(ErrorKind::internal, error.what()));
  }
}

int cancel_fd_of(const bb_call* raw) {
  if (raw == nullptr) return -1;
  const auto call = normalise<bb_call>(raw);
  return call.struct_size >= offsetof(bb_call, cancel_fd) + sizeof call.cancel_fd ? call.cancel_fd : -1;
}

void write_to(bb_writer out, std::string_view text) {
  if (const bb_status status = out.write(out.context, to_bb(text)); status != BB_OK) {
    throw Failure(make_error(kind_of(status), "the plugin did not take the result"));
  }
}

template <typename T>
T parse(bb_str text) {
  return sdk::from_json<T>(or_throw(parse_json_object(view(text))));
}

ProcessRequest to_request(const sdk::ProcessRequest& document, const bb_call* raw) {
  ProcessRequest request;
  request.argv = document.argv;
  request.env = document.env;
  request.cwd = document.cwd;
  request.stdin_text = document.stdin_text;
  request.timeout = std::chrono::milliseconds(document.timeout_ms);
  request.max_output = static_cast<std::size_t>(document.max_output);
  request.cancel_fd = cancel_fd_of(raw);
  request.session = document.session ? StartSession::yes : StartSession::no;
  return request;
}

bb_status process_run(void*, const bb_call* raw, bb_str text, bb_writer out) {
  return serve(raw, [&] {
    const auto result = or_throw(run_process(to_request(parse<sdk::ProcessRequest>(text), raw)));
    sdk::ProcessResult document;
    document.code = result.code;
    document.out = sdk::detail::to_valid_utf8(result.out);
    document.err = sdk::detail::to_valid_utf8(result.err);
    document.truncated = result.truncated;
    write_to(out, to_text(sdk::to_json(document)));
  });
}

bb_status process_spawn(void*, const bb_call* raw, bb_str text, const std::int32_t* fds, const std::int32_t* targets,
                        std::uint32_t fd_count, std::int64_t* pid) {
  return serve(raw, [&] {
    constexpr std::uint32_t most = 32;
    if (fd_count > most) throw Failure(make_error(ErrorKind::invalid_argument, "more than 32 descriptors to pass on"));
    ProcessRequest request = to_request(parse<sdk::ProcessRequest>(text), raw);
    for (std::uint32_t index = 0; index < fd_count; ++index) {
      if (targets[index] < 0 || targets[index] > 63)
        throw Failure(make_error(ErrorKind::invalid_argument, "a descriptor's target is not in 0 to 63"));
      request.fds.push_back({fds[index], targets[index]});
    }
    *pid = or_throw(spawn_process(request));
  });
}

bb_status paths_get(void* data, const bb_call* raw, bb_str name, bb_writer out) {
  return serve(raw, [&] {
    PluginHost& host = host_of(data);
    const std::string_view wanted = view(name);
    const std::string path = host.with_options([&](const HostOptions* options) -> std::string {
      if (wanted == "plugin") return host.directory().string();
      if (wanted == "operator-home") return or_throw(operator_home()).string();
      if (options == nullptr) throw Failure(make_error(ErrorKind::unavailable, "the host is ending"));
      if (wanted == "home") return options->home.root.string();
      if (wanted == "state") return options->home.state().string();
      if (wanted == "cache") return options->home.cache().string();
      if (wanted == "libexec") return options->installation.libexec.string();
      if (wanted == "share") return options->installation.share.string();
      throw Failure(make_error(ErrorKind::not_found, "the host has no path called " + std::string(wanted)));
    });
    write_to(out, path);
  });
}

bb_status secret_open(void* data, const bb_call* raw, bb_str name, std::int32_t* fd) {
  return serve(raw, [&] {
    PluginHost& host = host_of(data);
    const std::string wanted(view(name));
    auto value = host.with_options([&](HostOptions* options) -> std::optional<std::string> {
      if (options == nullptr || !options->find_secret) return std::nullopt;
      return options->find_secret(host.plugin(), wanted);
    });
    if (!value) {
      throw Failure(make_error(ErrorKind::permission_denied,
                               "the secret " + wanted + " is not granted to the plugin " + host.plugin(),
                               "name it in the bottle's manifest"));
    }
    int ends[2] = {-1, -1};
    const bool fits = value->size() <= max_secret_bytes;
    const bool made = fits && ::pipe(ends) == 0;
    UniqueFd reader(ends[0]);
    const UniqueFd writer(ends[1]);
    bool written = false;
    if (made) {
      ::fcntl(reader.get(), F_SETFD, FD_CLOEXEC);
      ::fcntl(writer.get(), F_SETFD, FD_CLOEXEC);
      ::fcntl(writer.get(), F_SETFL, O_NONBLOCK);
      written = ::write(writer.get(), value->data(), value->size()) == static_cast<ssize_t>(value->size());
    }
    wipe(value->data(), value->size());
    if (!written) throw Failure(make_error(ErrorKind::internal, "the secret " + wanted + " does not fit in a pipe"));
    *fd = reader.release();
  });
}

bb_status http_request(void*, const bb_call* raw, bb_str text, bb_writer out) {
  return serve(raw, [&] {
    auto document = parse<sdk::HttpRequest>(text);
    HttpRequest request{document.socket,  document.method,          document.target,
                        document.headers, std::move(document.body), std::chrono::milliseconds(document.timeout_ms),
                        cancel_fd_of(raw)};
    auto response = or_throw(request_over_unix(request));
    sdk::HttpResponse answer_document;
    answer_document.status = response.status;
    for (const auto& [name, value] : response.headers)
      answer_document.headers[name] = sdk::detail::to_valid_utf8(value);
    answer_document.body = sdk::detail::to_valid_utf8(response.body);
    write_to(out, to_text(sdk::to_json(answer_document)));
  });
}

constexpr bb_process_service process_service{sizeof(bb_process_service), process_run, process_spawn};
constexpr bb_paths_service paths_service{sizeof(bb_paths_service), paths_get};
constexpr bb_secret_service secret_service{sizeof(bb_secret_service), secret_open};
constexpr bb_http_unix_service http_unix_service{sizeof(bb_http_unix_service), http_request};

}  // namespace

PluginHost::PluginHost(std::string plugin, std::filesystem::path directory)
    : plugin_(std::move(plugin)), directory_(std::move(directory)) {
  table_.struct_size = sizeof table_;
  table_.abi_minor = BB_ABI_MINOR;
  table_.host_data = this;
  table_.log = [](const bb_host* host, bb_log_level level, bb_str text) {
    host_of(host->host_data).log(level, view(text));
  };
  table_.get_service = [](const bb_host* host, const char* id) { return host_of(host->host_data).find_service(id); };
}

void PluginHost::set_options(HostOptions* options) {
  const std::lock_guard lock(mutex_);
  options_ = options;
}

void PluginHost::log(std::uint32_t level, std::string_view text) {
  constexpr std::size_t max_line = std::size_t{16} << 10;
  const std::lock_guard lock(mutex_);
  if (options_ == nullptr || !options_->on_log) return;
  try {
    options_->on_log(level > BB_LOG_MISBEHAVING ? std::uint32_t{BB_LOG_ERROR} : level, plugin_,
                     sdk::detail::to_valid_utf8(text.substr(0, max_line)));
  } catch (...) {  // a display that fails must not unwind through the plugin
  }
}

void PluginHost::progress(std::uint32_t permille, std::string_view what) {
  const std::lock_guard lock(mutex_);
  if (options_ == nullptr || !options_->on_progress) return;
  try {
    options_->on_progress(permille, std::string(what));
  } catch (...) {  // as above
  }
}

const void* PluginHost::find_service(const char* id) {
  if (initialising_) {
    misbehaving("get_service was called from init, where only log may be used");
    return nullptr;
  }
  if (id == nullptr) return nullptr;
  if (std::strcmp(id, BB_SERVICE_PROCESS) == 0) return &process_service;
  if (std::strcmp(id, BB_SERVICE_PATHS) == 0) return &paths_service;
  if (std::strcmp(id, BB_SERVICE_SECRET) == 0) return &secret_service;
  if (std::strcmp(id, BB_SERVICE_HTTP_UNIX) == 0) return &http_unix_service;
  return nullptr;
}

}  // namespace bot_bottle::plugins
