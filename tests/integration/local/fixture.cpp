#include "tests/integration/local/fixture.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <cstring>
#include <fstream>
#include <mutex>
#include <sstream>

#include "core/base/file.hpp"

namespace bot_bottle::test {
namespace {

std::mutex report_mutex;

int bind_unix(const std::filesystem::path& path, int type) {
  UniqueFd socket(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return -1;
  if (type == SOCK_STREAM) ::listen(socket.get(), 64);
  return socket.release();
}

}  // namespace

FakeWire::FakeWire(const std::filesystem::path& wire)
    : listener_(bind_unix(wire / "egress.sock", SOCK_STREAM)), report_(bind_unix(wire / "report.sock", SOCK_DGRAM)) {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  stop_read_.reset(ends[0]);
  stop_write_.reset(ends[1]);
  thread_ = std::thread([this] { serve(); });
}

FakeWire::~FakeWire() {
  stop_write_.reset();
  thread_.join();
}

void FakeWire::serve() {
  std::vector<UniqueFd> clients;
  while (true) {
    std::vector<pollfd> polled{{.fd = stop_read_.get(), .events = POLLIN, .revents = 0},
                               {.fd = listener_.get(), .events = POLLIN, .revents = 0},
                               {.fd = report_.get(), .events = POLLIN, .revents = 0}};
    for (const UniqueFd& client : clients) polled.push_back({.fd = client.get(), .events = POLLIN, .revents = 0});
    ::poll(polled.data(), polled.size(), -1);
    if (polled[0].revents != 0) return;
    std::array<char, 65536> bytes{};
    for (std::size_t i = 3; i < polled.size(); ++i) {
      if (polled[i].revents == 0) continue;
      const ssize_t got = ::recv(clients[i - 3].get(), bytes.data(), bytes.size(), 0);
      if (got <= 0) {
        clients[i - 3].reset();
        continue;
      }
      std::transform(bytes.begin(), bytes.begin() + got, bytes.begin(),
                     [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
      ::send(clients[i - 3].get(), bytes.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL);
    }
    std::erase_if(clients, [](const UniqueFd& client) { return !client; });
    if (polled[1].revents != 0)
      if (UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)); client)
        clients.push_back(std::move(client));
    if (polled[2].revents != 0) {
      const ssize_t got = ::recv(report_.get(), bytes.data(), bytes.size(), 0);
      const std::lock_guard lock(report_mutex);
      if (got > 0) reports_.append(bytes.data(), static_cast<std::size_t>(got)).push_back('\n');
    }
  }
}

bool FakeWire::has_report(const std::string& text) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (std::chrono::steady_clock::now() < deadline) {
    {
      const std::lock_guard lock(report_mutex);
      if (reports_.find(text) != std::string::npos) return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

void LocalBackendTest::SetUp() {
  std::string pattern = "/tmp/bb-local-XXXXXX";
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  home_ = pattern;
  const std::filesystem::path prefix = BB_BUILD_DIR;
  options_.home = Home{home_};
  options_.installation = {.bin = prefix / "bin",
                           .libexec = prefix / "libexec/bot-bottle",
                           .plugins = prefix / "lib/bot-bottle/plugins",
                           .share = prefix / "share/bot-bottle"};
  registry_ = std::make_unique<plugins::Registry>(options_);
}

void LocalBackendTest::TearDown() {
  for (const json::object& bottle : launched_) {
    try {
      backend().remove(bottle);
    } catch (const Failure& failure) {
      ADD_FAILURE() << failure.what();
    }
  }
  wires_.clear();
  registry_.reset();
  if (auto removed = remove_tree(home_); !removed) ADD_FAILURE() << removed.error().message;
}

json::object LocalBackendTest::spec(const std::string& slug) {
  return {{"schema", "bot-bottle.spec/1"},
          {"slug", slug},
          {"agent", "tester"},
          {"label", "a label"},
          {"version", "0.1.0"},
          {"state_dir", state_of(slug).string()},
          {"detached", true},
          {"program", ""},
          {"search_path", "/usr/bin:/bin"},
          {"bind_ro", json::array{}},
          {"rootfs", ""},
          {"guest", {{"user", "agent"}, {"uid", 1000}, {"gid", 1000}, {"home", "/home/agent"}}},
          {"workspace", {{"mode", "none"}, {"source", ""}, {"path", "/workspace"}}},
          {"resources", json::object{}},
          {"endpoints", json::array{"egress"}},
          {"reuse", false}};
}

json::object LocalBackendTest::launch(const json::object& spec, int lifeline_fd) {
  const std::string slug = get_string(spec, "slug");
  for (const char* name : {"wire", "logs", "backend"}) std::filesystem::create_directories(state_of(slug) / name);
  ::chmod((home_ / "state").c_str(), 0700);
  ::chmod(state_of(slug).c_str(), 0700);
  if (!std::filesystem::exists(state_of(slug) / "wire/egress.sock"))
    wires_.push_back(std::make_unique<FakeWire>(state_of(slug) / "wire"));
  const json::object plan = backend().plan(spec);
  const json::object bottle = backend().launch(plan, {{"schema", "bot-bottle.launch/1"}, {"ca_pem", ""}}, lifeline_fd);
  launched_.push_back(bottle);
  return bottle;
}

Output LocalBackendTest::run(const json::object& bottle, std::vector<std::string> argv, int stdin_fd) {
  const json::object result =
      backend().exec(bottle,
                     {{"schema", "bot-bottle.exec/1"},
                      {"argv", to_array(argv)},
                      {"env", {{"PATH", "/usr/local/bin:/usr/bin:/bin"}, {"HOME", "/home/agent"}}},
                      {"cwd", "/"},
                      {"user", "agent"},
                      {"timeout_ms", 20'000}},
                     stdin_fd);
  return {static_cast<int>(get_int(result, "code", -1)), get_string(result, "stdout"), get_string(result, "stderr")};
}

std::vector<std::string> LocalBackendTest::selftest(const json::object& bottle) {
  const Output output = run(bottle, get_strings(bottle, "selftest"));
  const auto report = parse_json_object(output.out.substr(0, output.out.find('\n')));
  EXPECT_TRUE(report) << output.out << output.err;
  if (!report) return {"no report"};
  EXPECT_EQ(get_bool(*report, "ok", false), output.code == 0);
  return get_strings(*report, "failed");
}

bool LocalBackendTest::soon(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(8);
  while (std::chrono::steady_clock::now() < deadline) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

int LocalBackendTest::processes_with(const std::string& marker) {
  int count = 0;
  std::error_code code;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", code)) {
    const std::string name = entry.path().filename().string();
    if (name.empty() || !std::isdigit(static_cast<unsigned char>(name[0]))) continue;
    if (read(entry.path() / "cmdline").find(marker) != std::string::npos) ++count;
  }
  return count;
}

bool LocalBackendTest::is_root() {
  return ::geteuid() == 0;
}

bool LocalBackendTest::is_running(const std::string& slug) {
  const json::object document = backend().enumerate();
  for (const json::value& value : *find_array(document, "bottles"))
    if (get_string(value.as_object(), "slug") == slug) return true;
  return false;
}

Error error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Failure& failure) {
    return failure.error();
  }
  ADD_FAILURE() << "it did not fail";
  return {};
}

void write(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace bot_bottle::test
