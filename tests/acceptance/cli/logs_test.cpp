// `logs`: filters, JSON, and -f, which ends with the bottle.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <functional>

#include "core/base/clock.hpp"
#include "tests/acceptance/cli/cli_fixture.hpp"

namespace bot_bottle::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Logs : public Cli {
 protected:
  Logs() {
    std::filesystem::create_directories(state() / "logs");
    // Not every bottle has said who it is yet; logs works all the same.
    (void)write_file_fast(state() / "metadata.json", R"({"schema":"bot-bottle.metadata/1","slug":"x-1","agent":"x"})");
  }
  [[nodiscard]] std::filesystem::path state() const { return bottle_home() / "state/x-1"; }
  void append(const std::string& text) const {
    const UniqueFd fd(::open((state() / "logs/events.jsonl").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    ASSERT_TRUE(fd);
    ASSERT_TRUE(write_all(fd.get(), text + "\n"));
  }
  /// A sidecar's control channel, as far as `logs -f` knows it: it can be connected to, and ends.
  [[nodiscard]] UniqueFd listen() const {
    std::filesystem::create_directories(state() / "control");
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    const std::string path = (state() / "control/control.sock").string();
    if (path.size() >= sizeof address.sun_path) return {};
    path.copy(address.sun_path, path.size());
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(fd.get(), 4) != 0)
      return {};
    return fd;
  }
  void follow_to(const std::function<void(UniqueFd& sidecar)>& end);
  static std::string event(const std::string& kind, const std::string& host, std::int64_t age_ms = 0) {
    return to_text(json::object{{"time", format_time(now_ms() - age_ms)},
                                {"kind", kind},
                                {"level", "block"},
                                {"event", "request"},
                                {"host", host}});
  }
};

TEST_F(Logs, filters_by_kind_and_age) {
  append(event("egress", "old.example.com", 7'200'000));
  append(event("egress", "new.example.com"));
  append(event("dns", "name.example.com"));
  const std::string all = run({"logs", "x-1"}).out;
  EXPECT_THAT(all, HasSubstr("old.example.com"));
  EXPECT_THAT(all, HasSubstr("name.example.com"));
  const std::string egress = run({"logs", "x-1", "--kind", "egress"}).out;
  EXPECT_THAT(egress, HasSubstr("new.example.com"));
  EXPECT_THAT(egress, Not(HasSubstr("name.example.com")));
  const std::string both = run({"logs", "--kind", "egress,dns", "x-1", "--since", "1h"}).out;
  EXPECT_THAT(both, HasSubstr("new.example.com"));
  EXPECT_THAT(both, HasSubstr("name.example.com"));
  EXPECT_THAT(both, Not(HasSubstr("old.example.com")));
  EXPECT_EQ(run({"logs", "x-1", "--kind", "egres"}).code, 2);
  EXPECT_EQ(run({"logs", "x-1", "--since", "noon"}).code, 2);
}

TEST_F(Logs, hostile_events_are_shown_and_not_obeyed_D7) {
  append(event("egress", "\x1b]0;owned\x07\xe2\x80\xae.example.com"));
  append("\x1b[2J not json");
  for (const auto& arguments : std::vector<std::vector<std::string>>{{"logs", "x-1"}, {"logs", "x-1", "--json"}}) {
    const ProcessResult result = run(arguments);
    EXPECT_EQ(result.code, 0);
    EXPECT_THAT(result.out, Not(HasSubstr("\x1b")));
    EXPECT_THAT(result.out, Not(HasSubstr("\x07")));
    EXPECT_THAT(result.out, Not(HasSubstr("\xe2\x80\xae")));
  }
}

TEST_F(Logs, json_lines_are_the_events) {
  append(event("egress", "a.example.com"));
  append(event("dns", "b.example.com"));
  const ProcessResult result = run({"logs", "x-1", "--json"});
  std::size_t lines = 0;
  for (std::size_t start = 0; start < result.out.size(); ++lines) {
    const std::size_t end = result.out.find('\n', start);
    EXPECT_TRUE(parse_json_object(result.out.substr(start, end - start)));
    start = end + 1;
  }
  EXPECT_EQ(lines, 2U);
}

TEST_F(Logs, a_link_in_place_of_the_log_shows_nothing_of_the_operators_files) {
  write("home/private", "PRIVATE\n");
  std::filesystem::create_symlink(root_ / "home/private", state() / "logs/events.jsonl");
  const ProcessResult result = run({"logs", "x-1"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.out + result.err, Not(HasSubstr("PRIVATE")));
}

TEST_F(Logs, the_log_before_this_one_comes_first) {
  append(event("egress", "older.example.com"));
  std::filesystem::rename(state() / "logs/events.jsonl", state() / "logs/events.jsonl.1");
  append(event("egress", "newer.example.com"));
  const std::string out = run({"logs", "x-1"}).out;
  EXPECT_LT(out.find("older.example.com"), out.find("newer.example.com"));
  EXPECT_NE(out.find("newer.example.com"), std::string::npos);
}

TEST_F(Logs, following_what_does_not_run_ends_at_once) {
  append(event("egress", "last.example.com"));
  const ProcessResult result = run({"logs", "x-1", "-f"});
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.out, HasSubstr("last.example.com"));
  EXPECT_THAT(result.err, HasSubstr("does not run any more; go on: bot-bottle resume x-1"));
}

TEST_F(Logs, following_shows_what_comes_and_ends_with_the_bottle) {
  follow_to([&](UniqueFd&) { std::filesystem::remove_all(state()); });
}

TEST_F(Logs, following_ends_when_the_sidecar_does_though_the_state_is_kept) {
  follow_to([&](UniqueFd& sidecar) {
    sidecar.reset();
    append(event("launch", "last-words.example.com"));
  });
}

void Logs::follow_to(const std::function<void(UniqueFd& sidecar)>& end) {
  UniqueFd sidecar = listen();
  ASSERT_TRUE(sidecar);
  append(event("egress", "before.example.com"));
  int ends[2] = {-1, -1};
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd out(ends[0]);
  UniqueFd in(ends[1]);
  ProcessRequest follow = request({"logs", "x-1", "-f"});
  follow.fds = {{in.get(), 1}};
  const auto pid = spawn_process(follow);
  ASSERT_TRUE(pid);
  in.reset();
  std::string text;
  const auto read_until = [&](const std::string& word) {
    while (text.find(word) == std::string::npos) {
      pollfd one{.fd = out.get(), .events = POLLIN, .revents = 0};
      if (::poll(&one, 1, 10'000) != 1) return false;
      char buffer[4096];
      const ssize_t got = ::read(out.get(), buffer, sizeof buffer);
      if (got <= 0) return false;
      text.append(buffer, static_cast<std::size_t>(got));
    }
    return true;
  };
  EXPECT_TRUE(read_until("before.example.com"));
  append(event("egress", "after.example.com"));
  EXPECT_TRUE(read_until("after.example.com"));
  // Another file takes the log's name, as a rotation does.
  std::filesystem::rename(state() / "logs/events.jsonl", state() / "logs/events.jsonl.1");
  append(event("egress", "rotated.example.com"));
  EXPECT_TRUE(read_until("rotated.example.com"));
  end(sidecar);
  if (std::filesystem::exists(state())) {
    EXPECT_TRUE(read_until("last-words.example.com"));
  }
  const auto code = wait_for_exit(*pid);
  ASSERT_TRUE(code);
  EXPECT_EQ(*code, 0);
}

}  // namespace
}  // namespace bot_bottle::cli
