// A host for an author's unit tests: it records logs, progress and programs, answers services from tables, can end a
// call at the n-th service call, and notes every broken rule in `violations`.
//
//   sdk::FakeHost host;
//   MyProvider provider;
//   provider.set_host(host.host());
//   const sdk::ProviderPlan plan = provider.plan(host.call(), spec);       // errors arrive as sdk::Error
//
//   sdk::FakeHost::Outcome made = host.invoke([&](const bb_call* call, bb_writer out) {   // or through the C table
//     return table->plan(self, call, sdk::to_bb(text), out);
//   });
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bot_bottle/sdk/host.hpp"

namespace bot_bottle::sdk {

/// One thread. Not copied or moved: tables point into it.
class FakeHost {
 public:
  struct LogLine {
    bb_log_level level = BB_LOG_INFO;
    std::string text;
  };
  /// How a call through the C table ended.
  struct Outcome {
    Status status = Status::internal;
    std::string text;  // what was written
    std::string message;
    std::string hint;
    [[nodiscard]] json::object document() const { return parse_object(text); }
  };

  // What the plugin did.
  std::vector<LogLine> logs;
  std::vector<std::string> progress;
  std::vector<ProcessRequest> programs;  // run and spawn, in order
  std::vector<ChildFd> spawned_fds;      // of the last spawn; set before on_spawn is asked
  std::vector<HttpRequest> http_requests;
  std::vector<std::string> violations;  // empty at the end of a good test
  std::string message;                  // of the last failure
  std::string hint;

  // What the host answers. No function: the service does not exist.
  std::function<ProcessResult(const ProcessRequest&)> on_run = [](const ProcessRequest&) { return ProcessResult{}; };
  std::function<std::int64_t(const ProcessRequest&)> on_spawn = [](const ProcessRequest&) { return std::int64_t{1}; };
  std::function<HttpResponse(const HttpRequest&)> on_http;
  std::map<std::string, std::string> paths;    // by name
  std::map<std::string, std::string> secrets;  // granted ones

  FakeHost() {
    if (::pipe(cancel_) != 0) violations.emplace_back("the fake host has no pipe");
    host_.struct_size = sizeof host_;
    host_.abi_minor = BB_ABI_MINOR;
    host_.host_data = this;
    host_.log = [](const bb_host* host, bb_log_level level, bb_str text) {
      self_of(host->host_data).note_log(level, view(text));
    };
    host_.get_service = [](const bb_host* host, const char* id) { return self_of(host->host_data).find_service(id); };
    call_.struct_size = sizeof call_;
    call_.cancel_fd = cancel_[0];
    call_.host_data = this;
    call_.fail = [](const bb_call* call, bb_str text, bb_str advice) {
      self_of(call->host_data).note_failure(view(text), view(advice));
    };
    call_.progress = [](const bb_call* call, std::uint32_t permille, bb_str what) {
      FakeHost& self = self_of(call->host_data);
      if (permille > 1000 && permille != UINT32_MAX) self.violations.emplace_back("progress above 1000 permille");
      self.progress.emplace_back(view(what));
    };
    fill_services();
  }
  ~FakeHost() {
    ::close(cancel_[0]);
    ::close(cancel_[1]);
  }
  FakeHost(const FakeHost&) = delete;
  FakeHost& operator=(const FakeHost&) = delete;

  [[nodiscard]] Host host() const { return Host(&host_); }
  [[nodiscard]] const bb_host* raw_host() const { return &host_; }
  [[nodiscard]] Call call() const { return Call(&call_); }
  [[nodiscard]] const bb_call* raw_call() const { return &call_; }

  /// From now on every call is cancelled.
  void cancel() {
    if (!std::exchange(cancelled_, true) && ::write(cancel_[1], "x", 1) != 1)
      violations.emplace_back("the fake host cannot cancel");
  }
  /// Cancels when the n-th service call begins (1: the first). 0: never.
  void cancel_at(std::size_t service_call) { cancel_at_ = service_call; }
  [[nodiscard]] std::size_t service_calls() const { return service_calls_; }

  /// Makes one call the way the host does, and checks the rules: `fail` once and only with a status, the document is
  /// JSON.
  Outcome invoke(const std::function<bb_status(const bb_call*, bb_writer)>& body) {
    failures_ = 0;
    message.clear();
    hint.clear();
    Outcome outcome;
    const bb_status status = body(&call_, bb_writer{&outcome.text, detail::append_to_string});
    outcome.status = static_cast<Status>(status);
    outcome.message = message;
    outcome.hint = hint;
    if (status == BB_OK && failures_ != 0) violations.emplace_back("BB_OK after fail: " + message);
    if (status != BB_OK && failures_ == 0) violations.emplace_back("a status other than BB_OK without fail");
    if (failures_ > 1) violations.emplace_back("fail called more than once");
    if (status < BB_OK || status > BB_INTERNAL) violations.emplace_back("unknown status " + std::to_string(status));
    if (status == BB_OK && !outcome.text.empty()) {
      boost::system::error_code error;
      const json::value document = json::parse(outcome.text, error);
      if (error) violations.emplace_back("the document is not JSON");
      if (outcome.text.size() > (std::size_t{4} << 20)) violations.emplace_back("the document is larger than 4 MiB");
    }
    for (const auto& [name, value] : secrets) {
      if (value.empty()) continue;
      if (outcome.text.find(value) != std::string::npos)
        violations.emplace_back("secret " + name + " is in a document");
      if ((message + hint).find(value) != std::string::npos)
        violations.emplace_back("secret " + name + " is in a message");
    }
    return outcome;
  }

