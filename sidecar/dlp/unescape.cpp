#include "sidecar/dlp/unescape.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <utility>

#include "sidecar/dlp/octet_skips.hpp"

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace bot_bottle::dlp {
namespace {

/// No escape is longer, of what one decoding step can see.
constexpr std::size_t reach = 14;

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}
bool is_octal(char c) {
  return c >= '0' && c <= '7';
}

/// The number `digits` says; nothing when one is no digit, when there is none, and beyond Unicode.
std::optional<std::uint32_t> number_of(std::string_view digits, std::uint32_t base) {
  if (digits.empty()) return std::nullopt;
  std::uint32_t value = 0;
  for (const char c : digits) {
    const int digit = hex_value(c);
    if (digit < 0 || static_cast<std::uint32_t>(digit) >= base) return std::nullopt;
    value = value * base + static_cast<std::uint32_t>(digit);
    if (value > 0x10ffff) return std::nullopt;
  }
  return value;
}

constexpr std::array<std::pair<std::string_view, std::uint32_t>, 39> entities{
    {{"amp", '&'},    {"AMP", '&'},    {"lt", '<'},      {"LT", '<'},     {"gt", '>'},    {"GT", '>'},
     {"quot", '"'},   {"QUOT", '"'},   {"apos", '\''},   {"nbsp", ' '},   {"sol", '/'},   {"bsol", '\\'},
     {"lowbar", '_'}, {"equals", '='}, {"plus", '+'},    {"percnt", '%'}, {"num", '#'},   {"colon", ':'},
     {"semi", ';'},   {"comma", ','},  {"period", '.'},  {"excl", '!'},   {"quest", '?'}, {"ast", '*'},
     {"dollar", '$'}, {"commat", '@'}, {"lpar", '('},    {"rpar", ')'},   {"lsqb", '['},  {"rsqb", ']'},
     {"lcub", '{'},   {"rcub", '}'},   {"Hat", '^'},     {"grave", '`'},  {"vert", '|'},  {"hyphen", '-'},
     {"dash", '-'},   {"Tab", '\t'},   {"NewLine", '\n'}}};

std::optional<std::uint32_t> entity_of(std::string_view name) {
  if (name.size() > 1 && name[0] == '#')
    return name[1] == 'x' || name[1] == 'X' ? number_of(name.substr(2), 16) : number_of(name.substr(1), 10);
  const auto found = std::ranges::find(entities, name, [](const auto& entity) { return entity.first; });
  return found == entities.end() ? std::nullopt : std::optional(found->second);
}

std::size_t utf8_size(unsigned char lead) {
  if (lead >= 0xf0) return lead < 0xf8 ? 4 : 0;
  if (lead >= 0xe0) return 3;
  return lead >= 0xc2 ? 2 : 0;
}
std::uint32_t utf8_code(const char* at, std::size_t size) {
  std::uint32_t code = static_cast<unsigned char>(at[0]) & (0xffU >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) code = (code << 6U) | (static_cast<unsigned char>(at[i]) & 0x3fU);
  return code;
}

class Decoder {
 public:
  explicit Decoder(std::string_view text) : text_(text), out_(text.size(), '\0'), origin_(text.size() + 1) {}

  Unescaped run() {
    for (std::size_t at = 0; at < text_.size();) {
      if (open_ == 0) {
        // Nothing is open: all is copied up to the next octet that can begin something.
        at = copy(at);
        if (at == text_.size()) break;
      }
      const char c = text_[at];
      if (size_ <= hash_until_) close_number(c);
      put(c, at++);
      open_ = opens(c) ? reach : open_ - 1;
      while (collapse()) open_ = reach;
    }
    close_number('\0');
    while (collapse()) {
    }
    Unescaped result;
    out_.resize(size_);
    origin_.resize(size_ + 1);
    origin_[size_] = static_cast<std::uint32_t>(text_.size());
    result.text = std::move(out_);
    result.origin = std::move(origin_);
    return result;
  }

 private:
  /// From `at` to the next octet that opens something. Characters that stay as they are open nothing.
  std::size_t copy(std::size_t at) {
    while (at < text_.size()) {
      at = copy_plain(at);
      if (at == text_.size()) break;
      const char c = text_[at];
      const std::size_t size = utf8_size(static_cast<unsigned char>(c));
      if (size == 0 || at + size > text_.size()) return at;
      for (std::size_t i = 1; i < size; ++i)
        if ((static_cast<unsigned char>(text_[at + i]) & 0xc0U) != 0x80) return at;
      const std::uint32_t code = utf8_code(text_.data() + at, size);
      if (fold_code_point(code) >= 0 || (code >= 0xd800 && code < 0xe000)) return at;
      for (std::size_t i = 0; i < size; ++i, ++at) put(text_[at], at);
    }
    return at;
  }
  /// Octets that open nothing, all there are.
  std::size_t copy_plain(std::size_t at) {
#if defined(__x86_64__)
    const __m128i percent = _mm_set1_epi8('%');
    const __m128i backslash = _mm_set1_epi8('\\');
    const __m128i ampersand = _mm_set1_epi8('&');
    const __m128i hash = _mm_set1_epi8('#');
    while (true) {
      for (; at + 16 <= text_.size(); at += 16, size_ += 16) {
        const __m128i octets = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text_.data() + at));
        const __m128i found = _mm_or_si128(
            _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(octets, percent), _mm_cmpeq_epi8(octets, backslash)), octets),
            _mm_or_si128(_mm_cmpeq_epi8(octets, ampersand), _mm_cmpeq_epi8(octets, hash)));
        if (_mm_movemask_epi8(found) != 0) break;
        // What is written is never longer than what was read, so there is room for sixteen here, too.
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out_.data() + size_), octets);
        for (std::size_t i = 0; i < 16; ++i) origin_[size_ + i] = static_cast<std::uint32_t>(at + i);
      }
      for (std::size_t end = std::min(text_.size(), at + 16); at < end; ++at) {
        if (opens(text_[at])) return at;
        put(text_[at], at);
      }
      if (at == text_.size()) return at;
    }
