#include "sidecar/dlp/phrase_fold.hpp"

#include <algorithm>
#include <array>

namespace bot_bottle::dlp {
namespace {

constexpr char is_special = 1;
constexpr std::size_t max_entity = 10;
constexpr std::size_t run_octets = 256;

constexpr char fold_ascii(unsigned char c) {
  if (c >= 'a' && c <= 'z') return static_cast<char>(c);
  if (c >= 'A' && c <= 'Z') return static_cast<char>(c - 'A' + 'a');
  switch (c) {  // "1gn0r3": what a person reads as a letter
    case '0':
      return 'o';
    case '1':
      return 'i';
    case '3':
      return 'e';
    case '4':
    case '@':
      return 'a';
    case '5':
    case '$':
      return 's';
    case '7':
      return 't';
    default:
      return ' ';
  }
}

constexpr std::array<char, 256> make_table() {
  std::array<char, 256> table{};
  for (unsigned c = 0; c < 128; ++c) table[c] = fold_ascii(static_cast<unsigned char>(c));
  for (unsigned c = 128; c < 256; ++c) table[c] = is_special;
  for (const char c : {'\\', '&', '"', '`', '\''}) table[static_cast<unsigned char>(c)] = is_special;
  return table;
}
constexpr std::array<char, 256> table = make_table();

struct Range {
  std::uint32_t first;
  std::string_view letters;  // one for each code point
};

/// Letters that look alike (Unicode TR39's confusables, the common ones), and Latin with accents. '.' is no letter.
constexpr Range ranges[] = {
    {0x00c0, "aaaaaa.ceeeeiiii.nooooo.ouuuuy..aaaaaa.ceeeeiiii.nooooo.ouuuuy.y"},
    {0x0100,
     "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkklllllll"
     "lllnnnnnnnnnoooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs"},
    {0x0251, "a"},
    {0x0261, "g"},
    {0x026a, "i"},
    {0x0391, "ab.dezh.ik.mn.o.p.styfx.w"},
    {0x03b1, "abydeznoik.uv.onpcotu.x.w"},
    {0x0400, "ee.gesiij"},
    {0x0410, "abbrde.zuukamhonpcty.x"},
    {0x0430, "abbrde.zuukamhonpcty.x"},
    {0x0450, "ee.gesiij"},
    {0x1d00, "a..cde...jk.mno"},
    {0x2170, "i...v....x.lcdm"},
};

constexpr bool is_in(std::uint32_t code, std::uint32_t first, std::uint32_t last) {
  return code >= first && code <= last;
}

/// Nothing is seen of them, and they cut a word in two for a plain search.
bool is_invisible(std::uint32_t code) {
  return code == 0x00ad || code == 0x034f || code == 0x061c || code == 0x180e || code == 0xfeff || code == 0x3164 ||
         code == 0x115f || code == 0x1160 || code == 0xffa0 || is_in(code, 0x0300, 0x036f) ||
         is_in(code, 0x200b, 0x200f) || is_in(code, 0x202a, 0x202e) || is_in(code, 0x2060, 0x206f) ||
         is_in(code, 0xfe00, 0xfe0f) || is_in(code, 0xe0100, 0xe01ef) || code == 0xe0001 || code == 0xe007f ||
         is_in(code, 0x20d0, 0x20ff);
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_quotation_mark(std::uint32_t code) {
  return code == 0x2018 || code == 0x2019 || code == 0x201a || code == 0x201c || code == 0x201d || code == 0x201e ||
         code == 0x00ab || code == 0x00bb;
}

struct Entity {
  std::string_view name;
  std::uint32_t code;
};
constexpr Entity entities[] = {{"nbsp", ' '},   {"ensp", ' '},    {"emsp", ' '},   {"thinsp", ' '}, {"amp", '&'},
                               {"lt", '<'},     {"gt", '>'},      {"quot", '"'},   {"apos", '\''},  {"shy", 0xad},
                               {"zwj", 0x200d}, {"zwnj", 0x200c}, {"lrm", 0x200e}, {"rlm", 0x200f}, {"newline", ' '},
                               {"tab", ' '},    {"zwsp", 0x200b}};

char compute_letter(std::uint32_t code) {
  if (code < 0x80) return fold_ascii(static_cast<unsigned char>(code));
  if (is_invisible(code)) return 0;
  if (is_in(code, 0xff01, 0xff5e)) return fold_ascii(static_cast<unsigned char>(code - 0xff01 + 0x21));
  if (is_in(code, 0xe0020, 0xe007e)) return fold_ascii(static_cast<unsigned char>(code - 0xe0000));
  if (is_in(code, 0x24b6, 0x24cf)) return static_cast<char>('a' + (code - 0x24b6));
  if (is_in(code, 0x24d0, 0x24e9)) return static_cast<char>('a' + (code - 0x24d0));
  if (is_in(code, 0x249c, 0x24b5)) return static_cast<char>('a' + (code - 0x249c));
  if (is_in(code, 0x1f130, 0x1f149)) return static_cast<char>('a' + (code - 0x1f130));
  if (is_in(code, 0x1f150, 0x1f169)) return static_cast<char>('a' + (code - 0x1f150));
  if (is_in(code, 0x1f170, 0x1f189)) return static_cast<char>('a' + (code - 0x1f170));
  // Mathematical alphanumeric symbols: thirteen alphabets of twice 26 letters.
  if (is_in(code, 0x1d400, 0x1d6a3)) return static_cast<char>('a' + (code - 0x1d400) % 26);
  for (const Range& range : ranges) {
    if (code < range.first || code - range.first >= range.letters.size()) continue;
    const char letter = range.letters[code - range.first];
    return letter == '.' ? ' ' : letter;
  }
  return ' ';
}

constexpr std::uint32_t table_end = 0x2200;

}  // namespace

char fold_letter(std::uint32_t code) {
  static const std::array<char, table_end> low = [] {
    std::array<char, table_end> letters{};
    for (std::uint32_t i = 0; i < table_end; ++i) letters[i] = compute_letter(i);
    return letters;
  }();
  if (code < table_end) return low[code];
  if (is_in(code, 0x3165, 0xfdff)) return ' ';  // CJK and what follows: nothing that looks like Latin
  return compute_letter(code);
}

void Folder::put_octet(char c, std::string& out) {
  if (c == ' ' && last_ == ' ') return;
  out += c;
  last_ = c;
}

void Folder::put(std::uint32_t code, std::string& out) {
  if (is_quotation_mark(code)) {
    mark(out);
    return;
  }
  if (const char c = fold_letter(code); c != 0) put_octet(c, out);
}

void Folder::mark(std::string& out) {
  put_octet(' ', out);
  marks_.push_back(folded_ + out.size() - out_base_);
}

/// "\n", "\u0069", "\x69", "\"", "\/".
std::size_t Folder::escape(std::string_view rest, std::string& out, End end) {
  if (rest.size() < 2) {
    if (end == End::no) return 0;
    put_octet(' ', out);
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
      put_octet(' ', out);
      return 1;
    }
    if (is_in(code, 0xd800, 0xdbff)) {  // the first half of a pair
      if (rest.size() < 12 && end == End::no) return 0;
      std::uint32_t low = 0;
      bool pair = rest.size() >= 12 && rest[6] == '\\' && rest[7] == 'u';
      for (std::size_t i = 8; pair && i < 12; ++i) {
        const int value = hex_value(rest[i]);
        pair = value >= 0;
        low = low * 16 + static_cast<std::uint32_t>(std::max(value, 0));
      }
      if (pair && is_in(low, 0xdc00, 0xdfff)) {
        put(0x10000 + ((code - 0xd800) << 10U) + (low - 0xdc00), out);
        return 12;
      }
    }
    put(code, out);
    return 2 + digits;
  }
  if (kind == '"' || kind == '\'' || kind == '`') {
    mark(out);
    return 2;
  }
  if (kind == '\\') {  // escaped twice: what follows is an escape again
    return 1;
  }
  put_octet(' ', out);
  return kind == 'n' || kind == 't' || kind == 'r' || kind == 'b' || kind == 'f' ? 2 : 1;
}

/// "&#105;", "&#x69;", "&nbsp;". Another ampersand is a space.
std::size_t Folder::entity(std::string_view rest, std::string& out, End end) {
  const std::string_view head = rest.substr(0, max_entity + 2);
  const std::size_t semicolon = head.find(';');
  if (semicolon == std::string_view::npos) {
    const bool may_be = std::ranges::all_of(head.substr(1), [](char c) {
      return c == '#' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    });
    if (end == End::no && rest.size() < max_entity + 2 && may_be) return 0;
    put_octet(' ', out);
    return 1;
  }
  const std::string_view name = head.substr(1, semicolon - 1);
  if (name.size() >= 2 && name[0] == '#') {
    const bool is_hex = name[1] == 'x' || name[1] == 'X';
    std::uint32_t code = 0;
    for (const char c : name.substr(is_hex ? 2 : 1)) {
      const int value = hex_value(c);
      if (value < 0 || (!is_hex && value > 9) || code > 0x10ffff) {
        put_octet(' ', out);
        return 1;
      }
      code = code * (is_hex ? 16 : 10) + static_cast<std::uint32_t>(value);
    }
    put(code, out);
    return semicolon + 1;
  }
  for (const Entity& known : entities) {
    if (known.name != name) continue;
    if (known.code == '"' || known.code == '\'')
      mark(out);
    else
      put(known.code, out);
    return semicolon + 1;
  }
  put_octet(' ', out);
  return 1;
}

/// One UTF-8 character; an octet that is none is a space.
std::size_t Folder::character(std::string_view rest, std::string& out, End end) {
  const auto lead = static_cast<unsigned char>(rest[0]);
  const std::size_t size = lead >= 0xf0 && lead < 0xf8 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
  if (size == 1 || lead >= 0xf8) {
    put_octet(' ', out);
    return 1;
  }
  std::uint32_t code = lead & (0xffU >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if (i >= rest.size()) {
      if (end == End::no) return 0;
      put_octet(' ', out);
      return 1;
    }
    const auto next = static_cast<unsigned char>(rest[i]);
    if ((next & 0xc0U) != 0x80) {
      put_octet(' ', out);
      return i;
    }
    code = (code << 6U) | (next & 0x3fU);
  }
  put(code, out);
  return size;
}

/// How many octets were used; 0: more are needed.
std::size_t Folder::special(std::string_view rest, std::string& out, End end) {
  switch (rest[0]) {
    case '\\':
      return escape(rest, out, end);
    case '&':
      return entity(rest, out, end);
    case '"':
      // `alt="…"` and JSON's strings are structure, not speech.
      if (quotes_ == Quotes::structure || before_ == '=')
        put_octet(' ', out);
      else
        mark(out);
      return 1;
    case '\'':
      if (before_ == '=')
        put_octet(' ', out);
      else
        mark(out);
      return 1;
    case '`':
      mark(out);
      return 1;
    default:
      return character(rest, out, end);
  }
}

void Folder::fold(std::string_view bytes, std::string& out, End end) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    // The common case as a tight loop over a table: a letter, or a space that follows none.
    const std::size_t begin = out.size();
    const std::size_t limit = std::min(bytes.size(), at + run_octets);
    out.resize(begin + (limit - at));
    char* write = out.data() + begin;
    char last = last_;
    while (at < limit) {
      const char folded = table[static_cast<unsigned char>(bytes[at])];
      if (folded == is_special) break;
      *write = folded;
      write += static_cast<int>(folded != ' ' || last != ' ');
      last = folded;
      ++at;
    }
    last_ = last;
    out.resize(static_cast<std::size_t>(write - out.data()));
    if (at >= limit) continue;
    if (at > 0) before_ = bytes[at - 1];
    const std::size_t used = special(bytes.substr(at), out, end);
    if (used == 0) {
      pending_.assign(bytes.substr(at));
      return;
    }
    at += used;
  }
  if (!bytes.empty()) before_ = bytes.back();
}

void Folder::write(std::string_view bytes, std::string& out) {
  out_base_ = out.size();
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
  folded_ += out.size() - out_base_;
  out_base_ = out.size();
}

void Folder::finish(std::string& out) {
  out_base_ = out.size();
  std::string rest = std::move(pending_);
  pending_.clear();
  fold(rest, out, End::yes);
  folded_ += out.size() - out_base_;
  out_base_ = out.size();
}

}  // namespace bot_bottle::dlp
