// The audit chain: exactly once, whatever dies when; and what verify finds.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "core/audit/chain.hpp"
#include "core/audit/verify.hpp"
#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::audit {
namespace {

class Audit : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = "/tmp/bb-audit-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    home_.root = name;
  }
  void TearDown() override { [[maybe_unused]] const auto removed = remove_tree(home_.root); }

  static json::object decision(int seq, const std::string& word = "approve") {
    return {{"seq", seq},
            {"at", "2026-11-28T19:00:00.000Z"},
            {"proposal", fmt::format("p{:07}", seq)},
            {"kind", "git-allow"},
            {"decision", word},
            {"by", "root"},
            {"reason", ""},
            {"before", "a\n"},
            {"after", "a\nb\n"}};
  }
  static std::vector<json::object> decisions(int from, int to) {
    std::vector<json::object> all;
    for (int seq = from; seq <= to; ++seq) all.push_back(decision(seq));
    return all;
  }
  void append(int from, int to, const std::string& journal = "j1") const {
    Chain::open(home_, "one").append(journal, decisions(from, to));
  }
  [[nodiscard]] std::string text() const { return or_throw(read_file(file_of(home_, "one"))); }
  void write(std::string_view text) const { or_throw(write_file_fast(file_of(home_, "one"), text)); }
  [[nodiscard]] std::vector<std::string> lines() const {
    std::vector<std::string> all;
    const std::string whole = text();
    for (const std::string_view line : split(whole, '\n'))
      if (!line.empty()) all.emplace_back(line);
    return all;
  }
  void write(const std::vector<std::string>& all) const { write(join(all, "\n") + "\n"); }
  [[nodiscard]] std::string first_fault() const {
    const Verdict verdict = verify(home_, "one");
    return verdict.faults.empty() ? "" : verdict.faults.front();
  }
  [[nodiscard]] std::vector<std::int64_t> numbers(std::string_view key) const {
    std::vector<std::int64_t> all;
    for_each_line(home_, "one", [&](const json::object& line) { all.push_back(get_int(line, key, -1)); });
    return all;
  }
  /// A process that dies at `point` while it appends.
  void die_at(const char* point, int from, int to) const {
    const pid_t child = ::fork();
    if (child == 0) {
      ::setenv("BOT_BOTTLE_TEST_KILL_AT", point, 1);
      append(from, to);
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << point;
  }

  Home home_;
};

TEST_F(Audit, a_line_that_could_not_be_read_again_is_never_written) {
  const std::string worst(std::size_t{1} << 20, '\x01');  // six octets each in JSON
  for (int seq = 1; seq < 4; ++seq) {
    json::object one = decision(seq);
    one["before"] = one["after"] = one["text"] = worst;
    EXPECT_EQ(Chain::open(home_, "b").append("j", {one}), 1U);
  }
  EXPECT_EQ(recorded_of(home_, "b", "j"), 3U);
  EXPECT_NE(or_throw(read_file(file_of(home_, "b"), std::size_t{32} << 20)).find(sha256_hex(worst)), std::string::npos);
}

TEST_F(Audit, what_was_appended_is_there_once_in_order_and_whole) {
  append(1, 3);
  append(2, 5);  // who copies again copies nothing twice
  EXPECT_EQ(numbers("seq"), (std::vector<std::int64_t>{1, 2, 3, 4, 5}));
  EXPECT_EQ(numbers("n"), (std::vector<std::int64_t>{1, 2, 3, 4, 5}));
  const Verdict verdict = verify(home_, "one");
  EXPECT_TRUE(verdict.is_whole()) << first_fault();
  EXPECT_EQ(verdict.lines, 5U);
  EXPECT_EQ(verdict.note, "");
  EXPECT_EQ(Chain::open(home_, "one").cursor("j1"), 5U);
}

TEST_F(Audit, a_bottle_of_the_same_name_goes_on_in_the_same_file) {
  append(1, 2, "j1");
  EXPECT_EQ(Chain::open(home_, "one").cursor("j2"), 0U);
  append(1, 2, "j2");
  EXPECT_EQ(numbers("seq"), (std::vector<std::int64_t>{1, 2, 1, 2}));
  EXPECT_TRUE(verify(home_, "one").is_whole());
}

TEST_F(Audit, a_crash_between_any_two_writes_loses_nothing_and_doubles_nothing) {
  append(1, 2);
  for (const char* point : {"audit-begin", "audit-half", "audit-line", "audit-head"}) {
    const int before = static_cast<int>(Chain::open(home_, "one").cursor("j1"));
    die_at(point, before + 1, before + 2);
    EXPECT_TRUE(verify(home_, "one").is_whole()) << point << ": " << first_fault();
    append(before + 1, before + 3);  // the next look
    EXPECT_TRUE(verify(home_, "one").is_whole()) << point << ": " << first_fault();
    EXPECT_EQ(verify(home_, "one").note, "") << point;
  }
  const auto seqs = numbers("seq");
  ASSERT_EQ(seqs.size(), 14U);
  for (std::size_t i = 0; i < seqs.size(); ++i) EXPECT_EQ(seqs[i], static_cast<std::int64_t>(i + 1));
}

TEST_F(Audit, a_crash_before_the_first_head_is_mended) {
  or_throw(make_directories(home_.audit()));
  or_throw(write_file_fast(file_of(home_, "one"), ""));
  append(1, 1);
  EXPECT_TRUE(verify(home_, "one").is_whole());
}

