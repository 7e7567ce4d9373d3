// The event log stays JSON lines whatever an agent writes (attacks L, O, D7).
#include "sidecar/egress/event_log.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "core/base/file.hpp"
#include "core/base/json.hpp"

namespace bot_bottle::egress {
namespace {

TEST(EventLog, any_octets_become_a_json_string) {
  for (unsigned first = 0; first < 256; ++first) {
    for (const unsigned second : {0x00U, 0x20U, 0x22U, 0x5cU, 0x7fU, 0x80U, 0xa0U, 0xbfU, 0xc2U, 0xedU, 0xf4U, 0xffU}) {
      const std::string text{static_cast<char>(first), static_cast<char>(second), '\x80', 'x'};
      std::string out;
      append_json_string(out, text, 1000);
      EXPECT_TRUE(parse_json(out)) << first << " " << second << " " << out;
      EXPECT_EQ(out.find('\n'), std::string::npos);
    }
  }
}

TEST(EventLog, long_text_is_cut_between_characters) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "ü";
  for (std::size_t limit = 1; limit < 20; ++limit) {
    std::string out;
    append_json_string(out, text, limit);
    EXPECT_TRUE(parse_json(out)) << limit;
    EXPECT_LT(out.size(), limit + 12);
  }
}

TEST(EventLog, writes_what_the_level_wants_and_redacts) {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("events-" + std::to_string(::getpid()) + ".jsonl")).string();
  {
    net::Loop loop;
    EventLog log(loop, path, 1);
    ASSERT_TRUE(log.open());
    log.set_redact(
        [](std::string_view text) { return text == "secret" ? std::string("********") : std::string(text); });
    Event event;
    event.event = "request";
    log.write(event);
    event.level = Level::block;
    event.event = "blocked";
    event.path = "secret";
    event.status = 403;
    log.write(event);
    log.flush();
    const auto line = parse_json_object(read_file(path).value());
    ASSERT_TRUE(line) << line.error().message;
    EXPECT_EQ(get_string(*line, "event"), "blocked");
    EXPECT_EQ(get_string(*line, "path"), "********");
    EXPECT_EQ(get_int(*line, "status", 0), 403);
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace bot_bottle::egress
