// What may reach a shell as a word. Names are checked where they are read; this is the last gate behind all of them.
#include "core/cli/words.hpp"

#include <gtest/gtest.h>

namespace bot_bottle::cli {
namespace {

TEST(Words, only_what_a_shell_takes_as_it_stands_is_offered) {
  for (const char* word : {"fixer", "box-1", "--color", "bright-red", "box-1:", "egress,dlp", "a_b.c+d", "--color=red"})
    EXPECT_TRUE(is_offerable(word)) << word;
  for (const std::string& word :
       {std::string(),           std::string("$(touch x)"), std::string("`x`"),     std::string("a b"),
        std::string("a;b"),      std::string("a\nb"),       std::string("a\tb"),    std::string("*"),
        std::string("~"),        std::string("a'b"),        std::string("a\"b"),    std::string("a\\b"),
        std::string("a\x1b[2J"), std::string("\xc3\xa9"),   std::string("a\0b", 3), std::string("${x}"),
        std::string("{a,b}"),    std::string("a|b"),        std::string("<a"),      std::string("!a"),
        std::string(256, 'a')})
    EXPECT_FALSE(is_offerable(word)) << word;
}

}  // namespace
}  // namespace bot_bottle::cli
