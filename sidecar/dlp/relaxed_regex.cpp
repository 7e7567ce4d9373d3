#include "sidecar/dlp/relaxed_regex.hpp"

#include <algorithm>
#include <bitset>
#include <charconv>

namespace bot_bottle::dlp {
namespace {

using Octets = std::bitset<256>;

/// What without_quoting may have made a space or a line feed of. Of both cases: the regex may not tell them apart.
constexpr std::string_view behind_space = "\\tbfvTBFV";
constexpr std::string_view behind_line_feed = "nrNR";

void add(Octets& set, std::string_view octets) {
  for (const char c : octets) set.set(static_cast<unsigned char>(c));
}
void add_range(Octets& set, unsigned first, unsigned last) {
  for (unsigned c = first; c <= last; ++c) set.set(c);
}

/// "\s" and its like, as Hyperscan and PCRE know them. False: none of them.
bool add_kind(Octets& set, char kind) {
  Octets octets;
  switch (kind) {
    case 's':
    case 'S':
      add(octets, " \t\n\v\f\r");
      break;
    case 'd':
    case 'D':
      add_range(octets, '0', '9');
      break;
    case 'w':
    case 'W':
      add_range(octets, '0', '9');
      add_range(octets, 'a', 'z');
      add_range(octets, 'A', 'Z');
      add(octets, "_");
      break;
    default:
      return false;
  }
  set |= kind == 'S' || kind == 'D' || kind == 'W' ? ~octets : octets;
  return true;
}

class Relaxer {
 public:
  explicit Relaxer(std::string_view regex) : regex_(regex) {}

  std::optional<std::string> run() {
    while (at_ < regex_.size()) {
      const char c = regex_[at_];
      const bool read = c == '\\'  ? read_escape()
                        : c == '[' ? read_class()
                        : c == '(' ? read_group()
                        : c == '$' ? read_end()
                                   : c != '^' && read_literal();
      if (!read) return std::nullopt;
    }
    return std::move(out_);
  }

 private:
  bool read_literal() {
    put(static_cast<unsigned char>(regex_[at_]), regex_.substr(at_, 1));
    ++at_;
    return true;
  }

  /// One octet, which the regex writes as `written`.
  void put(unsigned octet, std::string_view written) {
    if (octet != ' ' && octet != '\n') {
      out_ += written;
      return;
    }
    Octets set;
    set.set(octet);
    add(set, octet == ' ' ? behind_space : behind_line_feed);
    put(set, "");
  }
  /// Ranges of octets in brackets. `negated`: "^".
  void put(const Octets& set, std::string_view negated) {
    out_.append("[").append(negated);
    const auto put_octet = [this](std::size_t octet) {
      constexpr std::string_view digits = "0123456789abcdef";
      out_.append("\\x").append(1, digits[octet >> 4U]).append(1, digits[octet & 15U]);
    };
    for (std::size_t first = 0; first < set.size(); ++first) {
      if (!set[first]) continue;
      std::size_t last = first;
      while (last + 1 < set.size() && set[last + 1]) ++last;
      put_octet(first);
      if (last > first) {
        out_ += '-';
        put_octet(last);
      }
      first = last;
    }
    out_ += ']';
  }

  /// The octet that the escape at `at_` stands for, which it is moved behind. Nothing: it stands for more, or is not
  /// known.
  std::optional<unsigned> read_octet() {
    const char c = at_ + 1 < regex_.size() ? regex_[at_ + 1] : '\0';
    at_ += 2;
    switch (c) {
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      case 'f':
        return '\f';
      case 'x': {
        unsigned value = 0;
        const char* const begin = regex_.data() + at_;
        const auto [end, code] =
            std::from_chars(begin, begin + std::min<std::size_t>(2, regex_.size() - at_), value, 16);
        if (code != std::errc() || end != begin + 2) return std::nullopt;
        at_ += 2;
        return value;
      }
      default:
        break;
    }
    const bool letter_or_digit = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
    if (letter_or_digit || static_cast<unsigned char>(c) >= 0x80 || c == '\0') return std::nullopt;
    return static_cast<unsigned char>(c);
  }