#else
    for (; at < text_.size() && !opens(text_[at]); ++at) put(text_[at], at);
    return at;
#endif
  }
  static bool opens(char c) {
    return c == '%' || c == '\\' || c == '&' || static_cast<unsigned char>(c) >= 0x80;
  }
  void put(char c, std::size_t origin) {
    out_[size_] = c;
    if (c == '#') hash_until_ = size_ + 11;
    origin_[size_++] = static_cast<std::uint32_t>(origin);
  }
  [[nodiscard]] std::string_view last(std::size_t count) const {
    return std::string_view(out_).substr(size_ - std::min(size_, count), std::min(size_, count));
  }

  /// "&#103" is the entity as well when what follows, `next`, is no digit of it.
  void close_number(char next) {
    if (size_ < 3 || hex_value(out_[size_ - 1]) < 0 || next == ';') return;
    const std::string_view tail = last(10);
    const std::size_t hash = tail.rfind("&#");
    if (hash == std::string_view::npos || hash + 2 >= tail.size()) return;
    // Where it came of decoding, the rest of it may still be encoded.
    const std::size_t begin = size_ - tail.size() + hash;
    if (origin_[size_ - 1] - origin_[begin] != size_ - 1 - begin) return;
    const bool hex = tail[hash + 2] == 'x' || tail[hash + 2] == 'X';
    if (hex ? hex_value(next) >= 0 : next >= '0' && next <= '9') return;
    if (const auto code = entity_of(tail.substr(hash + 1))) {
      replace(tail.size() - hash, *code);
      while (collapse()) {
      }
    }
  }

  void replace(std::size_t count, std::uint32_t code) {
    size_ -= count;
    const std::size_t origin = origin_[size_];
    // A folded tail is never longer than the escape it comes from: at most four octets for at least five, or one.
    if (code < 0x80) {
      put(static_cast<char>(code), origin);
    } else if (code < 0x800) {
      put(static_cast<char>(0xc0U | (code >> 6U)), origin);
      put(static_cast<char>(0x80U | (code & 0x3fU)), origin);
    } else if (code < 0x10000) {
      put(static_cast<char>(0xe0U | (code >> 12U)), origin);
      put(static_cast<char>(0x80U | ((code >> 6U) & 0x3fU)), origin);
      put(static_cast<char>(0x80U | (code & 0x3fU)), origin);
    } else {
      put(static_cast<char>(0xf0U | (code >> 18U)), origin);
      put(static_cast<char>(0x80U | ((code >> 12U) & 0x3fU)), origin);
      put(static_cast<char>(0x80U | ((code >> 6U) & 0x3fU)), origin);
      put(static_cast<char>(0x80U | (code & 0x3fU)), origin);
    }
    open_ = reach;
  }
  bool replace_octet(std::size_t count, std::uint32_t octet) {
    size_ -= count;
    put(static_cast<char>(octet), origin_[size_]);
    open_ = reach;
    return true;
  }

  /// One decoding step at the end of what is there.
  bool collapse() {
    if (size_ < 2) return false;
    const char c = out_[size_ - 1];
    if (static_cast<unsigned char>(c) >= 0x80) return fold();
    if (hex_value(c) >= 0) return collapse_hex();
    switch (c) {
      case ';':
        return collapse_entity();
      case '}':
        return collapse_braces();
      case 'n':
      case 'r':
      case 't':
      case 'v':
      case '/':
      case '"':
      case '\\':
        if (out_[size_ - 2] != '\\') return false;
        // One that came of decoding begins an escape of the next layer, whatever follows it in this one.
        if (c == '\\' && origin_[size_ - 1] - origin_[size_ - 2] != 1) return false;
        return replace_octet(2, c == 'n' || c == 'r'   ? '\n'
                                : c == 't' || c == 'v' ? ' '
                                                       : static_cast<std::uint32_t>(c));
      default:
        return false;
    }
  }

  bool collapse_hex() {
    const std::size_t n = size_;
    const char* end = out_.data() + n;
    const int low = hex_value(end[-1]);
    const int high = hex_value(end[-2]);
    // "\b" and "\f".
    if (end[-2] == '\\' && (end[-1] == 'b' || end[-1] == 'f')) return replace_octet(2, ' ');
    if (n >= 3 && high >= 0 && end[-3] == '%') return replace_octet(3, static_cast<std::uint32_t>(high * 16 + low));
    if (n >= 4 && high >= 0 && end[-4] == '\\') {
      if (end[-3] == 'x' || end[-3] == 'X') return replace_octet(4, static_cast<std::uint32_t>(high * 16 + low));
      if (is_octal(end[-1]) && is_octal(end[-2]) && end[-3] >= '0' && end[-3] <= '3')
        return replace_octet(4, static_cast<std::uint32_t>((end[-3] - '0') * 64 + high * 8 + low));
    }
    if (n >= 6 && end[-5] == 'u' && (end[-6] == '\\' || end[-6] == '%')) {
      if (const auto code = number_of({end - 4, 4}, 16)) {
        replace(6, *code);
        return true;
      }
    }
    if (n >= 10 && end[-9] == 'U' && end[-10] == '\\') {
      if (const auto code = number_of({end - 8, 8}, 16)) {
        replace(10, *code);
        return true;
      }
    }
    return false;
  }

  bool collapse_entity() {
    const std::string_view tail = last(reach);
    const std::size_t begin = tail.rfind('&');
    if (begin == std::string_view::npos) return false;
    const auto code = entity_of(tail.substr(begin + 1, tail.size() - begin - 2));
    if (!code) return false;
    replace(tail.size() - begin, *code);
    return true;
  }
  bool collapse_braces() {
    const std::string_view tail = last(reach);
    const std::size_t begin = tail.rfind("\\u{");
    if (begin == std::string_view::npos) return false;
    const auto code = number_of(tail.substr(begin + 3, tail.size() - begin - 4), 16);
    if (!code) return false;
    replace(tail.size() - begin, *code);
    return true;
  }

  bool fold() {
    if ((static_cast<unsigned char>(out_[size_ - 1]) & 0xc0U) != 0x80) return false;
    for (std::size_t size = 2; size <= 4 && size <= size_; ++size) {
      const auto lead = static_cast<unsigned char>(out_[size_ - size]);
      if (lead < 0x80) return false;
      if (lead < 0xc0) continue;
      if (utf8_size(lead) != size) return false;
      std::uint32_t code = utf8_code(out_.data() + size_ - size, size);
      std::size_t taken = size;
      if (code >= 0xdc00 && code < 0xe000 && size_ >= 6) {  // the second half of a pair written as two escapes
        const std::uint32_t first = utf8_code(out_.data() + size_ - 6, 3);
        if (static_cast<unsigned char>(out_[size_ - 6]) != 0xed || first < 0xd800 || first >= 0xdc00) return false;
        code = 0x10000 + ((first - 0xd800) << 10U) + (code - 0xdc00);
        taken = 6;
      }
      const int folded = fold_code_point(code);
      if (folded > 0) return replace_octet(taken, static_cast<std::uint32_t>(folded));
      if (folded == 0) {
        size_ -= taken;
        open_ = reach;
        return size_ > 0 && static_cast<unsigned char>(out_[size_ - 1]) < 0x80;
      }
      if (taken == 6) replace(6, code);
      return false;
    }
    return false;
  }

  std::string_view text_;
  std::string out_;
  std::vector<std::uint32_t> origin_;
  std::size_t size_ = 0;
  std::size_t hash_until_ = 0;  // up to here a number may end that began with "#"
  std::size_t open_ = 0;        // for so many octets more something may end that began
};

