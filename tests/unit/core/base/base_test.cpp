#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "core/base/clock.hpp"
#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "core/base/paths.hpp"
#include "core/base/process.hpp"
#include "core/base/random.hpp"
#include "core/base/secret.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/base/text_width.hpp"

namespace bot_bottle {
namespace {

struct TemporaryDirectory {
  std::filesystem::path path = std::filesystem::temp_directory_path() / ("bb-base-" + random_base36(10));
  TemporaryDirectory() { std::filesystem::create_directories(path); }
  ~TemporaryDirectory() { std::filesystem::remove_all(path); }
};

TEST(Json, refuses_what_two_readers_could_read_in_two_ways) {
  EXPECT_FALSE(parse_json(R"({"a":1,"a":2})"));
  EXPECT_FALSE(parse_json(R"({"x":[{"b":1,"\u0062":2}]})"));
  EXPECT_FALSE(parse_json(R"({"a":1} trailing)"));
  EXPECT_FALSE(parse_json(R"([1,])"));
  EXPECT_FALSE(parse_json(std::string(40, '[') + std::string(40, ']')));
  EXPECT_FALSE(parse_json("\"\xff\""));
  EXPECT_FALSE(parse_json("[1,2,3]", 4));
  EXPECT_FALSE(parse_json(""));
  EXPECT_TRUE(parse_json(" {\"a\":[{},[],\"x\\\"y\"],\"b\":-1.5e3} \n"));
}

TEST(Json, pretty_text_parses_back_to_the_same_value) {
  const json::value value = {{"name", "x\n"}, {"list", {1, 2, json::object{}}}, {"empty", json::array{}}};
  EXPECT_EQ(*parse_json(to_pretty_text(value)), value);
}

TEST(TerminalText, no_text_can_move_the_cursor_or_hide) {
  EXPECT_EQ(escape_untrusted("a\x1b[2Jb"), "a\\x1b[2Jb");
  EXPECT_EQ(escape_untrusted("line\nnext\r"), "line\\x0anext\\x0d");
  EXPECT_EQ(escape_untrusted_lines("line\nnext\x07"), "line\nnext\\x07");
  EXPECT_EQ(escape_untrusted("abc\u202egnp.exe"), "abc\\u{202e}gnp.exe");
  EXPECT_EQ(escape_untrusted("\u200bx\U000E0041"), "\\u{200b}x\\u{e0041}");
  EXPECT_EQ(escape_untrusted("\u009b31m"), "\\u{9b}31m");
  EXPECT_EQ(escape_untrusted("\xc3\x28\xff"), "\\xc3(\\xff");
  EXPECT_EQ(escape_untrusted("grün 日本"), "grün 日本");
  EXPECT_EQ(escape_untrusted(std::string(10000, 'x'), 100).size(), 100 + std::string("…").size());
}

TEST(Text, utf8_validation_follows_rfc_3629) {
  for (const char* good : {"", "a", "ü", "€", "😀"}) EXPECT_TRUE(is_valid_utf8(good)) << good;
  for (const char* bad : {"\x80", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\xff"})
    EXPECT_FALSE(is_valid_utf8(bad));
}

TEST(Text, base64_and_nearest) {
  for (const std::string text : {"", "f", "fo", "foo", "foob"}) EXPECT_EQ(base64_decode(base64_encode(text)), text);
  EXPECT_FALSE(base64_decode("a=bc"));
  const std::vector<std::string> names{"implementer", "reviewer"};
  EXPECT_EQ(nearest("implementor", names), "implementer");
  EXPECT_EQ(nearest("zzz", names), std::nullopt);
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Clock, sizes_and_durations_are_strict) {
  EXPECT_EQ(parse_size_bytes("4GiB"), std::uint64_t{4} << 30U);
  EXPECT_EQ(parse_size_bytes("10MB"), 10'000'000U);
  for (const char* bad : {"", "G", "4G", "-1", "4 GiB", "99999999999999999999", "18446744073709551615KiB"})
    EXPECT_FALSE(parse_size_bytes(bad)) << bad;
  EXPECT_EQ(parse_duration_ms("2h"), 7'200'000);
  for (const char* bad : {"", "h", "2x", "-3s", "1.5h"}) EXPECT_FALSE(parse_duration_ms(bad)) << bad;
  EXPECT_EQ(format_time(1'763'687'943'123), "2025-11-21T01:19:03.123Z");
}

TEST(File, an_atomic_write_replaces_and_sets_the_mode) {
  const TemporaryDirectory directory;
  const auto path = directory.path / "f";
  ASSERT_TRUE(write_file_atomic(path, "one", 0644));
  ASSERT_TRUE(write_file_atomic(path, "two", 0600));
  EXPECT_EQ(*read_file(path), "two");
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path), {}), 1);
  EXPECT_FALSE(read_file(path, 2));
}

TEST(File, removing_a_hostile_tree_never_follows_a_link_out_of_it) {
  const TemporaryDirectory directory;
  const auto outside = directory.path / "outside";
  const auto tree = directory.path / "tree";
  std::filesystem::create_directories(outside / "kept");
  std::filesystem::create_directories(tree / "a" / "b");
  std::filesystem::create_directory_symlink(outside, tree / "a" / "link");
  std::filesystem::permissions(tree / "a" / "b", std::filesystem::perms::none);
  ASSERT_TRUE(remove_tree(tree));
  EXPECT_FALSE(std::filesystem::exists(tree));
  EXPECT_TRUE(std::filesystem::exists(outside / "kept"));
  EXPECT_TRUE(remove_tree(tree)) << "absent is success";
}

TEST(Process, gives_output_code_and_reason) {
  const auto result = run_process({.argv = {"sh", "-c", "cat; echo err >&2; exit 7"}, .stdin_text = "in"});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->out, "in");
  EXPECT_EQ(result->err, "err\n");
  EXPECT_EQ(result->code, 7);
  const auto absent = run_process({.argv = {"no-such-program-here"}});
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().kind, ErrorKind::not_found);
}