TEST_F(Audit, many_processes_at_once_make_one_chain) {
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (int seq = 1; seq <= 20; ++seq) append(1, seq);
      ::_exit(0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(numbers("seq").size(), 20U);
  EXPECT_TRUE(verify(home_, "one").is_whole()) << first_fault();
}

TEST_F(Audit, a_changed_line_is_found_wherever_it_stands) {
  append(1, 5);
  const auto whole = lines();
  for (std::size_t i = 0; i < whole.size(); ++i) {
    auto changed = whole;
    const std::size_t at = changed[i].find("\"approve\"");
    ASSERT_NE(at, std::string::npos);
    changed[i].replace(at, 9, "\"rejectX\"");
    write(changed);
    EXPECT_NE(first_fault().find(fmt::format("line {} was changed", i + 1)), std::string::npos) << i << first_fault();
  }
}

TEST_F(Audit, a_removed_line_is_found_wherever_it_stood) {
  append(1, 5);
  const auto whole = lines();
  for (std::size_t i = 0; i < whole.size(); ++i) {
    auto changed = whole;
    changed.erase(changed.begin() + static_cast<std::ptrdiff_t>(i));
    write(changed);
    EXPECT_NE(first_fault().find("missing"), std::string::npos) << i << first_fault();
  }
}

TEST_F(Audit, lines_in_another_order_are_found) {
  append(1, 5);
  const auto whole = lines();
  for (std::size_t i = 0; i + 1 < whole.size(); ++i) {
    auto changed = whole;
    std::swap(changed[i], changed[i + 1]);
    write(changed);
    EXPECT_NE(first_fault(), "") << i;
  }
  auto doubled = whole;
  doubled.insert(doubled.begin() + 2, doubled[1]);
  write(doubled);
  EXPECT_NE(first_fault().find("doubled"), std::string::npos) << first_fault();
}

TEST_F(Audit, an_end_that_was_cut_off_is_found) {
  append(1, 5);
  const std::string whole = text();
  auto shorter = lines();
  shorter.pop_back();
  write(shorter);
  EXPECT_NE(first_fault().find("4 of 5 lines"), std::string::npos) << first_fault();
  write(whole.substr(0, whole.size() - 10));  // in the middle of a line
  EXPECT_NE(first_fault().find("4 of 5 lines"), std::string::npos) << first_fault();
  write(std::string());
  EXPECT_NE(first_fault().find("0 of 5 lines"), std::string::npos) << first_fault();
  std::filesystem::remove(file_of(home_, "one"));
  EXPECT_NE(first_fault().find("the file is gone"), std::string::npos) << first_fault();
}

TEST_F(Audit, a_missing_or_foreign_head_and_a_foreign_file_are_found) {
  append(1, 2);
  Chain::open(home_, "two").append("j", decisions(1, 2));
  std::filesystem::copy_file(file_of(home_, "two"), file_of(home_, "one"),
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_NE(first_fault().find("belongs to another bottle"), std::string::npos) << first_fault();
  std::filesystem::copy_file(head_of(home_, "two"), head_of(home_, "one"),
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_NE(first_fault(), "");
  std::filesystem::remove(head_of(home_, "one"));
  EXPECT_FALSE(verify(home_, "one").is_whole());
  EXPECT_THROW(verify(home_, "nobody"), Failure);
}

TEST_F(Audit, nothing_is_added_to_what_was_damaged) {
  append(1, 3);
  const std::string whole = text();
  const auto refused = [this] {
    try {
      append(4, 4);
    } catch (const Failure& failure) {
      return failure.error().kind == ErrorKind::failed_precondition;
    }
    return false;
  };
  write(whole.substr(0, whole.size() - 1));
  EXPECT_TRUE(refused()) << "cut";
  std::string changed = whole;
  changed[changed.rfind("approve")] = 'X';
  write(changed);
  EXPECT_TRUE(refused()) << "the last line was changed";
  write(whole + R"({"n":4,"previous":"0000"})" + "\n");
  EXPECT_TRUE(refused()) << "a line that does not follow";
  write(whole);
  std::filesystem::remove(head_of(home_, "one"));
  EXPECT_TRUE(refused()) << "no head";
}

TEST_F(Audit, K4_only_known_fields_enter_and_long_ones_are_cut) {
  json::object hostile = decision(1);
  hostile["n"] = 77;
  hostile["previous"] = "x";
  hostile["extra"] = "y";
  hostile["reason"] = std::string(100'000, 'r');
  hostile["after"] = std::string(3'000'000, 'a');
  hostile["by"] = "a\nb\x1b[2J";
  Chain::open(home_, "one").append("j1", {hostile, decision(0), decision(-3)});
  EXPECT_EQ(lines().size(), 1U);
  EXPECT_LT(text().size(), 2'000'000U);
  EXPECT_EQ(text().find("extra"), std::string::npos);
  EXPECT_EQ(text().find('\x1b'), std::string::npos);
  EXPECT_NE(text().find("octets in all"), std::string::npos);
  EXPECT_TRUE(verify(home_, "one").is_whole()) << first_fault();
}

TEST_F(Audit, a_link_in_place_of_the_file_is_not_followed) {
  or_throw(make_directories(home_.audit()));
  or_throw(write_file_fast(home_.root / "other", "precious"));
  std::filesystem::create_symlink(home_.root / "other", file_of(home_, "one"));
  EXPECT_THROW(append(1, 1), Failure);
  EXPECT_EQ(or_throw(read_file(home_.root / "other")), "precious");
}

}  // namespace
}  // namespace bot_bottle::audit
