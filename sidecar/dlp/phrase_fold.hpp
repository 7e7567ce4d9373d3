// Text as the injection detector reads it: lower-case ASCII letters and single spaces. What a model still reads as a
// word and a plain search does not, is folded: JSON and HTML escapes, zero-width and bidi characters, variation
// selectors, Unicode tags, full-width, mathematical and enclosed letters, common homoglyphs, accents, digits for
// letters (attack list K: prompt injection). Hostile input: every octet; never throws, holds at most a few octets back.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bot_bottle::dlp {

class Folder {
 public:
  /// In JSON every string has quotation marks: they say nothing about the text in them.
  enum class Quotes : std::uint8_t { speak, structure };
  /// `octet_wise`: the oracle of tests, and what processors without wide blocks run.
  enum class Way : std::uint8_t { fastest, octet_wise };
  explicit Folder(Quotes quotes = Quotes::speak, Way way = Way::fastest);

  /// Appends the folded form to `out`; an escape or character that is cut off waits for the next call.
  void write(std::string_view bytes, std::string& out);
  void finish(std::string& out);
  /// Positions in all that was ever appended, in order: what stands there follows a quotation mark.
  [[nodiscard]] std::vector<std::uint64_t>& marks() { return marks_; }
  [[nodiscard]] const std::vector<std::uint64_t>& marks() const { return marks_; }
  [[nodiscard]] std::uint64_t raw() const { return raw_; }

 private:
  enum class End : std::uint8_t { no, yes };
  void fold(std::string_view bytes, std::string& out, End end);
  std::size_t plain_by_octets(std::string_view bytes, std::size_t at);
  std::size_t plain_by_blocks(std::string_view bytes, std::size_t at);
  std::size_t foreign(std::string_view bytes, std::size_t at);
  std::size_t special(std::string_view rest, End end);
  std::size_t escape(std::string_view rest, End end);
  std::size_t entity(std::string_view rest, End end);
  std::size_t character(std::string_view rest, End end);
  void put(std::uint32_t code);
  void put_octet(char c) {
    if (c == ' ' && last_ == ' ') return;
    *to_++ = c;
    last_ = c;
  }
  void mark();

  Quotes quotes_;
  bool by_blocks_;
  std::string pending_;
  std::vector<std::uint64_t> marks_;
  std::uint64_t raw_ = 0;
  std::uint64_t folded_ = 0;  // characters before begin_
  char* begin_ = nullptr;     // what the present call appends; there is room for as many as octets came
  char* to_ = nullptr;
  char last_ = ' ';
  char before_ = ' ';  // the octet before, as it came
};

}  // namespace bot_bottle::dlp