TEST(Process, a_program_that_does_not_read_its_input_is_no_harm) {
  const auto result =
      run_process({.argv = {"sh", "-c", "exec 0<&-; exit 5"}, .stdin_text = std::string(std::size_t{1} << 20, 'x')});
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->code, 5);
}

TEST(Process, a_timeout_ends_the_child_and_says_so) {
  const auto result = run_process({.argv = {"sleep", "30"}, .timeout = std::chrono::milliseconds(50)});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::timeout);
}

TEST(Process, a_child_that_writes_without_an_end_has_a_timeout_too) {
  const auto result = run_process({.argv = {"yes"}, .timeout = std::chrono::milliseconds(50), .max_output = 10});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::timeout);
}

TEST(Process, a_cancel_descriptor_ends_the_child) {
  int fds[2];
  ASSERT_EQ(::pipe(fds), 0);
  ASSERT_EQ(::write(fds[1], "x", 1), 1);
  const auto result = run_process({.argv = {"sleep", "30"}, .cancel_fd = fds[0]});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::cancelled);
  ::close(fds[0]);
  ::close(fds[1]);
}

TEST(Process, C8_no_descriptor_of_ours_reaches_the_child) {
  const UniqueFd secret(::open("/dev/null", O_RDONLY));  // without O_CLOEXEC on purpose
  const auto result = run_process({.argv = {"sh", "-c", "ls /proc/self/fd | tr '\\n' ' '"}});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->out, "0 1 2 3 ") << "3 is ls reading the directory";
}

TEST(Process, output_over_the_cap_is_dropped_and_said) {
  const auto result = run_process({.argv = {"sh", "-c", "head -c 100000 /dev/zero"}, .max_output = 10});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->out.size(), 10U);
  EXPECT_TRUE(result->truncated);
}

TEST(Secret, keeps_the_bytes_until_it_is_moved_from) {
  SecretBytes one("hunter2hunter2");
  SecretBytes two(std::move(one));
  EXPECT_EQ(two.view(), "hunter2hunter2");
  EXPECT_TRUE(one.empty());  // NOLINT(bugprone-use-after-move): that is what is tested
}

TEST(Paths, a_relative_entry_of_path_is_not_searched) {
  EXPECT_FALSE(find_program("sh", ":.:relative"));
  EXPECT_TRUE(find_program("sh", "/bin"));
}

TEST(TextWidth, counts_columns_cuts_and_wraps_by_them) {
  EXPECT_EQ(text_width("a→b"), 3U);
  EXPECT_EQ(text_width("日本"), 4U);
  EXPECT_EQ(cut_to_width("日本語", 5), "日本…");
  EXPECT_EQ(cut_to_width("abc", 3), "abc");
  EXPECT_EQ(wrap_to_width("one two three four", 9), (std::vector<std::string>{"one two", "three", "four"}));
  EXPECT_EQ(wrap_to_width("one two three four", 9, 2), (std::vector<std::string>{"one two", "  three", "  four"}));
  EXPECT_EQ(wrap_to_width("aaaaaaaaaabbbbbbbbbbcc", 10), (std::vector<std::string>{"aaaaaaaaaa", "bbbbbbbbbb", "cc"}));
  EXPECT_EQ(wrap_to_width("", 10), (std::vector<std::string>{""}));
  EXPECT_EQ(wrap_to_width("12345678 1234567 x", 8), (std::vector<std::string>{"12345678", "1234567", "x"}));
}

TEST(FormatTransfer, says_how_much_and_how_fast) {
  EXPECT_EQ(format_transfer(1, 1024, 100), "1.0 KiB, 1 entry");
  EXPECT_EQ(format_transfer(1204, std::uint64_t{620} << 20, 2000), "620.0 MiB, 310.0 MiB/s, 1204 entries");
}

}  // namespace
}  // namespace bot_bottle
