// What this machine offers, found by trying and not by guessing from versions. Called by `doctor`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bot_bottle::cli {

enum class Verdict : std::uint8_t { ok, missing, optional_missing };

/// `fix` is a command or a sentence for what is not ok.
struct Fact {
  std::string group;
  std::string name;
  Verdict verdict = Verdict::ok;
  std::string detail;
  std::string fix;
};

/// git, ssh, bwrap, docker …: what is on PATH, with its version.
std::vector<Fact> program_facts();
/// User namespaces, seccomp, Landlock, cgroup version and delegation, inotify.
std::vector<Fact> kernel_facts();

}  // namespace bot_bottle::cli
