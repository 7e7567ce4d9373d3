// One state directory: its reservation, its lock, its files. Called by launch and by the verbs that take a SLUG.
// Throws Failure.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/paths.hpp"
#include "core/base/unique_fd.hpp"
#include "core/state/metadata.hpp"

namespace bot_bottle::state {

enum class Durable : std::uint8_t { no, yes };

/// already_exists of Directory::reserve: nothing was made, and another slug would do.
class SlugTaken : public Failure {
 public:
  using Failure::Failure;
};

class Directory {
 public:
  /// mkdir(2) of state/<slug>: of two processes exactly one succeeds, the other gets SlugTaken. Makes the
  /// subdirectories of docs/internals.md (0700), takes the lock and writes `metadata`. Nothing is left when it throws.
  static Directory reserve(const Home& home, const Metadata& metadata);
  /// not_found names what there is. Takes no lock.
  static Directory open(const Home& home, const std::string& slug);

  Directory(Directory&&) noexcept = default;
  Directory& operator=(Directory&&) noexcept = default;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] const std::string& slug() const { return slug_; }
  [[nodiscard]] std::filesystem::path control_socket() const { return path_ / "control" / "control.sock"; }

  /// Of two that launch or resume the same bottle one wins; the lock ends with the process. False: somebody else has
  /// it.
  [[nodiscard]] bool try_lock();

  [[nodiscard]] Metadata metadata() const;
  void write_metadata(const Metadata& metadata, Durable durable = Durable::no) const;

  /// "plan.json", "bottle.json": the backend's documents. Nothing when absent.
  [[nodiscard]] std::optional<json::object> find_document(std::string_view name) const;
  void write_document(std::string_view name, const json::object& document) const;
  void remove_document(std::string_view name) const;
  /// bottle.json, or plan.json where launch had not come that far; what stop and remove take.
  [[nodiscard]] std::optional<json::object> find_bottle() const;

  /// What an earlier sidecar left in wire/ and control/: nobody can bind where a dead socket is.
  void remove_sockets() const;

  /// The `preserve` marker: this directory outlives its bottle. Durable: a crash must not turn it into an orphan.
  void preserve(std::string_view reason, Durable durable = Durable::yes) const;
  /// What `preserve` was given last; empty where it was not. One line.
  [[nodiscard]] std::string preserve_reason() const;
  void unpreserve() const;
  [[nodiscard]] bool is_preserved() const;

  /// Appends a launch event to logs/events.jsonl. Never throws: a full disk must not stop an undo.
  void append_event(json::object event) const noexcept;
  /// The last `max_bytes` of logs/<name>, from a line's start; empty when absent. May hold hostile text.
  [[nodiscard]] std::string log_tail(std::string_view name, std::size_t max_bytes) const;

  /// Removes the whole tree, never following a link.
  void remove() const;

 private:
  Directory(std::filesystem::path path, std::string slug) : path_(std::move(path)), slug_(std::move(slug)) {}
  /// A file in logs/, which the sidecar can write in: no link is followed, and it must be a plain file with one name.
  [[nodiscard]] UniqueFd open_log(std::string_view name, int flags) const;

  std::filesystem::path path_;
  std::string slug_;
  UniqueFd lock_;
};

/// All state directories whose name is a slug, sorted.
std::vector<std::string> list_slugs(const Home& home);

/// A directory without metadata.json is being made right now, unless it is older than this: then its maker died.
inline constexpr std::int64_t reservation_grace_ms = 60'000;
/// True while some process may still be making or undoing this bottle: cleanup must not touch it.
bool is_being_launched(const Directory& directory);

/// Held shared while a slug is being reserved, exclusively while cleanup acts: a bottle that starts during a cleanup is
/// either seen by it or comes after it (spec 09: cleanup racing start).
enum class LockMode : std::uint8_t { shared, exclusive };
UniqueFd lock_state(const Home& home, LockMode mode);

}  // namespace bot_bottle::state
