// Recording fakes of a backend and a provider, and a sidecar that is a thread. They keep every document they are given,
// so that a test can search all of them for what must not be there.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/base/file.hpp"
#include "core/base/random.hpp"
#include "core/plugins/registry.hpp"

namespace bot_bottle::launch::testing_fakes {

/// What a plugin does whose bottle does not answer: it waits until its call is cancelled.
inline void hang_until_cancelled(int cancel_fd) {
  pollfd cancel{.fd = cancel_fd, .events = POLLIN, .revents = 0};
  const bool cancelled = ::poll(&cancel, 1, 20'000) == 1;
  throw Failure(make_error(ErrorKind::cancelled, cancelled ? "cancelled" : "nobody cancelled it"));
}

/// Answers JSON lines on a unix socket until it goes.
class FakeSidecar {
 public:
  using Answer = std::function<std::string(const json::object& request)>;
  FakeSidecar(const std::filesystem::path& socket, Answer answer) : answer_(std::move(answer)) {
    listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, socket.c_str(), sizeof address.sun_path - 1);
    if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener_.get(), 8) != 0)
      throw Failure(error_from_errno("fake sidecar", errno));
    thread_ = std::jthread([this](const std::stop_token& token) { serve(token); });
  }

 private:
  void serve(const std::stop_token& token) {
    while (!token.stop_requested()) {
      pollfd polled{.fd = listener_.get(), .events = POLLIN, .revents = 0};
      if (::poll(&polled, 1, 10) <= 0) continue;
      const UniqueFd connection(::accept(listener_.get(), nullptr, nullptr));
      std::string line;
      char c = 0;
      while (::read(connection.get(), &c, 1) == 1 && c != '\n') line += c;
      const auto request = parse_json_object(line);
      if (!request) continue;
      const std::string text = answer_(*request);
      [[maybe_unused]] const auto sent = ::send(connection.get(), text.c_str(), text.size(), MSG_NOSIGNAL);
    }
  }
  Answer answer_;
  UniqueFd listener_;
  std::jthread thread_;
};