/// Whether what stands at `at`, one of the octets that can begin something, does.
bool begins_escape(std::string_view text, std::size_t at) {
  const auto octet_at = [&](std::size_t offset) {
    return at + offset < text.size() ? static_cast<unsigned char>(text[at + offset]) : 0U;
  };
  const auto hex_at = [&](std::size_t offset) { return hex_value(static_cast<char>(octet_at(offset))) >= 0; };
  const unsigned next = octet_at(1);
  switch (octet_at(0)) {
    case '%':
      // Half an escape counts: its second half may be escaped itself.
      return hex_at(1) || next == '%' || next == '\\' || next == '&' || next == 'u' || next >= 0x80;
    case '\\':
      return next == 'u' || next == 'U' || next == 'x' || next == 'X' || next == '/' || next == '&' || next == '%' ||
             next >= 0x80 || (is_octal(static_cast<char>(next)) && is_octal(static_cast<char>(octet_at(2))));
    case '&':
      return next == '#' || next == '%' || next == '\\' || next >= 0x80 || next == '&' ||
             (next >= 'A' && next <= 'z' && text.substr(at, reach).find(';') != std::string_view::npos);
    case 0xc2:
      return next == 0xad || next == 0xa0;
    case 0xe2:
      return (next == 0x80 && (octet_at(2) <= 0x8f || (octet_at(2) >= 0xa8 && octet_at(2) <= 0xaf))) || next == 0x81 ||
             next == 0x84 || (next >= 0x91 && next <= 0x93) || next == 0x9d || next == 0x9e || next == 0xa0;
    case 0xe1:
      return next == 0x85 || next == 0x9a || next == 0x9e || next == 0xa0 || next == 0xb4;
    case 0xe3:
      return (next == 0x80 && octet_at(2) == 0x80) || next == 0x85;
    case 0xef:
      return next >= 0xb8;
    case 0xf0:
      return (next == 0x9d && octet_at(2) >= 0x90) ||
             (next == 0x9f && (octet_at(2) == 0x84 || octet_at(2) == 0x85 || octet_at(2) == 0x86 ||
                               octet_at(2) == 0x87 || octet_at(2) == 0xaf)) ||
             next == 0x93 || next == 0x9b;
    case 0xf3:
      return next == 0xa0;
    default:
      // Latin Extended to Cyrillic: letters that look like ours and marks without width.
      return octet_at(0) >= 0xc6 && octet_at(0) <= 0xd4;
  }
}

}  // namespace

