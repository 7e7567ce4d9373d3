// What is inside zip, gzip, zstd and tar content, bounded (spec 05). Hostile input: every octet.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace bot_bottle::git_gate {

/// One archive and all that is nested in it. What cannot be read is a fault, never silence: an encrypted or oddly
/// compressed member, a bomb, too much of it.
class Unpacker {
 public:
  /// `name` is "a.zip!b.txt"; `bytes` are valid during the call.
  using OnContent = std::function<void(const std::string& name, std::string_view bytes)>;
  explicit Unpacker(OnContent on_content) : on_content_(std::move(on_content)) {}

  /// Gives the content of every member, archives in archives included, to a depth of three. Returns why something was
  /// not looked at.
  std::optional<std::string> open(const std::string& name, std::string_view bytes);

  /// Whether open() would look into it; `head` is at least the first 512 octets where there are as many.
  static bool is_archive(std::string_view head);

 private:
  void enter(const std::string& name, std::string_view bytes, int depth);
  void open_zip(const std::string& name, std::string_view bytes, int depth);
  void open_tar(const std::string& name, std::string_view bytes, int depth);
  void open_stream(const std::string& name, std::string_view bytes, int depth);
  void give(const std::string& name, std::string_view bytes, int depth);
  bool spend(std::size_t octets);
  void fault(std::string why) {
    if (!fault_) fault_ = std::move(why);
  }

  OnContent on_content_;
  std::optional<std::string> fault_;
  std::uint64_t octets_ = 0;
  std::uint64_t members_ = 0;
};

inline constexpr std::size_t max_archive_octets = std::size_t{64} << 20;        // of one archive, and of one member
inline constexpr std::uint64_t max_unpacked_octets = std::uint64_t{256} << 20;  // of all of them
inline constexpr std::uint64_t max_members = 20'000;

}  // namespace bot_bottle::git_gate