 private:
  static FakeHost& self_of(void* data) { return *static_cast<FakeHost*>(data); }

  void note_log(bb_log_level level, std::string_view text) {
    if (level > BB_LOG_MISBEHAVING) violations.emplace_back("unknown log level");
    for (const auto& [name, value] : secrets) {
      if (!value.empty() && text.find(value) != std::string_view::npos)
        violations.emplace_back("secret " + name + " is in a log line");
    }
    logs.push_back({level, std::string(text)});
  }
  void note_failure(std::string_view text, std::string_view advice) {
    ++failures_;
    message = text;
    hint = advice;
    if (text.empty()) violations.emplace_back("fail without a message");
    if (text.ends_with('.') || text.ends_with('\n'))
      violations.emplace_back("a message that ends in a full stop or newline: " + message);
  }

  const void* find_service(const char* id) const {
    if (std::strcmp(id, BB_SERVICE_PROCESS) == 0) return on_run ? &process_ : nullptr;
    if (std::strcmp(id, BB_SERVICE_PATHS) == 0) return &paths_table_;
    if (std::strcmp(id, BB_SERVICE_SECRET) == 0) return &secret_table_;
    if (std::strcmp(id, BB_SERVICE_HTTP_UNIX) == 0) return on_http ? &http_table_ : nullptr;
    return nullptr;
  }

  /// Counts the call, cancels when its time has come, and turns what an answer throws into a failed service call.
  template <typename Body>
  static bb_status serve(void* data, const bb_call* raw, Body&& body) noexcept {
    return detail::guarded(raw, [&](const Call& call) {
      FakeHost& self = self_of(data);
      if (++self.service_calls_ == self.cancel_at_) self.cancel();
      call.check_cancelled();
      body(self);
    });
  }

  void fill_services() {
    process_.struct_size = sizeof process_;
    process_.run = [](void* data, const bb_call* raw, bb_str request, bb_writer out) {
      return serve(data, raw, [&](FakeHost& self) {
        self.programs.push_back(parse_document<ProcessRequest>(view(request)));
        if (self.programs.back().argv.empty()) self.violations.emplace_back("a program without argv");
        detail::write_document(out, self.on_run(self.programs.back()));
      });
    };
    process_.spawn = [](void* data, const bb_call* raw, bb_str request, const std::int32_t* sources,
                        const std::int32_t* targets, std::uint32_t count, std::int64_t* pid) {
      return serve(data, raw, [&](FakeHost& self) {
        self.programs.push_back(parse_document<ProcessRequest>(view(request)));
        self.spawned_fds.clear();
        for (std::uint32_t index = 0; index < count; ++index)
          self.spawned_fds.push_back({sources[index], targets[index]});
        *pid = self.on_spawn(self.programs.back());
      });
    };
    paths_table_.struct_size = sizeof paths_table_;
    paths_table_.get = [](void* data, const bb_call* raw, bb_str name, bb_writer out) {
      return serve(data, raw, [&](FakeHost& self) {
        const auto found = self.paths.find(std::string(view(name)));
        if (found == self.paths.end()) throw Error(Status::not_found, "no path " + std::string(view(name)));
        detail::write_text(out, found->second);
      });
    };
    secret_table_.struct_size = sizeof secret_table_;
    secret_table_.open = [](void* data, const bb_call* raw, bb_str name, std::int32_t* fd) {
      return serve(data, raw, [&](FakeHost& self) {
        const auto found = self.secrets.find(std::string(view(name)));
        if (found == self.secrets.end())
          throw Error(Status::permission_denied, "secret " + std::string(view(name)) + " is not granted");
        int ends[2] = {-1, -1};
        if (::pipe(ends) != 0) throw Error(Status::internal, "no pipe");
        const bool written =
            ::write(ends[1], found->second.data(), found->second.size()) == static_cast<ssize_t>(found->second.size());
        ::close(ends[1]);
        *fd = ends[0];
        if (!written) throw Error(Status::internal, "the fake host's secrets are at most one pipe long");
      });
    };
    http_table_.struct_size = sizeof http_table_;
    http_table_.request = [](void* data, const bb_call* raw, bb_str request, bb_writer out) {
      return serve(data, raw, [&](FakeHost& self) {
        self.http_requests.push_back(parse_document<HttpRequest>(view(request)));
        detail::write_document(out, self.on_http(self.http_requests.back()));
      });
    };
  }

  bb_host host_{};
  bb_call call_{};
  bb_process_service process_{};
  bb_paths_service paths_table_{};
  bb_secret_service secret_table_{};
  bb_http_unix_service http_table_{};
  int cancel_[2] = {-1, -1};
  bool cancelled_ = false;
  std::size_t cancel_at_ = 0;
  std::size_t service_calls_ = 0;
  int failures_ = 0;
};

}  // namespace bot_bottle::sdk
