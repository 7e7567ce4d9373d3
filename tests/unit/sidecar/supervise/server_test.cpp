// What a client cannot do to the server by being slow: every connection that does not go on is ended.
#include "sidecar/supervise/server.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>

#include "core/base/file.hpp"
#include "sidecar/egress/proxy.hpp"

namespace bot_bottle::supervise {
namespace {

using std::chrono::milliseconds;

class NoResolver final : public net::Resolver {
 public:
  std::unique_ptr<net::Lookup> resolve(const std::string&, net::OnAddresses) override { return nullptr; }
};

constexpr ServerBounds slow{.head = milliseconds(60'000),
                            .body = milliseconds(60'000),
                            .linger = milliseconds(60'000),
                            .progress = milliseconds(60'000)};

class SlowClient : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "bb-supervise-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    journal_ = or_throw(Journal::open(directory_ / "journal"));
    desk_ = std::make_unique<Desk>(
        DeskParts{.loop = loop_, .house = house_, .proxy = proxy_, .journal = *journal_, .gate = {}, .automatic = {}});
  }

  void TearDown() override {
    server_.reset();
    desk_.reset();
    std::filesystem::remove_all(directory_);
  }

  void serve(ServerBounds bounds) {
    server_ = std::make_unique<Server>(loop_, *desk_, ToolSettings{}, bounds);
    ASSERT_TRUE(server_->listen((directory_ / "socket").string()));
  }

  UniqueFd connect() const {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, (directory_ / "socket").c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);  // NOLINT
    return fd;
  }

  static void send(const UniqueFd& fd, std::string_view text) {
    EXPECT_EQ(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }

  /// Serves until `done`; false after ten seconds.
  bool serve_until(const std::function<bool()>& done) {
    bool late = false;
    net::Timer watchdog(loop_, [&late] { late = true; });
    watchdog.set(milliseconds(10'000));
    while (!late && !done()) loop_.run_once();
    return !late;
  }

  /// The server holds no end of it any more; nothing is read.
  static bool is_closed(const UniqueFd& fd) {
    pollfd entry{.fd = fd.get(), .events = 0, .revents = 0};
    return ::poll(&entry, 1, 0) == 1 && (entry.revents & POLLHUP) != 0;
  }

  /// What came by the time that `wanted` was in it.
  std::string read_until(const UniqueFd& fd, std::string_view wanted) {
    std::string text;
    EXPECT_TRUE(serve_until([&] {
      char part[4096];
      const ssize_t size = ::recv(fd.get(), part, sizeof part, 0);
      if (size > 0) text.append(part, static_cast<std::size_t>(size));
      return text.find(wanted) != std::string::npos;
    })) << text;
    return text;
  }

  std::string open_session() {
    const UniqueFd fd = connect();
    const std::string body =
        R"({"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},)"
        R"("clientInfo":{"name":"test","version":"1"}}})";
    send(fd,
         "POST /mcp HTTP/1.1\r\nHost: supervise:9100\r\nContent-Type: application/json\r\n"
         "Accept: application/json, text/event-stream\r\nContent-Length: " +
             std::to_string(body.size()) + "\r\n\r\n" + body);
    const std::string answer = read_until(fd, "\r\n\r\n");
    constexpr std::string_view field = "mcp-session-id: ";
    const std::size_t at = answer.find(field);
    if (at == std::string::npos) return answer;
    return answer.substr(at + field.size(), answer.find('\r', at) - at - field.size());
  }

  net::Loop loop_;
  NoResolver resolver_;
  egress::EventLog log_{loop_, "/dev/null", 0};
  egress::House house_{loop_, log_, resolver_};
  egress::Proxy proxy_{house_};
  std::filesystem::path directory_;
  std::optional<Journal> journal_;
  std::unique_ptr<Desk> desk_;
  std::unique_ptr<Server> server_;
};

TEST_F(SlowClient, that_never_ends_its_head_is_let_go) {
  ServerBounds bounds = slow;
  bounds.head = milliseconds(5);
  serve(bounds);
  const UniqueFd fd = connect();
  send(fd, "POST /mcp HT");
  EXPECT_TRUE(serve_until([&] { return is_closed(fd); }));
}

TEST_F(SlowClient, that_never_ends_its_body_is_let_go) {
  ServerBounds bounds = slow;
  bounds.body = milliseconds(5);
  serve(bounds);
  const UniqueFd fd = connect();
  send(fd,
       "POST /mcp HTTP/1.1\r\nHost: supervise:9100\r\nContent-Type: application/json\r\n"
       "Accept: application/json, text/event-stream\r\nContent-Length: 10\r\n\r\n{");
  EXPECT_TRUE(serve_until([&] { return is_closed(fd); }));
}

TEST_F(SlowClient, that_has_its_answer_and_stays_is_let_go) {
  ServerBounds bounds = slow;
  bounds.linger = milliseconds(5);
  serve(bounds);
  const UniqueFd fd = connect();
  send(fd, "PUT /mcp HTTP/1.1\r\nHost: supervise:9100\r\n\r\n");
  EXPECT_TRUE(serve_until([&] { return is_closed(fd); }));
}

TEST_F(SlowClient, that_reads_nothing_of_its_stream_is_let_go_before_much_is_queued) {
  ServerBounds bounds = slow;
  bounds.progress = milliseconds(1);
  bounds.unsent = 1024;
  serve(bounds);
  const std::string session = open_session();
  const UniqueFd fd = connect();
  send(fd, "GET /mcp HTTP/1.1\r\nHost: supervise:9100\r\nAccept: text/event-stream\r\nMcp-Session-Id: " + session +
               "\r\n\r\n");
  EXPECT_TRUE(serve_until([&] { return is_closed(fd); }));
  const Session* known = server_->sessions().find(session);
  ASSERT_NE(known, nullptr);
  EXPECT_EQ(known->streams, 0U) << "the session may open another";
}

TEST_F(SlowClient, beyond_the_most_connections_is_closed_unread_and_others_stay) {
  ServerBounds bounds = slow;
  bounds.connections = 2;
  serve(bounds);
  const std::array<UniqueFd, 2> first{connect(), connect()};
  for (const UniqueFd& fd : first) send(fd, "POST");
  const UniqueFd third = connect();
  EXPECT_TRUE(serve_until([&] { return is_closed(third); }));
  EXPECT_FALSE(is_closed(first[0]) || is_closed(first[1]));
}

}  // namespace
}  // namespace bot_bottle::supervise
