// Blocks that are skipped against what may begin in them, octet by octet.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <string_view>

#include "sidecar/dlp/octet_skips.hpp"
#include "sidecar/dlp/runs.hpp"
#include "sidecar/dlp/unescape.hpp"

namespace bot_bottle::dlp {
namespace {

bool is_hex(char c) {
  return digit_value(c, 4) >= 0;
}
bool is_wide_octet(char c) {
  return static_cast<unsigned char>(c) >= 0x80;
}

/// Texts in which everything that is looked for is now frequent, now alone in a block.
class Texts {
 public:
  std::string next() {
    static constexpr std::string_view plain = "walks home ";
    static constexpr std::string_view signs = "\\n\"%&^\x01x(u4f-:+ ,\x80\xc3/";
    std::string text(random_() % 500, ' ');
    const unsigned every = 1U << (random_() % 9);
    for (char& c : text) {
      if (random_() % every == 0)
        c = every == 1 && random_() % 2 == 0 ? static_cast<char>(random_() % 256) : signs[random_() % signs.size()];
      else
        c = plain[random_() % plain.size()];
    }
    if (text.size() > 100 && random_() % 2 == 0) text.replace(random_() % 60, 40, std::string(40, 'Z'));
    if (text.size() > 100 && random_() % 2 == 0) text.replace(random_() % 60, 29, "41:42:43:44:45:46:47:48:49:4a");
    return text;
  }

 private:
  std::mt19937 random_{7};  // NOLINT(cert-msc51-cpp): the same texts each time
};

TEST(Skips, nothing_begins_in_what_is_skipped) {
  Texts texts;
  std::size_t skipped = 0;
  for (int round = 0; round < 4000; ++round) {
    const std::string text = texts.next();
    const std::size_t from = text.size() / 7;
    const auto each = [&](std::size_t to, auto is_plain) {
      ASSERT_EQ((to - from) % 64, 0U);
      ASSERT_LE(to, std::max(text.size(), from));
      skipped += to - from;
      for (std::size_t at = from; at < to; ++at) ASSERT_TRUE(is_plain(at)) << at << " of " << text;
    };
    const auto next = [&](std::size_t at) { return at + 1 < text.size() ? text[at + 1] : '\0'; };
    each(skip_without_backslash(text, from), [&](std::size_t at) { return text[at] != '\\'; });
    each(skip_without_either(text, from, '"', '&'), [&](std::size_t at) { return text[at] != '"' && text[at] != '&'; });
    each(skip_without_escape(text, from), [&](std::size_t at) {
      const char c = text[at];
      return c != '%' && c != '&' && !is_wide_octet(c) && (c != '\\' || next(at) == 'n' || next(at) == '"');
    });
    each(skip_without_blob(text, from),
         [&](std::size_t at) { return !is_wide_octet(next(at)) && next(at) != '\x01' && next(at) != '^'; });
    // Of these two what is skipped is asked by lanes of sixteen.
    each(skip_without_run(text, from), [&](std::size_t at) {
      if ((at - from) % 16 != 0) return true;
      const std::string_view lane = std::string_view(text).substr(at, 16);
      return std::ranges::any_of(lane, [](char c) { return digit_value(c, 6) < 0; });
    });
    each(skip_without_pairs(text, from), [&](std::size_t at) {
      if ((at - from) % 16 != 0) return true;
      for (std::size_t i = at; i + 2 < at + 16; ++i)
        if (is_hex(text[i]) == is_hex(text[i + 1]) && is_hex(text[i]) == is_hex(text[i + 2])) return true;
      return false;
    });
  }
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512bw") != 0) {
    EXPECT_GT(skipped, 10000U);
  }
#endif
}

TEST(Skips, a_search_finds_the_same_from_every_octet_on) {
  // Where a search begins decides which blocks it skips; what it finds must not depend on that.
  Texts texts;
  for (int round = 0; round < 300; ++round) {
    const std::string text = texts.next();
    for (std::size_t from = 0; from < text.size(); ++from) {
      const std::size_t escape = find_escape(text, from);
      const std::size_t quoting = find_quoting(text, from);
      if (escape != from) {
        ASSERT_EQ(find_escape(text, from + 1), escape) << from << " of " << text;
      }
      if (quoting != from) {
        ASSERT_EQ(find_quoting(text, from + 1), quoting) << from << " of " << text;
      }
    }
  }
}

}  // namespace
}  // namespace bot_bottle::dlp
