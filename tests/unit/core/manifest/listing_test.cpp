// Names by scanning, where the repository is, and what of it is ignored.
#include <sys/inotify.h>
#include <sys/stat.h>

#include <array>

#include "core/base/unique_fd.hpp"
#include "tests/unit/core/manifest/fixture.hpp"

namespace bot_bottle::manifest {
namespace {

using Lists = ManifestTest;

std::vector<std::string> names(const Listing& listing) {
  std::vector<std::string> out;
  for (const NamedFile& file : listing.files) out.push_back(file.name);
  return out;
}

TEST_F(Lists, five_hundred_agents_are_listed_without_opening_one) {
  for (int i = 0; i < 500; ++i) agent("agent-" + std::to_string(i), "---\nnot: [a manifest\n");
  const UniqueFd watch(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  ASSERT_TRUE(watch);
  ASSERT_GE(::inotify_add_watch(watch.get(), sources_.home.agents().c_str(), IN_OPEN | IN_ACCESS), 0);
  EXPECT_EQ(list_agents(sources_).files.size(), 500U);
  alignas(inotify_event) std::array<char, 65536> buffer{};
  const ssize_t got = ::read(watch.get(), buffer.data(), buffer.size());
  for (ssize_t at = 0; at < got;) {
    inotify_event event{};
    std::copy_n(buffer.data() + at, sizeof(event), reinterpret_cast<char*>(&event));
    // Events of the directory itself have no name.
    EXPECT_EQ(event.len, 0U) << buffer.data() + at + sizeof(event);
    at += static_cast<ssize_t>(sizeof(event) + event.len);
  }
  // The watch would have seen it.
  static_cast<void>(read_file(sources_.home.agents() / "agent-7.md"));
  EXPECT_GT(::read(watch.get(), buffer.data(), buffer.size()), 0);
}

TEST_F(Lists, one_broken_agent_does_not_block_another) {
  bottle("dev", "---\n---\n");
  bottle("broken", "no front matter");
  agent("broken", "\x01\x02\xFF");
  agent("good", "---\nbottle: dev\n---\nHello\n");
  EXPECT_THAT(names(list_agents(sources_)), testing::ElementsAre("broken", "good"));
  EXPECT_EQ(load(sources_, "good", std::nullopt).prompt, "Hello\n");
}

TEST_F(Lists, other_files_are_skipped_with_a_warning) {
  agent("good", "");
  write(sources_.home.agents() / "README.md", "");
  write(sources_.home.agents() / "notes.txt", "");
  write(sources_.home.agents() / "9lives.md", "");
  write(sources_.home.agents() / "with_underscore.md", "");
  write(sources_.home.agents() / ".hidden.md", "");
  std::filesystem::create_directory(sources_.home.agents() / "dir.md");
  const Listing listing = list_agents(sources_);
  EXPECT_THAT(names(listing), testing::ElementsAre("good"));
  std::vector<std::string> warnings;
  for (const Fault& warning : listing.warnings) {
    EXPECT_EQ(warning.severity, Fault::Severity::warning);
    warnings.push_back(shortened(to_text(warning)));
  }
  const std::string hint = "\n  lower-case letters, digits and '-', beginning with a letter";
  EXPECT_THAT(warnings, testing::UnorderedElementsAre(
                            "README.md: warning: is skipped: 'README' is not a name" + hint,
                            "notes.txt: warning: is skipped: an agent is a file NAME.md",
                            "9lives.md: warning: is skipped: '9lives' is not a name" + hint,
                            "with_underscore.md: warning: is skipped: 'with_underscore' is not a name" + hint,
                            "dir.md: warning: is skipped: not a file"));
}

TEST_F(Lists, absent_directories_are_empty_lists) {
  sources_.home.root = root_ / "nowhere";
  EXPECT_TRUE(list_agents(sources_).files.empty());
  EXPECT_TRUE(list_agents(sources_).warnings.empty());
  EXPECT_TRUE(list_bottles(sources_).files.empty());
}

TEST_F(Lists, the_repositorys_agent_wins_and_says_where_it_is_from) {
  bottle("dev", "---\n---\n");
  agent("a", "---\nbottle: dev\n---\nhome\n");
  agent("b", "---\nbottle: dev\n---\nhome\n");
  repository_agent("a", "---\nbottle: dev\n---\nrepository\n");
  const Manifest a = load(sources_, "a", std::nullopt);
  EXPECT_EQ(a.prompt, "repository\n");
  EXPECT_EQ(a.agent_origin, Origin::repository);
  EXPECT_EQ(a.agent_file, root_ / "repository/.bot-bottle/agents/a.md");
  EXPECT_EQ(load(sources_, "b", std::nullopt).agent_origin, Origin::home);
  EXPECT_EQ(list_agents(sources_).files.size(), 2U);
}

TEST_F(Lists, a_repository_ships_no_bottles_and_no_plugins) {
  repository_agent("a", "---\nbottle: evil\n---\n");
  write(root_ / "repository/.bot-bottle/bottles/evil.md", "---\negress: {routes: [{host: evil.example}]}\n---\n");
  write(root_ / "repository/.bot-bottle/contrib/x/plugin.toml", "");
  EXPECT_TRUE(list_bottles(sources_).files.empty());
  EXPECT_EQ(
      texts(list_agents(sources_).warnings),
      "repository/.bot-bottle/bottles: warning: is ignored: a repository can ship agents, never bottles or plugins\n"
      "  powers come from your home: ~/.bot-bottle/bottles\n"
      "repository/.bot-bottle/contrib: warning: is ignored: a repository can ship agents, never bottles or plugins\n"
      "  powers come from your home: ~/.bot-bottle/contrib");
  EXPECT_THROW(static_cast<void>(load(sources_, "a", std::nullopt)), Failure);
  bottle("evil", "---\n---\n");
  const Manifest manifest = load(sources_, "a", std::nullopt);
  EXPECT_TRUE(manifest.egress.routes.empty());
  EXPECT_EQ(manifest.warnings.size(), 2U);
}

TEST_F(Lists, a_repositorys_link_does_not_make_a_file_of_the_operator_a_prompt) {
  bottle("dev", "---\n---\n");
  write(root_ / "home/notes.md", "---\nbottle: dev\n---\nprivate\n");
  repository_agent("real", "---\nbottle: dev\n---\n");
  const std::filesystem::path agents = root_ / "repository/.bot-bottle/agents";
  std::filesystem::create_symlink(root_ / "home/notes.md", agents / "leak.md");
  ASSERT_EQ(::mkfifo((agents / "fifo.md").c_str(), 0600), 0);
  EXPECT_THAT(names(list_agents(sources_)), testing::ElementsAre("real"));
  EXPECT_THROW(static_cast<void>(load(sources_, "leak", std::nullopt)), Failure);
  // The operator's own links are followed: people keep such files elsewhere.
  std::filesystem::create_symlink(root_ / "home/notes.md", sources_.home.agents() / "mine.md");
  EXPECT_EQ(load(sources_, "mine", std::nullopt).prompt, "private\n");
}

TEST_F(Lists, a_repositorys_directory_behind_a_link_is_ignored) {
  bottle("dev", "---\n---\n");
  write(root_ / "private/agents/leak.md", "---\nbottle: dev\n---\nprivate\n");
  std::filesystem::create_directories(root_ / "repository");
  std::filesystem::create_symlink(root_ / "private", root_ / "repository/.bot-bottle");
  sources_ = Sources::find(sources_.home, root_ / "repository");
  EXPECT_TRUE(list_agents(sources_).files.empty());
  std::filesystem::remove(root_ / "repository/.bot-bottle");
  std::filesystem::create_directories(root_ / "repository/.bot-bottle");
  std::filesystem::create_symlink(root_ / "private/agents", root_ / "repository/.bot-bottle/agents");
  EXPECT_TRUE(list_agents(sources_).files.empty());
  EXPECT_EQ(list_agents(sources_).warnings.size(), 1U);
}

TEST_F(Lists, the_repository_is_searched_upwards_to_its_top) {
  const std::filesystem::path repository = root_ / "code/app";
  std::filesystem::create_directories(repository / ".bot-bottle/agents");
  std::filesystem::create_directories(repository / ".git");
  std::filesystem::create_directories(repository / "src/deep");
  EXPECT_EQ(Sources::find(sources_.home, repository / "src/deep").repository, repository);
  EXPECT_EQ(Sources::find(sources_.home, repository).repository, repository);
  EXPECT_EQ(Sources::find(sources_.home, root_ / "code").repository, std::nullopt);
  // A directory above the repository's top is not the repository's (somebody's /tmp/.bot-bottle).
  std::filesystem::remove_all(repository / ".bot-bottle");
  std::filesystem::create_directories(root_ / "code/.bot-bottle/agents");
  EXPECT_EQ(Sources::find(sources_.home, repository / "src").repository, std::nullopt);
}

TEST_F(Lists, the_operators_own_directory_is_never_a_repositorys) {
  std::filesystem::create_directories(root_ / "home/projects/x");
  EXPECT_EQ(Sources::find(sources_.home, root_ / "home/projects/x").repository, std::nullopt);
  // Also when $BOT_BOTTLE_HOME is elsewhere: ~/.bot-bottle holds bottles.
  Home other;
  other.root = root_ / "other";
  EXPECT_EQ(Sources::find(other, root_ / "home/projects/x").repository, std::nullopt);
}

}  // namespace
}  // namespace bot_bottle::manifest
