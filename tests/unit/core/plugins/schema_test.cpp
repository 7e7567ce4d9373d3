// The JSON Schema subset, and the schemas of this repository against the SDK's documents.
#include "core/plugins/schema.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bot_bottle/plugin.hpp>
#include <filesystem>

namespace bot_bottle::plugins {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> problems(std::string_view document, std::string_view schema) {
  return validate(or_throw(parse_json(document)), or_throw(parse_json_object(schema)));
}

TEST(Schema, each_keyword_finds_its_fault_and_says_where) {
  EXPECT_THAT(problems("1", R"({"type":"string"})"), ElementsAre("/: is integer, not string"));
  EXPECT_THAT(problems("1", R"({"type":"number"})"), IsEmpty());
  EXPECT_THAT(problems("1.5", R"({"type":"integer"})"), ElementsAre(HasSubstr("is number")));
  EXPECT_THAT(problems("null", R"({"type":["object","null"]})"), IsEmpty());
  EXPECT_THAT(problems(R"({"a":{}})", R"({"properties":{"a":{"required":["b"]}}})"), ElementsAre("/a: lacks \"b\""));
  EXPECT_THAT(problems(R"([1,"x"])", R"({"items":{"type":"integer"}})"), ElementsAre("/1: is string, not integer"));
  EXPECT_THAT(problems("[]", R"({"minItems":1})"), ElementsAre(HasSubstr("too few")));
  EXPECT_THAT(problems("\"\"", R"({"minLength":1})"), ElementsAre(HasSubstr("too short")));
  EXPECT_THAT(problems("-1", R"({"minimum":0})"), ElementsAre(HasSubstr("below 0")));
  EXPECT_THAT(problems("512", R"({"maximum":511})"), ElementsAre(HasSubstr("above 511")));
  EXPECT_THAT(problems("\"c\"", R"({"enum":["a","b"]})"), ElementsAre(HasSubstr("not one of")));
  EXPECT_THAT(problems("\"a/2\"", R"({"const":"a/1"})"), ElementsAre(HasSubstr("is not \"a/1\"")));
  EXPECT_THAT(problems(R"({"a":1,"b":2})", R"({"properties":{"a":{}},"additionalProperties":false})"),
              ElementsAre(HasSubstr("unknown field \"b\"")));
  EXPECT_THAT(problems(R"({"a":1})", R"({"additionalProperties":{"type":"string"}})"),
              ElementsAre("/a: is integer, not string"));
  EXPECT_THAT(problems(R"({"a":1})", R"({"properties":{"a":{"$ref":"#/$defs/t"}},"$defs":{"t":{"type":"string"}}})"),
              ElementsAre(HasSubstr("/a: ")));
}

TEST(Schema, what_it_does_not_understand_is_a_problem_and_not_ignored) {
  EXPECT_THAT(problems("1", R"({"multipleOf":2})"), ElementsAre(HasSubstr("unknown keyword multipleOf")));
  EXPECT_THAT(problems("1", R"({"$ref":"#/$defs/absent"})"), ElementsAre(HasSubstr("is not there")));
}

class Documents : public ::testing::Test {
 protected:
  Schemas schemas = or_throw(Schemas::load(std::filesystem::path(BB_SOURCE_DIR) / "plugin-api" / "schemas"));

  template <typename T>
  void expect_valid(const T& document) {
    EXPECT_THAT(schemas.problems(json::value(sdk::to_json(document)), T::schema), IsEmpty());
  }
};

TEST_F(Documents, what_the_sdk_writes_fits_the_schemas) {
  expect_valid(sdk::Probe{});
  expect_valid(
      sdk::Spec{.slug = "x-1", .state_dir = "/s", .resources = {.cpus = 1.5, .memory = 1, .pids = 2, .disk = 3}});
  expect_valid(sdk::Plan{.slug = "x-1", .backend = "local", .state_dir = "/s", .summary = {"line"}});
  expect_valid(sdk::Sidecar{.slug = "x-1", .control = "/c", .pid = 7});
  expect_valid(sdk::LaunchInputs{.ca_pem = "PEM"});
  expect_valid(
      sdk::Bottle{.slug = "x-1", .backend = "local", .state_dir = "/s", .endpoints = {{"egress", "127.0.0.1:9099"}}});
  expect_valid(sdk::ExecRequest{.argv = {"true"}});
  expect_valid(sdk::ExecResult{.code = 139});
  expect_valid(sdk::Attach{.argv = {"x"}});
  expect_valid(sdk::CopyRequest{.source = "/a", .dest = "/b", .mode = 0640});
  expect_valid(sdk::Bottles{.bottles = {{.slug = "x-1"}}});
  expect_valid(sdk::Orphans{.items = {{"process", "7", "x-1"}}});
  expect_valid(sdk::Snapshot{.kind = "image", .ref = "r", .size = 1});
  expect_valid(sdk::DeployKeyRequest{.repo_url = "https://git.example.com/a/b", .token_name = "T"});
  expect_valid(sdk::DeployKey{.key_id = "1"});
  expect_valid(sdk::ProviderDescription{.display_name = "X"});
  expect_valid(sdk::ProviderSpec{.agent = "x"});
  sdk::ProviderPlan plan;
  plan.files.push_back({"/home/agent/x", 0600, "text"});
  plan.placeholders.push_back({"placeholder", "TOKEN"});
  plan.commands.push_back({"true"});
  expect_valid(plan);
  expect_valid(sdk::HostCredentials{});
  expect_valid(sdk::ProcessRequest{.argv = {"true"}});
  expect_valid(sdk::ProcessResult{});
  expect_valid(sdk::HttpRequest{.socket = "/s"});
  expect_valid(sdk::HttpResponse{.status = 200});
}

TEST_F(Documents, a_document_of_another_revision_or_kind_does_not_fit) {
  json::object probe = sdk::to_json(sdk::Probe{});
  probe["schema"] = "bot-bottle.probe/2";
  EXPECT_THAT(schemas.problems(probe, "bot-bottle.probe/1"), ElementsAre(HasSubstr("/schema: is not")));
  EXPECT_THAT(schemas.problems(probe, "bot-bottle.probe/2"), ElementsAre(HasSubstr("no schema for")));
  EXPECT_GE(schemas.tags().size(), 24U);
}

TEST_F(Documents, unknown_fields_fit_within_a_revision) {
  json::object probe = sdk::to_json(sdk::Probe{});
  probe["newer"] = json::array{1};
  EXPECT_THAT(schemas.problems(probe, "bot-bottle.probe/1"), IsEmpty());
}

}  // namespace
}  // namespace bot_bottle::plugins