std::size_t find_escape(std::string_view text, std::size_t from) {
  const auto check = [&](std::size_t at) { return begins_escape(text, at); };
#if defined(__x86_64__)
  const __m128i percent = _mm_set1_epi8('%');
  const __m128i backslash = _mm_set1_epi8('\\');
  const __m128i ampersand = _mm_set1_epi8('&');
  const auto signs_at = [&](std::size_t at) {
    const __m128i octets = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + at));
    return _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(octets, percent), _mm_cmpeq_epi8(octets, backslash)),
                        _mm_or_si128(_mm_cmpeq_epi8(octets, ampersand), octets));  // the sign bit: not ASCII
  };
  for (from = skip_without_escape(text, from); from + 16 <= text.size();) {
    const auto found = static_cast<unsigned>(_mm_movemask_epi8(signs_at(from)));
    for (unsigned mask = found; mask != 0; mask &= mask - 1) {
      const std::size_t at = from + static_cast<unsigned>(std::countr_zero(mask));
      // The line breaks and quotes of JSON; they fill it.
      if (text[at] == '\\' && at + 1 < text.size() && (text[at + 1] == 'n' || text[at + 1] == '"')) continue;
      if (check(at)) return at;
    }
    from += 16;
    if (found == 0) from = skip_without_escape(text, from);
  }
#endif
  for (; from < text.size(); ++from) {
    const auto c = static_cast<unsigned char>(text[from]);
    if ((c == '%' || c == '\\' || c == '&' || c >= 0x80) && check(from)) return from;
  }
  return std::string_view::npos;
}

Unescaped unescape(std::string_view text) {
  return Decoder(text).run();
}

}  // namespace bot_bottle::dlp
