// Collects the faults of one reading, so that all are shown at once, and quotes hostile text inside them.
// Called by every file of this room. Hostile input: keys and values of a repository's agent files.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/manifest/manifest.hpp"

namespace bot_bottle::manifest {

/// More faults than these are counted, not kept: a hostile file must not fill a terminal.
inline constexpr std::size_t max_faults = 200;

class Faults {
 public:
  void error(Place place, std::string key_path, std::string message, std::string hint = {});
  void warning(Place place, std::string key_path, std::string message, std::string hint = {});
  void add(Fault fault);
  [[nodiscard]] bool has_errors() const { return errors_ > 0; }
  [[nodiscard]] std::size_t errors() const { return errors_; }
  /// While true, what is absent is no fault: an inherited part could not be read.
  void set_partial(bool partial) { partial_ = partial; }
  [[nodiscard]] bool is_partial() const { return partial_; }
  /// In order of file (as first seen), line and column, without repetitions; leaves this empty.
  std::vector<Fault> take();

 private:
  std::vector<Fault> faults_;
  std::size_t errors_ = 0;
  std::size_t left_out_ = 0;
  bool partial_ = false;
};

/// 'text' with control and invisible characters escaped, cut after 60 bytes.
std::string in_quotes(std::string_view text);
/// The same without the quotes: for key paths.
std::string shown(std::string_view text);
/// "routes" below "egress" → "egress.routes".
std::string join_path(std::string_view path, std::string_view key);
std::string index_path(std::string_view path, std::size_t index);

/// "did you mean 'x'?" or, when nothing is near, "accepted: a, b, c"; empty without candidates.
std::string suggestion(std::string_view word, std::span<const std::string> candidates,
                       std::string_view label = "accepted");

/// A Failure whose details list the errors. `what`: "agent 'x'". Call only when there are errors.
[[noreturn]] void throw_faults(std::string_view what, const std::vector<Fault>& faults);

}  // namespace bot_bottle::manifest