inline std::string ready_status(const json::object& request) {
  if (get_string(request, "call") != "status") return "{\"id\":1,\"ok\":{}}\n";
  return to_text(
             json::object{{"id", 1},
                          {"ok",
                           {{"ready", true},
                            {"ca_pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
                            {"counters", {{"requests", 3}, {"blocked", 1}, {"bytes_in", 10}, {"bytes_out", 20}}}}}}) +
         "\n";
}

class FakeBackend : public plugins::Backend {
 public:
  explicit FakeBackend(std::string name = "fake") : name_(std::move(name)) {}

  std::vector<std::string> calls;                        // "start_sidecar", "exec bottle-init --selftest", …
  std::vector<std::string> documents;                    // all that was handed over, as text
  std::vector<std::string> documents_of;                 // by call
  std::map<std::string, std::function<void()>> on_call;  // by verb: may throw
  std::string agent_script = "exit 0";
  std::map<std::string, json::object> exec_results;  // by argv[0]
  json::object probe_result{{"available", true}};
  json::array running;
  json::array orphan_items;
  int lifeline_given = -2;
  FakeSidecar::Answer answer = ready_status;
  std::filesystem::path state_dir;
  std::unique_ptr<FakeSidecar> sidecar;

  /// What came through the pipe, to its end.
  const std::string& sidecar_config() {
    if (config_reader_.joinable()) config_reader_.join();
    return sidecar_config_;
  }

  [[nodiscard]] const std::string& name() const override { return name_; }
  json::object probe() override { return probe_result; }
  json::object plan(const json::object& spec) override {
    record("plan", spec);
    state_dir = get_string(spec, "state_dir");
    return {{"schema", "bot-bottle.plan/1"},
            {"slug", get_string(spec, "slug")},
            {"backend", name_},
            {"state_dir", state_dir.string()}};
  }
  void build(const json::object& plan) override {
    record("build", plan);
    throw Failure(make_error(ErrorKind::unsupported, "no images here"));
  }
  json::object start_sidecar(const json::object& plan, int config_fd, int lifeline_fd) override {
    record("start_sidecar", plan);
    lifeline_given = lifeline_fd;
    const int copy = ::dup(config_fd);
    config_reader_ = std::jthread([this, copy] {
      const UniqueFd fd(copy);
      if (auto text = read_all(fd.get(), max_document_bytes)) sidecar_config_ = *text;
    });
    sidecar = std::make_unique<FakeSidecar>(state_dir / "control" / "control.sock", answer);
    return {{"schema", "bot-bottle.sidecar/1"}, {"pid", 0}};
  }
  json::object launch(const json::object& plan, const json::object& inputs, int) override {
    record("launch", plan);
    documents.push_back(to_text(inputs));
    return {{"schema", "bot-bottle.bottle/1"},
            {"slug", get_string(plan, "slug")},
            {"backend", name_},
            {"state_dir", state_dir.string()},
            {"endpoints", {{"egress", "127.0.0.1:9099"}}}};
  }
  json::object exec(const json::object&, const json::object& request, int) override {
    const auto argv = get_strings(request, "argv");
    record("exec " + argv.front() + (argv.size() > 1 ? " " + argv[1] : ""), request);
    if (const auto found = exec_results.find(argv.front()); found != exec_results.end()) return found->second;
    return {{"code", 0},
            {"stdout", argv.size() > 1 && argv[1] == "--selftest" ? R"({"ok":true,"failed":[]})" : ""},
            {"stderr", ""}};
  }
  json::object attach_argv(const json::object&, const json::object& request) override {
    record("attach_argv", request);
    return {{"schema", "bot-bottle.attach/1"},
            {"argv", json::array{"/bin/sh", "-c", agent_script}},
            {"env", json::object{}}};
  }
  void copy_in(const json::object&, const json::object& request) override { record("copy_in", request); }
  void copy_out(const json::object&, const json::object& request) override { record("copy_out", request); }
  void stop(const json::object& bottle) override {
    record("stop", bottle);
    sidecar.reset();
  }
  void remove(const json::object& bottle) override {
    record("remove", bottle);
    sidecar.reset();
  }
  json::object enumerate() override {
    record("enumerate", {});
    return {{"schema", "bot-bottle.bottles/1"}, {"bottles", running}};
  }
  json::object orphans(const std::vector<std::string>& known) override {
    record("orphans", {{"known", to_array(known)}});
    json::array left;
    for (const json::value& item : orphan_items)
      if (std::ranges::find(known, get_string(item.as_object(), "slug")) == known.end()) left.push_back(item);
    return {{"schema", "bot-bottle.orphans/1"}, {"items", left}};
  }
  void cleanup(const json::object& orphans) override { record("cleanup", orphans); }

  [[nodiscard]] bool was_called(const std::string& call) const { return std::ranges::find(calls, call) != calls.end(); }

 private:
  void record(const std::string& call, const json::object& document) {
    calls.push_back(call);
    documents.push_back(to_text(document));
    documents_of.push_back(documents.back());
    if (const auto found = on_call.find(call); found != on_call.end()) found->second();
  }
  std::string name_;
  std::string sidecar_config_;
  std::jthread config_reader_;
};

class FakeProvider : public plugins::Provider {
 public:
  std::vector<std::string> documents;
  json::object description{{"guest_home", "/home/agent"},
                           {"program", "tool"},
                           {"skills_dir", "/home/agent/.tool/skills"},
                           {"state_paths", json::array{"/home/agent/.tool/log"}}};
  json::object plan_result{
      {"argv", json::array{"tool"}},
      {"resume_argv", json::array{"tool", "--continue"}},
      {"headless_argv", json::array{"tool", "--print"}},
      {"headless_stdin", "prompt"},
      {"placeholders", json::array{json::object{{"value", "egress-placeholder"}, {"token_ref", "BB_TEST_TOKEN"}}}}};
  std::function<void()> on_provision;

  [[nodiscard]] const std::string& name() const override { return name_; }
  json::object describe() override { return description; }
  json::object plan(const json::object& spec) override {
    documents.push_back(to_text(spec));
    return plan_result;
  }
  bool provision(const json::object& spec, plugins::Backend&, const json::object&) override {
    documents.push_back(to_text(spec));
    if (on_provision) on_provision();
    return false;
  }
  json::object host_credentials(const json::object& spec, int secret_fd) override {
    documents.push_back(to_text(spec));
    or_throw(write_all(secret_fd, login));
    return login_result;
  }
  std::string login;
  json::object login_result{{"schema", "bot-bottle.host-credentials/1"}, {"expires_at", "2030-01-01T00:00:00Z"}};

 private:
  std::string name_ = "tool";
};

/// A home, an installation with a sidecar program that only knows --compile-rules, and a project.
struct Place {
  std::filesystem::path root = std::filesystem::temp_directory_path() / ("bb-" + random_base36(6));
  Home home;
  Installation installation;
  std::filesystem::path project;
  Place() {
    home.root = root / "h";
    project = root / "project";
    installation = {root / "bin", root / "libexec", root / "plugins", root / "share"};
    for (const auto& directory : {project, installation.libexec, installation.share / "rules"})
      std::filesystem::create_directories(directory);
    std::ofstream(installation.share / "rules" / "a.toml") << "x";
    std::ofstream(installation.libexec / "bot-bottle-sidecar")
        << "#!/bin/sh\necho compiled > \"$2\"\necho run >> " << (root / "compiled").string() << "\n";
    ::chmod((installation.libexec / "bot-bottle-sidecar").c_str(), 0755);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() { [[maybe_unused]] const auto removed = remove_tree(root); }
};

}  // namespace bot_bottle::launch::testing_fakes