  bool read_escape() {
    const char kind = at_ + 1 < regex_.size() ? regex_[at_ + 1] : '\0';
    if (kind == 'b' || kind == 'B') {
      at_ += 2;
      out_ += "(?:)";
      return at_ >= regex_.size() || std::string_view("*+?{").find(regex_[at_]) == std::string_view::npos;
    }
    Octets set;
    if (add_kind(set, kind)) {
      widen(set);
      put(set, "");
      at_ += 2;
      return true;
    }
    const std::size_t begin = at_;
    const auto octet = read_octet();
    if (!octet) return false;
    put(*octet, regex_.substr(begin, at_ - begin));
    return true;
  }

  static void widen(Octets& set) {
    if (set[' ']) add(set, behind_space);
    if (set['\n']) add(set, behind_line_feed);
  }

  bool read_class() {
    ++at_;
    const bool negated = at_ < regex_.size() && regex_[at_] == '^';
    if (negated) ++at_;
    Octets set;
    for (bool first = true;; first = false) {
      if (at_ >= regex_.size()) return false;
      if (regex_[at_] == ']' && !first) break;
      if (regex_[at_] == '[' && at_ + 1 < regex_.size() &&
          std::string_view(":.=").find(regex_[at_ + 1]) != std::string_view::npos)
        return false;
      if (regex_[at_] == '\\' && at_ + 1 < regex_.size() && add_kind(set, regex_[at_ + 1])) {
        at_ += 2;
        // What "\s-x" means is told differently.
        if (at_ + 1 < regex_.size() && regex_[at_] == '-' && regex_[at_ + 1] != ']') return false;
        continue;
      }
      const auto low = read_member();
      if (!low) return false;
      unsigned high = *low;
      if (at_ + 1 < regex_.size() && regex_[at_] == '-' && regex_[at_ + 1] != ']') {
        ++at_;
        const auto last = read_member();
        if (!last || *last < *low) return false;
        high = *last;
      }
      add_range(set, *low, high);
    }
    ++at_;
    ends_any_ = false;
    if (!negated) {
      widen(set);
      put(set, "");
      return true;
    }
    const bool takes_space = !set[' '];
    const bool takes_line_feed = !set['\n'];
    ends_any_ = takes_space && takes_line_feed && out_.ends_with("(?:");
    if (takes_space)
      for (const char c : behind_space) set.reset(static_cast<unsigned char>(c));
    if (takes_line_feed)
      for (const char c : behind_line_feed) set.reset(static_cast<unsigned char>(c));
    if (set.none())
      put(~set, "");
    else
      put(set, "^");
    class_end_ = at_;
    return true;
  }
  std::optional<unsigned> read_member() {
    if (regex_[at_] == '\\') return read_octet();
    return static_cast<unsigned char>(regex_[at_++]);
  }

  bool read_group() {
    out_ += regex_[at_++];
    if (at_ >= regex_.size() || regex_[at_] != '?') return true;
    // "(?:", "(?i)", "(?i:", "(?s:", "(?-i)" and names.
    std::size_t end = at_ + 1;
    if (regex_.substr(end).starts_with("P<") ||
        (regex_.substr(end, 1) == "<" && regex_.substr(end, 2) != "<=" && regex_.substr(end, 2) != "<!")) {
      end = regex_.find('>', end);
      if (end == std::string_view::npos) return false;
    } else {
      while (end < regex_.size() && std::string_view("is-").find(regex_[end]) != std::string_view::npos) ++end;
      if (end >= regex_.size() || (regex_[end] != ':' && regex_[end] != ')')) return false;
    }
    out_ += regex_.substr(at_, end + 1 - at_);
    at_ = end + 1;
    return true;
  }

  /// "(?:[^x]|$)" as the last thing, where x holds neither a space nor a line feed: what ends before the last line feed
  /// is seen behind it.
  bool read_end() {
    const bool last = at_ + 1 < regex_.size() && regex_.find_first_not_of(')', at_ + 1) == std::string_view::npos;
    if (!ends_any_ || class_end_ + 1 != at_ || regex_[at_ - 1] != '|' || !last) return false;
    out_ += '$';
    ++at_;
    return true;
  }

  std::string_view regex_;
  std::size_t at_ = 0;
  std::string out_;
  bool ends_any_ = false;      // the last class is "(?:[^x]", and takes spaces and line feeds
  std::size_t class_end_ = 0;  // in regex_
};

}  // namespace

std::optional<std::string> relax_regex(std::string_view regex) {
  return Relaxer(regex).run();
}

}  // namespace bot_bottle::dlp
