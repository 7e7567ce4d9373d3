// What the tool says, in the JSON of both generations; and labels, which it takes no "=" in.
#include "plugins/backend-apple/containers.hpp"

#include <gtest/gtest.h>

#include "bot_bottle/plugin.hpp"

namespace bot_bottle::backend_apple {
namespace {

constexpr const char* labels =
    R"("labels":{"bot-bottle.managed":"true","bot-bottle.slug":"x-1","bot-bottle.state":"/Users/me/a%20b%3Dc/state/x-1",
       "bot-bottle.agent":"x","bot-bottle.label":"m%C3%BCll","bot-bottle.endpoints":"egress%2Csupervise"})";

TEST(Containers, the_shape_since_1_0_is_read) {
  const auto found =
      parse_containers(std::string(R"([{"id":"bb","configuration":{"id":"bb",)") + labels +
                       R"(},"status":{"state":"running","startedDate":"2026-08-10T09:00:02Z","networks":[]}}])");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].id, "bb");
  EXPECT_EQ(found[0].state, "running");
  EXPECT_EQ(found[0].slug, "x-1");
  EXPECT_EQ(found[0].state_dir, "/Users/me/a b=c/state/x-1");
  EXPECT_EQ(found[0].label, "müll");
  EXPECT_EQ(found[0].endpoints, "egress,supervise");
  EXPECT_EQ(found[0].started_at, "2026-08-10T09:00:02Z");
}

TEST(Containers, the_shape_before_1_0_is_read) {
  // No id at the top, the state a string, the date a number of seconds since 2001.
  const auto found = parse_containers(std::string(R"([{"configuration":{"id":"bb",)") + labels +
                                      R"(},"status":"stopped","networks":[],"startedDate":0}])");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].id, "bb");
  EXPECT_TRUE(found[0].is_stopped());
  EXPECT_TRUE(found[0].started_at.starts_with("2001-01-01T00:00:00")) << found[0].started_at;
}

TEST(Containers, what_has_not_our_label_is_not_there_whatever_it_is_called) {
  EXPECT_TRUE(
      parse_containers(R"([{"id":"bot-bottle-x-1-0123456789","configuration":{"labels":{"bot-bottle.managed":"yes",
      "bot-bottle.slug":"x-1"}},"status":{"state":"running"}},{"id":"db"},[],7])")
          .empty());
}

TEST(Containers, what_is_no_list_is_an_error_and_not_an_empty_one) {
  for (const char* text : {"", "{}", "[{]", "Error: something", "null"})
    EXPECT_THROW(static_cast<void>(parse_containers(text)), sdk::Error) << text;
  EXPECT_TRUE(parse_containers("[\n\n]").empty());
}

TEST(Containers, a_state_that_is_not_known_is_not_stopped) {
  const auto found = parse_containers(std::string(R"([{"id":"bb","configuration":{)") + labels + "}}]");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_FALSE(found[0].is_stopped());
}

TEST(Labels, every_text_comes_back_and_has_no_equals_sign) {
  for (const std::string& text : {std::string("a=b"), std::string("100%"), std::string("%41"), std::string(),
                                  std::string("x,y z\n"), std::string("ü/\x01", 4)}) {
    const std::string encoded = encode_label(text);
    EXPECT_EQ(encoded.find_first_of("=, \n"), std::string::npos) << encoded;
    EXPECT_EQ(decode_label(encoded), text);
  }
  EXPECT_EQ(decode_label("50%"), "50%");
  EXPECT_EQ(decode_label("%4"), "%4");
  EXPECT_EQ(decode_label("%zz"), "%zz");
}

TEST(Names, are_the_tools_to_take_and_one_for_each_state) {
  const std::string name = container_name("/Users/me/.bot-bottle/state/" + std::string(63, 'a'));
  EXPECT_LE(name.size(), 63U);
  EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-"), std::string::npos);
  EXPECT_NE(container_name("/a/state/x"), container_name("/b/state/x"));
}

TEST(Versions, are_read_from_apples_line_alone) {
  EXPECT_EQ(parse_version("container CLI version 1.2.2 (build: release, commit: abcdef1)\n"), (Version{1, 2, 2}));
  EXPECT_EQ(parse_version("container CLI version 0.12.3 (build: debug)"), (Version{0, 12, 3}));
  EXPECT_LT((Version{1, 0, 9}), oldest_version);
  EXPECT_GT((Version{1, 10, 0}), oldest_version);
  for (const char* text : {"", "container 1.2.2", "Docker version 26.1", "container CLI version one"})
    EXPECT_FALSE(parse_version(text)) << text;
}

TEST(Images, are_ours_by_label_in_every_variant) {
  const auto variant = [](const std::string& inner) {
    return R"([{"id":"0","configuration":{"name":"n"},"variants":[)" + inner + "]}]";
  };
  const std::string ours = R"({"config":{"config":{"Labels":{"bot-bottle.managed":"true"}}}})";
  EXPECT_EQ(parse_image_owner(variant(ours)), ImageOwner::ours);
  EXPECT_EQ(parse_image_owner(variant(ours + R"(,{"config":{}})")), ImageOwner::ours) << "an attestation says nothing";
  EXPECT_EQ(parse_image_owner(variant(ours + R"(,{"config":{"config":{"Labels":{}}}})")), ImageOwner::foreign);
  EXPECT_EQ(parse_image_owner(variant(R"({"config":{"config":{"Env":[]}}})")), ImageOwner::foreign);
  EXPECT_EQ(parse_image_owner(variant("")), ImageOwner::foreign);
  EXPECT_EQ(parse_image_owner("[\n\n]"), ImageOwner::nobody);
}

TEST(Containers, a_machine_is_known_by_its_process) {
  const std::string text =
      "    1 /sbin/launchd\n"
      "  812 /opt/x/container-runtime-linux start --root /Users/o/containers/bot-bottle-box-0123456789 --uuid "
      "bot-bottle-box-0123456789\n"
      "  900 vi bot-bottle-other-0123456789\n";
  EXPECT_EQ(find_machine(text, "bot-bottle-box-0123456789"), pid_t{812});
  EXPECT_EQ(find_machine(text, "box-0123456789"), std::nullopt) << "another's name ends like this";
  EXPECT_EQ(find_machine(text, "bot-bottle-box-012345678"), std::nullopt) << "another's name begins like this";
  EXPECT_EQ(find_machine(text, "bot-bottle-other-0123456789"), std::nullopt);
  EXPECT_EQ(find_machine("", "bot-bottle-box-0123456789"), std::nullopt);
}

}  // namespace
}  // namespace bot_bottle::backend_apple
