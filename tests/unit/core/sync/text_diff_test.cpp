// unified_hunks against an oracle: what patch(1)'s rules make of the hunks must be the second text.
#include "core/sync/text_diff.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace bot_bottle::sync {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find('\n', begin), text.size() - 1) + 1;
    lines.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return lines;
}

/// Applies hunks by their ranges alone; "" where they do not fit.
std::string applied(const std::string& before, const std::string& hunks, bool& fits) {
  const auto a = lines_of(before);
  std::string out;
  std::size_t at = 0;
  fits = true;
  auto lines = lines_of(hunks);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string& line = lines[i];
    if (line.starts_with("@@ -")) {
      std::size_t start = std::stoul(line.substr(4));
      const std::string range = line.substr(4, line.find(' ', 4) - 4);
      const bool empty = range.ends_with(",0");
      if (!empty) --start;
      if (start < at || start > a.size()) fits = false;
      while (fits && at < start) out += a[at++];
      continue;
    }
    const bool no_newline = i + 1 < lines.size() && lines[i + 1].starts_with("\\ No newline");
    const std::string text = no_newline ? line.substr(1, line.size() - 2) : line.substr(1);
    if (line[0] == '\\') continue;
    if (line[0] == '+') {
      out += text;
      continue;
    }
    if (at >= a.size() || a[at] != text) {
      fits = false;
      return {};
    }
    if (line[0] == ' ') out += a[at];
    ++at;
  }
  while (at < a.size()) out += a[at++];
  return out;
}

TEST(UnifiedHunks, as_diff_writes_them) {
  EXPECT_EQ(unified_hunks("a\n", "a\n"), "");
  EXPECT_EQ(unified_hunks("", "a\n"), "@@ -0,0 +1 @@\n+a\n");
  EXPECT_EQ(unified_hunks("a\n", ""), "@@ -1 +0,0 @@\n-a\n");
  EXPECT_EQ(unified_hunks("a", "a\n"), "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n");
  EXPECT_EQ(unified_hunks("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nx\n6\n7\n8\n9\n"),
            "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8\n");
}

TEST(UnifiedHunks, what_they_make_of_the_first_text_is_the_second) {
  std::mt19937 random(7);  // the same every time
  const auto text = [&](std::size_t count, int alphabet) {
    std::string out;
    for (std::size_t i = 0; i < count; ++i) {
      out += static_cast<char>('a' + static_cast<int>(random() % static_cast<unsigned>(alphabet)));
      if (i + 1 < count || random() % 4 != 0) out += '\n';
    }
    return out;
  };
  for (int round = 0; round < 3000; ++round) {
    const std::string before = text(random() % 40, 1 + static_cast<int>(random() % 6));
    std::string after = text(random() % 40, 1 + static_cast<int>(random() % 6));
    if (round % 2 == 0) {
      after = before;
      for (int edits = 0; edits < 3 && !after.empty(); ++edits) {
        const std::size_t at = random() % after.size();
        if (random() % 2 == 0)
          after.insert(at, "z\n");
        else
          after.erase(at, 1 + random() % 3);
      }
    }
    bool fits = false;
    ASSERT_EQ(applied(before, unified_hunks(before, after, random() % 4), fits), after) << before << "---\n" << after;
    ASSERT_TRUE(fits);
  }
}

TEST(UnifiedHunks, texts_that_have_nothing_in_common_are_replaced_in_bounded_time) {
  std::string before;
  std::string after;
  for (int i = 0; i < 50'000; ++i) {
    before += std::to_string(i) + "\n";
    after += "x" + std::to_string(i) + "\n";
  }
  bool fits = false;
  EXPECT_EQ(applied(before, unified_hunks(before, after), fits), after);
  EXPECT_TRUE(fits);
}

TEST(IsBinary, a_nul_near_the_start) {
  EXPECT_TRUE(is_binary(std::string_view("a\0b", 3)));
  EXPECT_FALSE(is_binary("text"));
  EXPECT_FALSE(is_binary(std::string(9000, 'a') + std::string(1, '\0')));
}

}  // namespace
}  // namespace bot_bottle::sync
