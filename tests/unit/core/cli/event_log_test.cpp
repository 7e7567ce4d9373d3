// The event log as text. Each field may be written by the agent.
#include "core/cli/event_log.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <future>

#include "core/base/clock.hpp"
#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/random.hpp"

namespace bot_bottle::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class EventLog : public ::testing::Test {
 protected:
  EventLog() : state_(fs::temp_directory_path() / ("bb-events-" + random_base36(8))) {
    fs::create_directories(state_ / "logs");
  }
  ~EventLog() override { fs::remove_all(state_); }
  void append(const std::string& text) const {
    const UniqueFd fd(::open((state_ / "logs/events.jsonl").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    ASSERT_TRUE(fd);
    ASSERT_TRUE(write_all(fd.get(), text));
  }
  const fs::path state_;
};

TEST(EventTime, is_read_as_it_is_written) {
  for (const std::int64_t ms : {std::int64_t{0}, std::int64_t{1'764'000'000'123}, now_ms()})
    EXPECT_EQ(parse_time_ms(format_time(ms)), ms);
  EXPECT_EQ(parse_time_ms("1970-01-02"), 86'400'000);
  for (const char* bad :
       {"", "yesterday", "2026-13-01", "2026-11-21T25:00:00Z", "2026-11-21T01:19:03+01:00", "2026-11-21X01:19:03Z"})
    EXPECT_FALSE(parse_time_ms(bad)) << bad;
}

TEST(EventLine, shows_who_asked_for_what_and_why_it_was_refused) {
  const Context context;
  const json::object event{
      {"time", "2026-11-21T01:19:03.123Z"}, {"kind", "egress"}, {"level", "block"},  {"event", "request"},
      {"host", "evil.example.com"},         {"method", "POST"}, {"path", "/upload"}, {"status", 403},
      {"reason", "host_not_allowed"}};
  const std::string line = format_event(context, event);
  EXPECT_THAT(line, HasSubstr("egress     block  request POST evil.example.com/upload → 403: host_not_allowed"));
}

TEST(EventLine, hostile_fields_cannot_reach_the_terminal_or_make_lines_D7) {
  const Context context;
  json::object event{
      {"time", "\x1b[2J"}, {"kind", "egress"}, {"level", "bl\nock"}, {"event", "x"}, {"unknown\x1b", "\xe2\x80\xae"}};
  for (const char* key : {"host", "method", "path", "reason", "rule", "where", "snippet"})
    event[key] = "a\x1b]52;c;eA==\x07\nb";
  const std::string line = format_event(context, event);
  for (const char c : line) EXPECT_FALSE(static_cast<unsigned char>(c) < 0x20 || c == 0x7F) << line;
  EXPECT_THAT(line, Not(HasSubstr("\xe2\x80\xae")));
}

TEST(EventLine, one_long_field_leaves_the_others_visible) {
  const Context context;
  const json::object event{{"kind", "egress"}, {"path", std::string(100'000, 'x')}, {"reason", "no_match"}};
  const std::string line = format_event(context, event);
  EXPECT_LT(line.size(), 2000U);
  EXPECT_THAT(line, HasSubstr("no_match"));
}

TEST(EventFilter, passes_by_kind_and_time) {
  EventFilter filter;
  const json::object event{{"kind", "dns"}, {"time", "2026-11-21T01:19:03Z"}};
  EXPECT_TRUE(filter.passes(event));
  filter.kinds = {"egress", "dns"};
  EXPECT_TRUE(filter.passes(event));
  filter.kinds = {"egress"};
  EXPECT_FALSE(filter.passes(event));
  filter.kinds.clear();
  filter.since_ms = parse_time_ms("2026-11-21T01:19:04Z");
  EXPECT_FALSE(filter.passes(event));
  filter.since_ms = parse_time_ms("2026-11-21T01:19:03Z");
  EXPECT_TRUE(filter.passes(event));
}

TEST_F(EventLog, lines_are_given_whole_however_they_arrive) {
  std::vector<std::string> lines;
  const auto keep = [&](std::string_view line) { lines.emplace_back(line); };
  append("one\ntw");
  const UniqueFd fd = open_event_log(state_);
  ASSERT_TRUE(fd);
  LineReader reader;
  reader.read_available(fd.get(), keep);
  EXPECT_THAT(lines, ElementsAre("one"));
  append("o\n\nthree\n");
  reader.read_available(fd.get(), keep);
  EXPECT_THAT(lines, ElementsAre("one", "two", "three"));
}

TEST_F(EventLog, an_endless_line_is_left_out_and_memory_stays_bounded) {
  std::vector<std::string> lines;
  append(std::string(max_event_line * 3, 'x') + "\nafter\n");
  const UniqueFd fd = open_event_log(state_);
  LineReader reader;
  reader.read_available(fd.get(), [&](std::string_view line) { lines.emplace_back(line); });
  EXPECT_THAT(lines, ElementsAre("(a line that is too long was left out)", "after"));
}

TEST_F(EventLog, a_link_in_its_place_is_not_followed) {
  fs::create_symlink("/etc/passwd", state_ / "logs/events.jsonl");
  EXPECT_THROW(open_event_log(state_), Failure);
}

TEST_F(EventLog, a_pipe_in_its_place_does_not_block_us) {
  ASSERT_EQ(::mkfifo((state_ / "logs/events.jsonl").c_str(), 0600), 0);
  EXPECT_THROW(open_event_log(state_), Failure);
}

TEST_F(EventLog, absence_is_not_an_error) {
  EXPECT_FALSE(open_event_log(state_));
}

TEST_F(EventLog, the_watch_wakes_for_writes_and_for_the_end) {
  LogWatch watch(state_);
  append("one\n");  // before wait: must not be lost
  EXPECT_TRUE(watch.wait());
  EXPECT_TRUE(watch.take_replaced());  // the file is new
  EXPECT_FALSE(watch.take_replaced());
  const UniqueFd held = open_event_log(state_);  // as `logs` does: it keeps the directory's inode alive
  auto waiting = std::async(std::launch::async, [&] {
    while (watch.wait()) {
    }
    return true;
  });
  append("two\n");
  fs::remove_all(state_);
  EXPECT_TRUE(waiting.get());
}

}  // namespace
}  // namespace bot_bottle::cli
