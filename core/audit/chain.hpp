// Appending to a bottle's audit. Processes take turns (flock); what a crash left is mended by the next one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/audit/record.hpp"
#include "core/base/json.hpp"
#include "core/base/paths.hpp"
#include "core/base/unique_fd.hpp"

namespace bot_bottle::audit {

class Chain {
 public:
  /// Makes audit/ and the files when absent, waits for its turn, cuts off half a line and takes up whole lines that a
  /// crash left behind the head. Throws failed_precondition when the file is not what the head says: then nothing is
  /// written to it until somebody has looked (bot-bottle audit verify).
  static Chain open(const Home& home, const std::string& slug);

  /// The number of the last decision of this journal that is recorded; 0: none.
  [[nodiscard]] std::uint64_t cursor(std::string_view journal) const {
    return head_.journal == journal ? head_.seq : 0;
  }
  /// Durable on return. `decisions` in the order of their `seq`; those that are recorded already are left out, so
  /// that whoever copies, and copies again after a crash, doubles nothing. Gives how many lines were written.
  std::size_t append(std::string_view journal, const std::vector<json::object>& decisions);

 private:
  Chain(Home home, std::string slug, UniqueFd fd)
      : home_(std::move(home)), slug_(std::move(slug)), fd_(std::move(fd)) {}
  void mend();
  void check_last_line() const;
  void take_up(std::string_view line);
  [[nodiscard]] Error damaged(std::string_view why) const;

  Home home_;
  std::string slug_;
  UniqueFd fd_;
  Head head_;
};

/// The same as `Chain::open(home, slug).cursor(journal)`, without making the files of a bottle that decided nothing.
std::uint64_t recorded_of(const Home& home, const std::string& slug, std::string_view journal);

}  // namespace bot_bottle::audit
