#include "sidecar/dlp/phrase_fold.hpp"

#include <algorithm>
#include <array>
#include <bit>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "sidecar/dlp/phrase_letters.hpp"

namespace bot_bottle::dlp {
namespace {

constexpr char is_special = 1;
constexpr std::size_t max_entity = 10;
constexpr std::size_t wide = 64;
/// After so many octets of ASCII the loop for other scripts gives way to the one for blocks.
constexpr std::size_t ascii_run = 16;

constexpr std::array<char, 256> make_table() {
  std::array<char, 256> table{};
  for (unsigned c = 0; c < 128; ++c) table[c] = fold_ascii(static_cast<unsigned char>(c));
  for (unsigned c = 128; c < 256; ++c) table[c] = is_special;
  for (const char c : {'\\', '&', '"', '`', '\''}) table[static_cast<unsigned char>(c)] = is_special;
  return table;
}
constexpr std::array<char, 256> table = make_table();

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

struct Entity {
  std::string_view name;
  std::uint32_t code;
};
constexpr Entity entities[] = {{"nbsp", ' '},   {"ensp", ' '},    {"emsp", ' '},   {"thinsp", ' '}, {"amp", '&'},
                               {"lt", '<'},     {"gt", '>'},      {"quot", '"'},   {"apos", '\''},  {"shy", 0xad},
                               {"zwj", 0x200d}, {"zwnj", 0x200c}, {"lrm", 0x200e}, {"rlm", 0x200f}, {"newline", ' '},
                               {"tab", ' '},    {"zwsp", 0x200b}};

}  // namespace

Folder::Folder(Quotes quotes, Way way) : quotes_(quotes) {
#if defined(__x86_64__)
  static const bool has_wide = __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vbmi") != 0 &&
                               __builtin_cpu_supports("avx512vbmi2") != 0 && __builtin_cpu_supports("bmi") != 0 &&
                               __builtin_cpu_supports("popcnt") != 0;
#else
  constexpr bool has_wide = false;
#endif
  by_blocks_ = has_wide && way == Way::fastest;
}

void Folder::put(std::uint32_t code) {
  const char c = fold_letter(code);
  if (c == is_mark)
    mark();
  else if (c != 0)
    put_octet(c);
}

void Folder::mark() {
  put_octet(' ');
  marks_.push_back(folded_ + static_cast<std::uint64_t>(to_ - begin_));
}

/// "\n", "\u0069", "\x69", "\"", "\/".
std::size_t Folder::escape(std::string_view rest, End end) {
  if (rest.size() < 2) {
    if (end == End::no) return 0;
    put_octet(' ');
    return 1;
  }
  const char kind = rest[1];
  if (kind == 'u' || kind == 'x') {
    const std::size_t digits = kind == 'u' ? 4 : 2;
    if (rest.size() < 2 + digits && end == End::no) return 0;
    std::uint32_t code = 0;
    bool valid = rest.size() >= 2 + digits;
    for (std::size_t i = 0; valid && i < digits; ++i) {
      const int value = hex_value(rest[2 + i]);
      valid = value >= 0;
      code = code * 16 + static_cast<std::uint32_t>(std::max(value, 0));
    }
    if (!valid) {
      put_octet(' ');
      return 1;
    }
    if (code >= 0xd800 && code <= 0xdbff) {  // the first half of a pair
      if (rest.size() < 12 && end == End::no) return 0;
      std::uint32_t low = 0;
      bool pair = rest.size() >= 12 && rest[6] == '\\' && rest[7] == 'u';
      for (std::size_t i = 8; pair && i < 12; ++i) {
        const int value = hex_value(rest[i]);
        pair = value >= 0;
        low = low * 16 + static_cast<std::uint32_t>(std::max(value, 0));
      }
      if (pair && low >= 0xdc00 && low <= 0xdfff) {
        put(0x10000 + ((code - 0xd800) << 10U) + (low - 0xdc00));
        return 12;
      }
    }
    put(code);
    return 2 + digits;
  }
  if (kind == '"' || kind == '\'' || kind == '`') {
    mark();
    return 2;
  }
  if (kind == '\\') {  // escaped twice: what follows is an escape again
    return 1;
  }
  put_octet(' ');
  return kind == 'n' || kind == 't' || kind == 'r' || kind == 'b' || kind == 'f' ? 2 : 1;
}

/// "&#105;", "&#x69;", "&nbsp;". Another ampersand is a space.
std::size_t Folder::entity(std::string_view rest, End end) {
  const std::string_view head = rest.substr(0, max_entity + 2);
  const std::size_t semicolon = head.find(';');
  if (semicolon == std::string_view::npos) {
    const bool may_be = std::ranges::all_of(head.substr(1), [](char c) {
      return c == '#' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    });
    if (end == End::no && rest.size() < max_entity + 2 && may_be) return 0;
    put_octet(' ');
    return 1;
  }
  const std::string_view name = head.substr(1, semicolon - 1);
  if (name.size() >= 2 && name[0] == '#') {
    const bool is_hex = name[1] == 'x' || name[1] == 'X';
    std::uint32_t code = 0;
    for (const char c : name.substr(is_hex ? 2 : 1)) {
      const int value = hex_value(c);
      if (value < 0 || (!is_hex && value > 9) || code > 0x10ffff) {
        put_octet(' ');
        return 1;
      }
      code = code * (is_hex ? 16 : 10) + static_cast<std::uint32_t>(value);
    }
    put(code);
    return semicolon + 1;
  }
  for (const Entity& known : entities) {
    if (known.name != name) continue;
    if (known.code == '"' || known.code == '\'')
      mark();
    else
      put(known.code);
    return semicolon + 1;
  }
  put_octet(' ');
  return 1;
}

/// One UTF-8 character; an octet that is none is a space.
std::size_t Folder::character(std::string_view rest, End end) {
  const auto lead = static_cast<unsigned char>(rest[0]);
  const std::size_t size = lead >= 0xf0 && lead < 0xf8 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
  if (size == 1 || lead >= 0xf8) {
    put_octet(' ');
    return 1;
  }
  std::uint32_t code = lead & (0xffU >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if (i >= rest.size()) {
      if (end == End::no) return 0;
      put_octet(' ');
      return 1;
    }
    const auto next = static_cast<unsigned char>(rest[i]);
    if ((next & 0xc0U) != 0x80) {
      put_octet(' ');
      return i;
    }
    code = (code << 6U) | (next & 0x3fU);
  }
  put(code);
  return size;
}

/// How many octets were used; 0: more are needed.
std::size_t Folder::special(std::string_view rest, End end) {
  switch (rest[0]) {
    case '\\':
      return escape(rest, end);
    case '&':
      return entity(rest, end);
    case '"':
      // `alt="…"` and JSON's strings are structure, not speech.
      if (quotes_ == Quotes::structure || before_ == '=')
        put_octet(' ');
      else
        mark();
      return 1;
    case '\'':
      if (before_ == '=')
        put_octet(' ');
      else
        mark();
      return 1;
    case '`':
      mark();
      return 1;
    default:
      return character(rest, end);
  }
}

/// Up to the next special octet: a letter, or a space that follows none.
std::size_t Folder::plain_by_octets(std::string_view bytes, std::size_t at) {
  char* to = to_;
  char last = last_;
  for (; at < bytes.size(); ++at) {
    const char folded = table[static_cast<unsigned char>(bytes[at])];
    if (folded == is_special) break;
    *to = folded;
    to += static_cast<int>(folded != ' ' || last != ' ');
    last = folded;
  }
  to_ = to;
  last_ = last;
  return at;
}

#if defined(__x86_64__)
/// The same for blocks, quotation marks included. The last octets that are no whole block are left.
__attribute__((target("avx512f,avx512bw,avx512vbmi,avx512vbmi2,popcnt,bmi"))) std::size_t Folder::plain_by_blocks(
    std::string_view bytes, std::size_t at) {
  const __m512i low = _mm512_loadu_si512(table.data());
  const __m512i high = _mm512_loadu_si512(table.data() + wide);
  const __m512i space = _mm512_set1_epi8(' ');
  while (at + wide <= bytes.size()) {
    const __m512i octets = _mm512_loadu_si512(bytes.data() + at);
    const __m512i looked_up = _mm512_permutex2var_epi8(low, octets, high);  // by the low seven bits
    const std::uint64_t doubles = _mm512_cmpeq_epi8_mask(octets, _mm512_set1_epi8('"'));
    const std::uint64_t singles = _mm512_cmpeq_epi8_mask(octets, _mm512_set1_epi8('\''));
    const std::uint64_t quotes = doubles | singles | _mm512_cmpeq_epi8_mask(octets, _mm512_set1_epi8('`'));
    const __m512i folded = _mm512_mask_mov_epi8(looked_up, quotes, space);
    const std::uint64_t specials =
        (_mm512_cmpeq_epi8_mask(folded, _mm512_set1_epi8(is_special)) | _mm512_movepi8_mask(octets));
    const unsigned count = static_cast<unsigned>(std::countr_zero(specials));
    if (count == 0) break;
    const std::uint64_t first = count == wide ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
    const std::uint64_t spaces = _mm512_cmpeq_epi8_mask(folded, space);
    const std::uint64_t again = spaces & ((spaces << 1U) | (last_ == ' ' ? 1U : 0U));
    const std::uint64_t kept = first & ~again;
    if (const std::uint64_t said = quotes & first; said != 0) {
      // `alt="…"` and JSON's strings are structure, not speech: the same as special() does.
      const std::uint64_t equals = _mm512_cmpeq_epi8_mask(octets, _mm512_set1_epi8('='));
      const char before = at > 0 ? bytes[at - 1] : before_;
      const std::uint64_t attribute = (doubles | singles) & ((equals << 1U) | (before == '=' ? 1U : 0U));
      std::uint64_t marked = said & ~attribute & ~(quotes_ == Quotes::structure ? doubles : 0);
      for (; marked != 0; marked &= marked - 1)
        marks_.push_back(folded_ + static_cast<std::uint64_t>(to_ - begin_) +
                         static_cast<std::uint64_t>(std::popcount(kept & (marked ^ (marked - 1)))));
    }
    _mm512_storeu_si512(to_, _mm512_maskz_compress_epi8(kept, folded));
    to_ += std::popcount(kept);
    last_ = ((spaces >> (count - 1)) & 1U) != 0 ? ' ' : 'x';  // only whether it is a space is asked for
    at += count;
    if (count < wide) break;
  }
  return at;
}
#else
std::size_t Folder::plain_by_blocks(std::string_view bytes, std::size_t at) {
  return plain_by_octets(bytes, at);
}
#endif

/// Whole characters, and the ASCII between them.
std::size_t Folder::foreign(std::string_view bytes, std::size_t at) {
  const std::array<char, table_end>& low = low_letters();
  std::size_t ascii = 0;
  while (at < bytes.size() && ascii < ascii_run) {
    const auto lead = static_cast<unsigned char>(bytes[at]);
    if (lead < 0x80) {
      if (table[lead] == is_special) break;
      put_octet(table[lead]);
      ++at;
      ++ascii;
      continue;
    }
    ascii = 0;
    const std::size_t size = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (at + size > bytes.size()) break;
    if (lead < 0xc0 || lead >= 0xf8) {
      put_octet(' ');
      ++at;
      continue;
    }
    std::uint32_t code = lead & (0xffU >> (size + 1));
    std::size_t read = 1;
    for (; read < size && (static_cast<unsigned char>(bytes[at + read]) & 0xc0U) == 0x80; ++read)
      code = (code << 6U) | (static_cast<unsigned char>(bytes[at + read]) & 0x3fU);
    // What is cut off by another octet is a space, as in character().
    const char c = read < size ? ' ' : code < table_end ? low[code] : fold_letter(code);
    if (c == is_mark)
      mark();
    else if (c != 0)
      put_octet(c);
    at += read;
  }
  return at;
}

void Folder::fold(std::string_view bytes, std::string& out, End end) {
  const std::size_t before = out.size();
  out.resize(before + bytes.size() + wide);  // no octet becomes more than one character; a block is stored as a whole
  begin_ = to_ = out.data() + before;
  std::size_t at = 0;
  while (at < bytes.size()) {
    if (by_blocks_) {
      at = plain_by_blocks(bytes, at);
      if (at == bytes.size()) break;
      if (static_cast<unsigned char>(bytes[at]) >= 0x80) at = foreign(bytes, at);
      if (at == bytes.size()) break;
      if (static_cast<unsigned char>(bytes[at]) < 0x80 && table[static_cast<unsigned char>(bytes[at])] != is_special) {
        if (at + wide <= bytes.size()) continue;
        at = plain_by_octets(bytes, at);
      }
    } else {
      at = plain_by_octets(bytes, at);
    }
    if (at == bytes.size()) break;
    if (at > 0) before_ = bytes[at - 1];
    const std::size_t used = special(bytes.substr(at), end);
    if (used == 0) {
      pending_.assign(bytes.substr(at));
      break;
    }
    at += used;
  }
  if (!bytes.empty() && at >= bytes.size()) before_ = bytes.back();
  const auto count = static_cast<std::size_t>(to_ - begin_);
  folded_ += count;
  out.resize(before + count);
}

void Folder::write(std::string_view bytes, std::string& out) {
  raw_ += bytes.size();
  if (!pending_.empty()) {
    // A few octets until it is whole, then the rest where it lies.
    const std::size_t take = std::min<std::size_t>(bytes.size(), 16);
    std::string head = std::move(pending_);
    pending_.clear();
    head += bytes.substr(0, take);
    bytes.remove_prefix(take);
    fold(head, out, End::no);
    if (!pending_.empty() && !bytes.empty()) {  // cut off again, at the seam
      const std::size_t back = pending_.size();
      if (back <= take) {
        bytes = {bytes.data() - back, bytes.size() + back};
        pending_.clear();
      }
    }
  }
  if (!bytes.empty() && pending_.empty()) fold(bytes, out, End::no);
}

void Folder::finish(std::string& out) {
  std::string rest = std::move(pending_);
  pending_.clear();
  fold(rest, out, End::yes);
}

}  // namespace bot_bottle::dlp
