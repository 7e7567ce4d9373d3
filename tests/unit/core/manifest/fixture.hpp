// A home, a repository and an environment of their own for each test; nothing of the machine's is read.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/manifest/manifest.hpp"

namespace bot_bottle::manifest {

class ManifestTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = std::filesystem::temp_directory_path() / "bb-manifest-XXXXXX";
    root_ = ::mkdtemp(pattern.data());
    sources_.home.root = root_ / "home" / ".bot-bottle";
    std::filesystem::create_directories(sources_.home.bottles());
    std::filesystem::create_directories(sources_.home.agents());
    old_home_ = ::getenv("HOME") == nullptr ? "" : ::getenv("HOME");
    ::setenv("HOME", (root_ / "home").c_str(), 1);
  }
  void TearDown() override {
    ::setenv("HOME", old_home_.c_str(), 1);
    EXPECT_TRUE(remove_tree(root_));
  }

  static void write(const std::filesystem::path& path, std::string_view text) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }
  void bottle(const std::string& name, std::string_view text) { write(sources_.home.bottles() / (name + ".md"), text); }
  void agent(const std::string& name, std::string_view text) { write(sources_.home.agents() / (name + ".md"), text); }
  void repository_agent(const std::string& name, std::string_view text) {
    sources_.repository = root_ / "repository";
    write(root_ / "repository" / ".bot-bottle" / "agents" / (name + ".md"), text);
  }

  /// The error's text with file names cut to their last part: what the operator reads, without the test's directory.
  std::string shortened(std::string text) const {
    for (const std::filesystem::path& directory :
         {sources_.home.bottles(), sources_.home.agents(), root_ / "repository" / ".bot-bottle" / "agents", root_}) {
      const std::string prefix = directory.string() + "/";
      for (std::size_t at = text.find(prefix); at != std::string::npos; at = text.find(prefix))
        text.erase(at, prefix.size());
    }
    return text;
  }
  template <typename Call>
  std::string faults_of(Call call) const {
    try {
      call();
    } catch (const Failure& failure) {
      const Error& error = failure.error();
      return shortened(error.details.empty() ? error.message + "\n  " + error.hint : error.details);
    }
    return {};
  }
  std::string bottle_faults(std::string_view text) {
    bottle("b", text);
    return faults_of([this] { static_cast<void>(load_bottle(sources_, "b")); });
  }
  std::string agent_faults(std::string_view text) {
    if (!std::filesystem::exists(sources_.home.bottles() / "dev.md")) bottle("dev", "---\n---\n");
    agent("a", text);
    return faults_of([this] { static_cast<void>(load(sources_, "a", std::nullopt)); });
  }
  std::string texts(const std::vector<Fault>& faults) const {
    std::string out;
    for (const Fault& fault : faults) out += (out.empty() ? "" : "\n") + shortened(to_text(fault));
    return out;
  }

  std::filesystem::path root_;
  Sources sources_;

 private:
  std::string old_home_;
};

}  // namespace bot_bottle::manifest
