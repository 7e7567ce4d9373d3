// Reads what a body is made of, so that a secret scattered over the fields of one message is found: the values joined
// in document order, and the names. JSON (also several documents in a row), forms, multipart; by what the body looks
// like, not by what it is called. Internal to sidecar/dlp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bot_bottle::dlp {

/// Fields one after the other, with the way back.
class Joined {
 public:
  [[nodiscard]] std::string_view text() const { return text_; }
  /// Where an octet of the text stands in the body.
  [[nodiscard]] std::uint64_t origin_of(std::size_t at) const;
  void append(std::string_view text, std::uint64_t origin);
  /// Forgets the first octets.
  void drop(std::size_t count);
  std::size_t seen = 0;  // octets that were scanned

 private:
  struct Span {
    std::uint64_t at = 0;  // in all that was ever appended
    std::uint64_t origin = 0;
  };
  std::string text_;
  std::uint64_t dropped_ = 0;
  std::vector<Span> spans_;
};

class Structure {
 public:
  /// `text` is the body from `base` on; what stands before `fresh` in it has been read. A long value is kept by its two
  /// ends: its middle is scanned as it is, and cannot be joined to anything.
  void read(std::string_view text, std::uint64_t base, std::size_t fresh);
  /// The end of the body: the last field is complete.
  void finish(std::string_view text, std::uint64_t base);

  Joined values;
  Joined names;

 private:
  enum class Kind : std::uint8_t { unknown, none, json, form, multipart };
  enum class Place : std::uint8_t { between, field, name, line };
  void find_kind(std::string_view text);
  void read_json();
  void read_form();
  void read_multipart();
  void read_line(std::string_view line, std::uint64_t begin);

  void open() {
    head_.clear();
    size_ = 0;
    begin_ = base_ + at_;
  }
  void take(std::size_t count);
  void commit(Joined& target);
  void keep_head();
  [[nodiscard]] std::string_view head() const;

  Kind kind_ = Kind::unknown;
  Place place_ = Place::between;
  bool escaped_ = false;
  bool pending_ = false;  // a JSON string that may turn out to be a name
  bool in_headers_ = false;
  std::string boundary_;

  std::string_view text_;
  std::uint64_t base_ = 0;
  std::size_t at_ = 0;  // in text_

  // The field at hand.
  std::string head_;
  std::uint64_t size_ = 0;
  std::uint64_t begin_ = 0;
};

}  // namespace bot_bottle::dlp
