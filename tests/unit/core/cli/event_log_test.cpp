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

TEST(EventTime, since_is_typed_as_people_say_times) {
  ASSERT_EQ(::setenv("TZ", "UTC-2", 1), 0);  // two hours east of Greenwich
  ::tzset();
  const std::int64_t now = parse_time_ms("2026-11-21T12:00:00Z").value();
  const auto at = [&](const char* text) { return format_time(parse_since(text, now).value_or(0)); };
  EXPECT_EQ(at("90s"), "2026-11-21T11:58:30.000Z");
  EXPECT_EQ(at("2h"), "2026-11-21T10:00:00.000Z");
  EXPECT_EQ(at("13:30"), "2026-11-21T11:30:00.000Z");
  EXPECT_EQ(at("13:30:05"), "2026-11-21T11:30:05.000Z");
  EXPECT_EQ(at("23:00"), "2026-11-20T21:00:00.000Z") << "not to come: yesterday's";
  EXPECT_EQ(at("2026-11-20"), "2026-11-19T22:00:00.000Z");
  EXPECT_EQ(at("2026-11-20 08:15"), "2026-11-20T06:15:00.000Z");
  EXPECT_EQ(at("2026-11-20T08:15:01"), "2026-11-20T06:15:01.000Z");
  EXPECT_EQ(at("2026-11-20T08:15:01Z"), "2026-11-20T08:15:01.000Z");
  for (const char* bad : {"", "noon", "24:00", "12:60", "12:3", "2026-11-20 8:15", "2026-13-01", "2026-11-20X08:15",
                          "2026-11-20T08:15:01+01:00", "-5m", "12:30x"})
    EXPECT_FALSE(parse_since(bad, now)) << bad;
}

TEST(EventLine, shows_who_asked_for_what_and_why_it_was_refused) {
  const Context context;
  const json::object event{
      {"time", "2026-11-21T01:19:03.123Z"}, {"kind", "egress"}, {"level", "block"},  {"event", "request"},
      {"host", "evil.example.com"},         {"method", "POST"}, {"path", "/upload"}, {"status", 403},
      {"reason", "host_not_allowed"}};
  const std::string line = format_event(context, event);
  EXPECT_THAT(line, HasSubstr("  block  egress     POST evil.example.com/upload → 403: host_not_allowed"));
}

TEST(EventLine, fits_the_width_and_keeps_the_reason) {
  const Context context;
  json::object event{{"time", "2026-11-21T01:19:03.123Z"},
                     {"kind", "egress"},
                     {"level", "block"},
                     {"event", "blocked"},
                     {"host", "api.example.com"},
                     {"method", "GET"},
                     {"path", "/" + std::string(200, 'x')},
                     {"status", 403},
                     {"reason", "no_match"}};
  for (const std::size_t width : {70U, 80U, 120U}) {
    const std::string line = format_event(context, event, {.width = width, .dates = EventLayout::Dates::apart});
    EXPECT_EQ(display_width(line), width) << line;
    EXPECT_THAT(line, HasSubstr("… → 403: no_match")) << width;
    EXPECT_THAT(line, HasSubstr("GET api.example.com/x")) << width;
  }
  event["reason"] = std::string(300, 'y');
  event["path"] = "/日本" + std::string(200, 'x');
  const std::string line = format_event(context, event, {.width = 80, .dates = EventLayout::Dates::apart});
  EXPECT_LE(display_width(line), 80U) << line;
  EXPECT_THAT(line, HasSubstr("→ 403: yyy"));
}

TEST(EventLine, what_happens_beside_requests_has_its_name) {
  const Context context;
  const auto text = [&](const json::object& event) { return format_event(context, event).substr(16); };
  EXPECT_EQ(text({{"kind", "launch"}, {"level", "info"}, {"event", "sidecar ready"}}),
            "       launch     sidecar ready");
  EXPECT_EQ(text({{"kind", "dns"},
                  {"level", "block"},
                  {"event", "dns_refused"},
                  {"host", "x.example.com"},
                  {"reason", "A udp"}}),
            "block  dns        x.example.com: A udp");
  EXPECT_EQ(text({{"kind", "dlp"},
                  {"level", "block"},
                  {"event", "canary_seen"},
                  {"host", "x.example.com"},
                  {"rule", "canary:a"}}),
            "block  dlp        canary_seen x.example.com [canary:a]");
  EXPECT_EQ(text({{"kind", "egress"}, {"level", "block"}, {"event", "blocked"}}), "block  egress     blocked");
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
  EXPECT_EQ(watch.wait(), LogWatch::Wake::log);
  EXPECT_TRUE(watch.take_replaced());  // the file is new
  EXPECT_FALSE(watch.take_replaced());
  const UniqueFd held = open_event_log(state_);  // as `logs` does: it keeps the directory's inode alive
  auto waiting = std::async(std::launch::async, [&] {
    while (watch.wait() != LogWatch::Wake::gone) {
    }
    return true;
  });
  append("two\n");
  fs::remove_all(state_);
  EXPECT_TRUE(waiting.get());
}

TEST_F(EventLog, the_watch_sees_another_descriptor_and_the_time) {
  LogWatch watch(state_);
  int ends[2] = {-1, -1};
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd read(ends[0]);
  UniqueFd write(ends[1]);
  EXPECT_EQ(watch.wait(read.get(), std::chrono::milliseconds(1)), LogWatch::Wake::time);
  write.reset();
  EXPECT_EQ(watch.wait(read.get()), LogWatch::Wake::other);
}

}  // namespace
}  // namespace bot_bottle::cli
