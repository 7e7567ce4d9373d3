// What this machine offers, found by trying and not by guessing from versions. Called by `doctor`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace bot_bottle::cli {

enum class Verdict : std::uint8_t { ok, missing, optional_missing };

/// What `doctor --fix` may do by itself: things of the operator's own that lose nothing and trust nobody.
struct Repair {
  enum class Kind : std::uint8_t { close_to_others, make_directory, remove_socket } kind = Kind::close_to_others;
  std::filesystem::path path;
};

/// `fix` is a command or a sentence for what is not ok.
struct Fact {
  std::string group;
  std::string name;
  Verdict verdict = Verdict::ok;
  std::string detail;
  std::string fix;
  std::optional<Repair> repair = std::nullopt;
};

/// "sudo apt-get install bubblewrap", in the words of this distribution (os-release(5)); `program` is one of ours.
std::string install_command(const std::string& program);

/// git, ssh, bwrap, docker …: what is on PATH, with its version.
std::vector<Fact> program_facts();
/// User namespaces, seccomp, Landlock, cgroup version and delegation, inotify.
std::vector<Fact> kernel_facts();

}  // namespace bot_bottle::cli
