// Slugs, reservation and the files of a state directory.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>

#include "core/base/clock.hpp"
#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/random.hpp"
#include "core/base/result.hpp"
#include "core/state/directory.hpp"
#include "core/state/slug.hpp"

namespace bot_bottle::state {
namespace {

class StateTest : public testing::Test {
 protected:
  void SetUp() override {
    home.root = std::filesystem::temp_directory_path() / ("bb-state-" + random_base36(8));
    std::filesystem::create_directories(home.root);
  }
  void TearDown() override { [[maybe_unused]] const auto removed = remove_tree(home.root); }
  Metadata metadata(const std::string& slug) const {
    Metadata made;
    made.slug = slug;
    made.agent = "writer";
    made.cli = ProcessIdentity::of_this_process();
    return made;
  }
  Home home;
};

ErrorKind kind_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Failure& failure) {
    return failure.error().kind;
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorKind::internal;
}

TEST(Slug, accepts_what_the_design_says_and_nothing_that_could_be_a_path) {
  EXPECT_TRUE(is_slug("a"));
  EXPECT_TRUE(is_slug("0-x"));
  EXPECT_TRUE(is_slug(std::string(63, 'a')));
  for (const std::string& bad :
       {std::string(), std::string("-a"), std::string("A"), std::string("a/b"), std::string(".."), std::string("a.b"),
        std::string("a b"), std::string(64, 'a'), std::string("a\0b", 3), std::string("ä")})
    EXPECT_FALSE(is_slug(bad)) << bad;
}

TEST(Slug, a_made_one_is_a_slug_that_starts_with_the_agents_name) {
  const std::string slug = make_slug("implementer");
  EXPECT_TRUE(is_slug(slug));
  EXPECT_EQ(slug.rfind("implementer-", 0), 0U);
  EXPECT_EQ(slug.size(), std::string("implementer-").size() + 5);
  EXPECT_TRUE(is_slug(make_slug(std::string(200, 'x'))));
  EXPECT_NE(make_slug("a"), make_slug("a"));
}

TEST(Slug, a_bad_label_is_refused_with_one_that_would_do) {
  EXPECT_EQ(slug_of_label("fix-42"), "fix-42");
  try {
    slug_of_label("Fix Issue_42!");
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::invalid_argument);
    EXPECT_EQ(failure.error().hint, "use --label fix-issue-42");
  }
}

TEST_F(StateTest, a_reservation_makes_the_documented_directories_for_the_operator_alone) {
  const Directory directory = Directory::reserve(home, metadata("x-1"));
  for (const char* name : {"", "egress", "wire", "control", "logs", "provision"}) {
    struct stat status {};
    ASSERT_EQ(::stat((directory.path() / name).c_str(), &status), 0) << name;
    EXPECT_EQ(status.st_mode & 0777U, 0700U) << name;
  }
  EXPECT_EQ(directory.metadata().agent, "writer");
}

TEST_F(StateTest, a_slug_in_use_is_refused) {
  const Directory first = Directory::reserve(home, metadata("x-1"));
  EXPECT_EQ(kind_of([&] { Directory::reserve(home, metadata("x-1")); }), ErrorKind::already_exists);
  EXPECT_TRUE(std::filesystem::exists(first.path() / "metadata.json"));
}

TEST_F(StateTest, two_processes_race_for_one_slug_and_exactly_one_wins) {
  for (int round = 0; round < 20; ++round) {
    const std::string slug = "race-" + std::to_string(round);
    std::array<int, 2> gate{};
    ASSERT_EQ(::pipe(gate.data()), 0);
    std::array<pid_t, 2> children{};
    for (pid_t& child : children) {
      child = ::fork();
      if (child == 0) {
        ::close(gate[1]);
        char byte = 0;
        [[maybe_unused]] const ssize_t got = ::read(gate[0], &byte, 1);  // both start when the parent closes the pipe
        int code = 2;
        try {
          Directory::reserve(home, metadata(slug));
          code = 0;
        } catch (const Failure& failure) {
          code = failure.error().kind == ErrorKind::already_exists ? 1 : 2;
        }
        ::_exit(code);
      }
    }
    ::close(gate[0]);
    ::close(gate[1]);
    int winners = 0;
    int losers = 0;
    for (const pid_t child : children) {
      int status = 0;
      ::waitpid(child, &status, 0);
      winners += WEXITSTATUS(status) == 0 ? 1 : 0;
      losers += WEXITSTATUS(status) == 1 ? 1 : 0;
    }
    EXPECT_EQ(winners, 1);
    EXPECT_EQ(losers, 1);
  }
}

TEST_F(StateTest, metadata_comes_back_as_it_was) {
  Metadata written = metadata("x-1");
  written.bottle = "dev";
  written.backend = "local";
  written.provider = "command";
  written.label = "x-1";
  written.color = "red";
  written.cwd = "/srv/project";
  written.started_at_ms = 1'700'000'000'123;
  written.status = Status::preserved;
  written.detached = true;
  written.exit_code = 3;
  written.bottle_override = "dev";
  written.no_workspace = true;
  written.arguments = {"--fast", "two words"};
  const Directory directory = Directory::reserve(home, written);
  const Metadata read = directory.metadata();
  EXPECT_EQ(to_json(read), to_json(written));
  EXPECT_EQ(display_name(read), "x-1 (writer)");
}

