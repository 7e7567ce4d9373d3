// What comes from sidecars, read as hostile; answers as they are sent.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "core/base/file.hpp"
#include "core/desk/answer.hpp"
#include "core/desk/event_tail.hpp"
#include "core/desk/proposal.hpp"

namespace bot_bottle::desk {
namespace {

json::object read(std::string_view text) {
  return or_throw(parse_json_object(text));
}

TEST(Proposal, what_has_no_usable_id_is_left_out) {
  for (const char* id : {"", "UPPER", "with space", "a\\u001b[2J", "../x", "012345678901234567890123456789012"}) {
    const auto answer =
        read(R"({"proposals": [{"id": ")" + std::string(id) + R"(", "state": "pending"}, 7, {"id": 5}]})");
    EXPECT_TRUE(parse_proposals(answer, "one").empty()) << id;
  }
  EXPECT_TRUE(parse_proposals(read(R"({"proposals": 3})"), "one").empty());
  EXPECT_EQ(parse_proposals(read(R"({"proposals": [{"id": "k3x9p2ab"}]})"), "one").size(), 1U);
}

TEST(Proposal, a_field_of_another_type_is_an_absent_one) {
  const auto one = parse_proposal(
      read(R"({"id": "a1", "kind": 5, "facts": [1, {"label": 2}], "diff": "x", "choices": [1, "b"], "change": []})"),
      "s");
  ASSERT_TRUE(one);
  EXPECT_EQ(one->kind, "");
  EXPECT_EQ(one->choices, std::vector<std::string>{"b"});
  EXPECT_EQ(one->facts.size(), 1U);
}

TEST(Proposal, the_change_is_shown_even_where_no_texts_were_computed) {
  const auto one = parse_proposal(read(R"({"id": "a1", "change": {"repo": "app", "fingerprints": ["f1"]}})"), "s");
  ASSERT_TRUE(one);
  const auto lines = diff_lines(one->before, one->after);
  EXPECT_TRUE(std::ranges::any_of(lines, [](const DiffLine& line) {
    return line.kind == DiffLine::Kind::added && line.text.find("f1") != std::string::npos;
  }));
}

TEST(Proposal, the_diff_names_what_goes_and_what_comes) {
  const auto lines = diff_lines("a\nb\nc", "a\nx\nc\n");
  std::string marks;
  for (const DiffLine& line : lines)
    marks += line.kind == DiffLine::Kind::added ? '+' : line.kind == DiffLine::Kind::removed ? '-' : ' ';
  EXPECT_NE(marks.find('-'), std::string::npos);
  EXPECT_NE(marks.find('+'), std::string::npos);
  EXPECT_TRUE(diff_lines("same\n", "same").empty());
}

TEST(Answer, narrowing_is_read_strictly) {
  EXPECT_EQ(parse_seconds("10m"), 600U);
  EXPECT_EQ(parse_bytes("1MiB"), 1U << 20U);
  EXPECT_EQ(parse_count("5"), 5U);
  for (const char* bad : {"", "0", "-1", "5x", "1e3", "99999999999999999999", "0s", "soon"}) {
    EXPECT_FALSE(parse_seconds(bad)) << bad;
    EXPECT_FALSE(parse_count(bad)) << bad;
    EXPECT_FALSE(parse_bytes(bad)) << bad;
  }
}

TEST(Answer, a_change_comes_back_from_the_editor_as_it_went_there) {
  const json::object change = read(
      R"({"dockerfile": "FROM x\nRUN y\n", "host": "\u202eevil\u001b[2J\ud83d\ude00", "list": ["a\nb", {"lines": "no"}], "n": 5, "o": {}})");
  const std::string text = to_editable(change);
  for (const char c : text) ASSERT_TRUE((c >= ' ' && c < 0x7F) || c == '\n') << "an editor shows nothing else";
  EXPECT_EQ(or_throw(from_editable(text)), change);
  EXPECT_NE(text.find("\"RUN y\""), std::string::npos);
  EXPECT_FALSE(from_editable("{not json"));
  EXPECT_FALSE(from_editable("[]"));
  EXPECT_FALSE(from_editable(R"({"lines": ["a"]})"));
}

class Tail : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = "/tmp/bb-tail-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    state_ = name;
    std::filesystem::create_directories(state_ / "logs");
  }
  void TearDown() override { std::filesystem::remove_all(state_); }
  void add(const std::string& text) const { std::ofstream(log(), std::ios::app) << text; }
  [[nodiscard]] std::filesystem::path log() const { return state_ / "logs" / "events.jsonl"; }
  std::vector<std::string> look() {
    std::vector<std::string> texts;
    tail_->look([&](Event event) { texts.push_back(event.text); });
    return texts;
  }
  std::filesystem::path state_;
  std::unique_ptr<EventTail> tail_;
};

TEST_F(Tail, gives_each_whole_line_once_across_rotation) {
  tail_ = std::make_unique<EventTail>(state_, "one");
  EXPECT_TRUE(look().empty());
  add("{\"event\": \"a\"}\n{\"event\": \"b\"");
  EXPECT_EQ(look(), std::vector<std::string>{"a"});
  add("}\nnot json\n");
  EXPECT_EQ(look(), std::vector<std::string>{"b"});
  std::filesystem::rename(log(), state_ / "logs" / "old");
  add("{\"event\": \"c\"}\n");
  EXPECT_EQ(look(), std::vector<std::string>{"c"});
  EXPECT_TRUE(look().empty());
}

TEST_F(Tail, begins_near_the_end_at_a_lines_start) {
  for (int i = 0; i < 2000; ++i) add("{\"event\": \"e" + std::to_string(i) + "\"}\n");
  tail_ = std::make_unique<EventTail>(state_, "one");
  const auto texts = look();
  EXPECT_LT(texts.size(), 1500U);
  EXPECT_EQ(texts.back(), "e1999");
}

TEST_F(Tail, D7_a_pipe_a_link_or_an_endless_line_does_no_harm) {
  ASSERT_EQ(::mkfifo(log().c_str(), 0600), 0);
  tail_ = std::make_unique<EventTail>(state_, "one");
  EXPECT_TRUE(look().empty());
  std::filesystem::remove(log());
  std::filesystem::create_symlink("/etc/passwd", log());
  EXPECT_TRUE(look().empty());
  std::filesystem::remove(log());
  add(std::string(2'000'000, 'x') + "\n{\"event\": \"after\"}\n");
  tail_ = std::make_unique<EventTail>(state_, "one");
  std::vector<std::string> all;
  for (int i = 0; i < 20; ++i)
    for (const std::string& text : look()) all.push_back(text);
  EXPECT_EQ(all, std::vector<std::string>{"after"});
}

}  // namespace
}  // namespace bot_bottle::desk
