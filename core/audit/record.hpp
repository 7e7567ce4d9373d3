// One line of the audit, and the record that says where the last one is. Used by chain and verify.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/json.hpp"
#include "core/base/paths.hpp"

namespace bot_bottle::audit {

/// A longer line was not written by us.
inline constexpr std::size_t max_line_octets = std::size_t{4} << 20;

std::filesystem::path file_of(const Home& home, std::string_view slug);
std::filesystem::path head_of(const Home& home, std::string_view slug);

/// What the first line names as the one before it: of the slug, so that a file under another bottle's name is noticed.
std::string first_previous(std::string_view slug);

/// `<slug>.head`: written after each append. Lines may be one append ahead of it (a crash), never behind.
struct Head {
  std::uint64_t lines = 0;
  std::uint64_t octets = 0;
  std::string last;     // SHA-256 of the last line, without its newline
  std::string journal;  // which journal of the bottle was copied last, and how far
  std::uint64_t seq = 0;
};
/// Nothing when absent. Throws failed_precondition when it is not what we write.
std::optional<Head> load_head(const Home& home, std::string_view slug);
/// Durable on return.
void write_head(const Home& home, std::string_view slug, const Head& head);

/// The line without its newline. `decision` as the control call `decisions` gives it; unknown members are left out,
/// long texts are cut and say so.
std::string make_line(const json::object& decision, std::string_view slug, std::string_view journal,
                      std::uint64_t number, std::string_view previous);

}  // namespace bot_bottle::audit