TEST_F(StateTest, an_unknown_slug_is_not_found_and_the_near_one_is_named) {
  const Directory first = Directory::reserve(home, metadata("writer-abcde"));
  try {
    Directory::open(home, "writer-abcdf");
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::not_found);
    EXPECT_NE(failure.error().details.find("writer-abcde"), std::string::npos);
  }
  EXPECT_EQ(kind_of([&] { Directory::open(home, "../state"); }), ErrorKind::invalid_argument);
}

TEST_F(StateTest, only_one_holder_has_the_lock) {
  Directory first = Directory::reserve(home, metadata("x-1"));
  Directory second = Directory::open(home, "x-1");
  EXPECT_TRUE(first.try_lock());
  EXPECT_FALSE(second.try_lock());
  { const Directory gone = std::move(first); }
  EXPECT_TRUE(second.try_lock());
}

TEST_F(StateTest, G4_a_link_in_place_of_a_log_is_never_followed) {
  const Directory directory = Directory::reserve(home, metadata("x-1"));
  const std::filesystem::path victim = home.root / "victim";
  std::ofstream(victim) << "operator's own\n";
  std::filesystem::create_symlink(victim, directory.path() / "logs" / "events.jsonl");
  std::filesystem::create_symlink(victim, directory.path() / "logs" / "sidecar.log");
  directory.append_event({{"event", "started"}});
  EXPECT_EQ(or_throw(read_file(victim)), "operator's own\n");
  EXPECT_EQ(directory.log_tail("sidecar.log", 100), "");
  std::filesystem::create_hard_link(victim, directory.path() / "logs" / "hard.log");
  EXPECT_EQ(directory.log_tail("hard.log", 100), "");
}

TEST_F(StateTest, events_are_lines_of_json_and_a_tail_starts_at_a_line) {
  const Directory directory = Directory::reserve(home, metadata("x-1"));
  directory.append_event({{"event", "sidecar"}, {"ms", 3}});
  directory.append_event({{"event", "bottle"}, {"level", "warn"}});
  const std::string text = or_throw(read_file(directory.path() / "logs" / "events.jsonl"));
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  EXPECT_EQ(lines, 2U);
  const json::object first = or_throw(parse_json_object(text.substr(0, text.find('\n'))));
  EXPECT_EQ(get_string(first, "kind"), "launch");
  EXPECT_EQ(get_string(first, "level"), "info");
  EXPECT_EQ(directory.log_tail("events.jsonl", text.size() - 1).front(), '{');
}

TEST_F(StateTest, a_preserved_directory_says_so_until_it_is_taken_back) {
  const Directory directory = Directory::reserve(home, metadata("x-1"));
  EXPECT_FALSE(directory.is_preserved());
  directory.preserve("exit code 3");
  EXPECT_TRUE(Directory::open(home, "x-1").is_preserved());
  directory.unpreserve();
  EXPECT_FALSE(directory.is_preserved());
}

TEST_F(StateTest, a_launching_process_is_alive_and_a_dead_or_reused_one_is_not) {
  EXPECT_TRUE(ProcessIdentity::of_this_process().is_alive());
  ProcessIdentity reused = ProcessIdentity::of_this_process();
  reused.start_ticks += 1;
  EXPECT_FALSE(reused.is_alive());
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
  EXPECT_FALSE((ProcessIdentity{.pid = child}).is_alive()) << "a zombie undoes nothing";
  ::waitpid(child, nullptr, 0);
  EXPECT_FALSE((ProcessIdentity{.pid = child, .start_ticks = 1}).is_alive());
}

TEST_F(StateTest, a_directory_that_is_being_made_is_not_an_orphan) {
  std::filesystem::create_directories(home.state_of("fresh"));
  EXPECT_TRUE(is_being_launched(Directory::open(home, "fresh")));
  Metadata dead = metadata("dead");
  dead.cli.start_ticks += 1;
  const Directory directory = Directory::reserve(home, dead);
  EXPECT_FALSE(is_being_launched(directory));
}

TEST_F(StateTest, listing_leaves_out_what_is_not_a_bottle) {
  Directory::reserve(home, metadata("b"));
  Directory::reserve(home, metadata("a"));
  std::filesystem::create_directories(home.state() / "Not-A-Slug");
  std::filesystem::create_symlink("/etc", home.state() / "etc-link");
  EXPECT_EQ(list_slugs(home), (std::vector<std::string>{"a", "b"}));
}

TEST_F(StateTest, removing_takes_everything_of_the_bottle_and_nothing_behind_a_link) {
  const Directory directory = Directory::reserve(home, metadata("x-1"));
  std::filesystem::create_directories(home.root / "outside");
  std::ofstream(home.root / "outside" / "file") << "x";
  std::filesystem::create_directory_symlink(home.root / "outside", directory.path() / "backend");
  directory.remove();
  EXPECT_FALSE(std::filesystem::exists(directory.path()));
  EXPECT_TRUE(std::filesystem::exists(home.root / "outside" / "file"));
}

}  // namespace
}  // namespace bot_bottle::state
