// The planting script, run for real by /bin/sh in a home of its own.
#include "core/launch/canaries.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "fakes.hpp"

namespace bot_bottle::launch {
namespace {

using namespace testing_fakes;

/// Runs what it is told on this machine instead of in a bottle.
class ShellBackend : public FakeBackend {
 public:
  json::object exec(const json::object&, const json::object& request, int stdin_fd) override {
    const auto argv = get_strings(request, "argv");
    asked = to_text(request);
    const std::string out = output;
    const pid_t child = ::fork();
    if (child == 0) {
      ::dup2(stdin_fd, STDIN_FILENO);
      if (::freopen(out.c_str(), "w", stdout) == nullptr) ::_exit(1);
      std::vector<char*> words;
      for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
      words.push_back(nullptr);
      ::execv(words[0], words.data());
      ::_exit(127);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return {{"code", WEXITSTATUS(status)}, {"stdout", or_throw(read_file(out))}, {"stderr", ""}};
  }
  std::string output;
  std::string asked;
};

class PlantTest : public testing::Test {
 protected:
  void SetUp() override {
    home = place.root / "guest home";  // a space: paths are quoted
    workspace = place.root / "tree";
    for (const auto& one : {home, workspace}) std::filesystem::create_directories(one);
    backend.output = (place.root / "output").string();
    plan.manifest.workspace.mode = manifest::Workspace::Mode::copy;
    plan.guest.home = home.string();
    plan.guest.workspace = workspace.string();
    plan.slug = "writer-1";
    state::Metadata metadata;
    metadata.slug = plan.slug;
    directory.emplace(state::Directory::reserve(place.home, metadata));
  }
  std::vector<std::string> plant(const plan::CanarySet& set) {
    const std::map<std::string, std::string> env;
    const json::object bottle;
    const ProvisionContext context{
        plan, backend, provider, bottle, env, place.root / "staging", [this](std::string_view text) {
          warnings.emplace_back(text);
        }};
    return plant_canaries(context, set, PlantedBefore::load(*directory), *directory);
  }
  void make_git_tree() const {
    std::filesystem::create_directories(workspace / ".git");
    std::ofstream(workspace / ".git" / "HEAD") << "ref: refs/heads/main\n";
  }
  std::string read(const std::filesystem::path& path) const { return read_file(path).value_or("(none)"); }

  Place place;
  ShellBackend backend;
  FakeProvider provider;
  plan::Plan plan;
  std::filesystem::path home;
  std::filesystem::path workspace;
  std::optional<state::Directory> directory;
  std::vector<std::string> warnings;
};

TEST_F(PlantTest, files_stand_where_agents_look_and_only_the_agent_reads_them) {
  make_git_tree();
  const plan::CanarySet set = plan::make_canaries(plan);
  EXPECT_EQ(plant(set).size(), 4U);
  for (const plan::CanaryFile& file : set.files) {
    const auto path = (file.place == plan::CanaryFile::Place::home ? home : workspace) / file.path;
    EXPECT_EQ(read(path), file.content);
    struct stat status {};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U) << path;
  }
  EXPECT_EQ(read(workspace / ".git/info/exclude"), "/.env\n") << "it is never committed by accident";
  for (const plan::Canary& canary : set.canaries) EXPECT_EQ(backend.asked.find(canary.value), std::string::npos);
  EXPECT_TRUE(warnings.empty());
}

TEST_F(PlantTest, what_is_there_already_is_never_touched) {
  make_git_tree();
  std::ofstream(home / ".netrc") << "machine mine\n";
  std::filesystem::create_symlink(place.root / "elsewhere", home / ".npmrc");  // dangling
  std::ofstream(workspace / ".env") << "MINE=1\n";
  EXPECT_EQ(plant(plan::make_canaries(plan)), std::vector<std::string>{(home / ".aws/credentials").string()});
  EXPECT_EQ(read(home / ".netrc"), "machine mine\n");
  EXPECT_EQ(read(workspace / ".env"), "MINE=1\n");
  EXPECT_FALSE(std::filesystem::exists(place.root / "elsewhere"));
}

TEST_F(PlantTest, a_workspace_that_is_no_git_tree_gets_none) {
  const auto planted = plant(plan::make_canaries(plan));
  EXPECT_EQ(planted.size(), 3U);
  EXPECT_TRUE(std::filesystem::is_empty(workspace));
}

TEST_F(PlantTest, a_tracked_file_that_is_not_there_gets_none) {
  const std::string git =
      "cd '" + workspace.string() + "' && git init -q . && echo A=1 >.env && git add .env && rm .env";
  ASSERT_EQ(std::system(git.c_str()), 0);
  plant(plan::make_canaries(plan));
  EXPECT_FALSE(std::filesystem::exists(workspace / ".env"));
}

TEST_F(PlantTest, a_resume_replaces_what_nobody_changed_and_goes_on_watching_the_old_ones) {
  const plan::CanarySet first = plan::make_canaries(plan);
  plant(first);
  std::ofstream(home / ".npmrc", std::ios::app) << "color=false\n";
  const std::string changed = read(home / ".npmrc");
  const plan::CanarySet second = plan::make_canaries(plan);
  plant(second);
  EXPECT_EQ(read(home / ".netrc"), second.files[1].content);
  EXPECT_EQ(read(home / ".npmrc"), changed) << "the agent's own line would be lost";
  const auto watched = PlantedBefore::load(*directory).canaries;
  for (const auto* set : {&first, &second})
    for (const plan::Canary& canary : set->canaries)
      EXPECT_TRUE(std::ranges::any_of(watched, [&](const auto& one) { return one.value == canary.value; }));
  plant(plan::make_canaries(plan));
  EXPECT_EQ(read(home / ".npmrc"), changed);
}

TEST_F(PlantTest, a_bottle_where_it_fails_goes_on_with_a_warning) {
  std::filesystem::remove_all(home);
  std::ofstream(home) << "a file\n";
  EXPECT_TRUE(plant(plan::make_canaries(plan)).empty());
  EXPECT_EQ(warnings.size(), 3U);
}

}  // namespace
}  // namespace bot_bottle::launch
