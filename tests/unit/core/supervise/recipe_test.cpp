#include "core/supervise/recipe.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

namespace bot_bottle::supervise {
namespace {

json::object object(std::string_view text) {
  return or_throw(parse_json_object(text));
}

TEST(Recipe, what_would_read_or_hide_something_else_is_refused) {
  for (const char* bad : {R"({})",
                          R"({"dockerfile":"RUN x"})",
                          R"({"dockerfile":"FROM a\nCOPY / /"})",
                          R"({"dockerfile":"from a\n  add x y"})",
                          R"({"dockerfile":"# syntax=evil.example/x\nFROM a"})",
                          R"({"dockerfile":"#escape=`\nFROM a"})",
                          R"({"dockerfile":"FROM a\nRUN \u202e"})",
                          R"({"dockerfile":"FROM a\u0000"})",
                          R"({"dockerfile":"FROM a","packages":["jq"]})",
                          R"({"packages":[]})",
                          R"({"packages":["jq; id"]})",
                          R"({"packages":["-y"]})",
                          R"({"packages":["a b"]})",
                          R"({"packages":[1]})",
                          R"({"packages":["../x"]})",
                          R"({"packages":["x"]})",
                          R"({"packages":[".x"]})",
                          R"({"packages":["+x"]})",
                          R"({"dockerfile":"# check=skip=all\nFROM a"})",
                          R"({"packages":["JQ"]})",
                          R"({"packages":["jq"],"x":1})"})
    EXPECT_FALSE(parse_recipe(object(bad))) << bad;
  EXPECT_FALSE(parse_recipe({{"dockerfile", "FROM a\n" + std::string(20000, '#')}}));
  EXPECT_TRUE(parse_recipe({{"packages", json::array{std::string(64, 'a')}}}));
  EXPECT_FALSE(parse_recipe({{"packages", json::array{std::string(65, 'a')}}}));
  EXPECT_TRUE(parse_recipe({{"packages", json::array(64, json::value("jq"))}}));
  EXPECT_FALSE(parse_recipe({{"packages", json::array(65, json::value("jq"))}}));
}

TEST(Recipe, packages_come_on_top_of_the_bottles_own_image) {
  const json::object recipe = or_throw(parse_recipe(object(R"({"packages":["jq","fd-find","jq"]})")));
  EXPECT_EQ(recipe, object(R"({"packages":["fd-find","jq"]})"));
  const std::string text = dockerfile_of(recipe, "FROM debian\nUSER agent\n");
  EXPECT_TRUE(text.starts_with("FROM debian\nUSER agent\nUSER root\n")) << text;
  EXPECT_NE(text.find("install -y --no-install-recommends fd-find jq &&"), std::string::npos) << text;
  EXPECT_TRUE(text.ends_with("USER agent\n")) << text;
}

TEST(Recipe, what_was_recorded_is_read_again_and_nothing_else_is) {
  std::string name = "/tmp/bb-recipe-XXXXXX";
  ASSERT_NE(::mkdtemp(name.data()), nullptr);
  EXPECT_TRUE(recorded_recipe(name).is_null());
  const json::object recipe = or_throw(parse_recipe(object(R"({"dockerfile":"FROM debian"})")));
  or_throw(record_recipe(name, recipe));
  EXPECT_EQ(recorded_recipe(name), json::value(recipe));
  std::ofstream(name + "/recipe.json") << R"({"dockerfile":"FROM a\nCOPY / /"})";
  EXPECT_TRUE(recorded_recipe(name).is_null());
  std::filesystem::remove_all(name);
}

}  // namespace
}  // namespace bot_bottle::supervise
