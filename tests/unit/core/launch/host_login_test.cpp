// A forwarded login between its provider, the plan and the sidecar's secrets.
#include "core/launch/host_login.hpp"

#include <gmock/gmock.h>

#include "core/base/error.hpp"
#include "tests/unit/core/launch/fakes.hpp"

namespace bot_bottle::launch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class HostLogin : public testing::Test {
 protected:
  HostLogin() {
    provider_.plan_result["host_secrets"] = json::array{"LOGIN", "LOGIN_ACCOUNT"};
    plan_.provider = "tool";
    plan_.provider_plan = provider_.plan({});
    plan_.host_secret_names = {"LOGIN", "LOGIN_ACCOUNT"};
    provider_.documents.clear();
    provider_.login = "the-access-tokenthe-account";
    say({{"LOGIN", 16}, {"LOGIN_ACCOUNT", 11}});
  }
  void say(const std::vector<std::pair<const char*, int>>& secrets) {
    json::array list;
    for (const auto& [name, size] : secrets) list.push_back(json::object{{"name", name}, {"size", size}});
    provider_.login_result["secrets"] = std::move(list);
  }
  std::string refusal() {
    try {
      forward_host_login(plan_, provider_);
    } catch (const Failure& failure) {
      EXPECT_THAT(failure.error().message + failure.error().hint, Not(HasSubstr("the-a")));
      return failure.error().message;
    }
    return "accepted";
  }

  testing_fakes::FakeProvider provider_;
  plan::Plan plan_;
};

TEST_F(HostLogin, its_secrets_get_their_names_and_the_plan_its_end_and_neither_a_value) {
  const std::vector<plan::Secret> secrets = forward_host_login(plan_, provider_);
  ASSERT_EQ(secrets.size(), 2U);
  EXPECT_EQ(secrets[0].name, "LOGIN");
  EXPECT_EQ(secrets[0].value.view(), "the-access-token");
  EXPECT_EQ(secrets[1].name, "LOGIN_ACCOUNT");
  EXPECT_EQ(secrets[1].value.view(), "the-account");
  ASSERT_EQ(provider_.documents.size(), 2U);
  EXPECT_THAT(provider_.documents[1], HasSubstr(R"("host_credentials":{"expires_at":"2030-01-01T00:00:00Z"})"));
  for (const std::string& document : provider_.documents) EXPECT_THAT(document, Not(HasSubstr("the-a")));
}

TEST_F(HostLogin, files_and_placeholders_are_those_of_the_renewed_login) {
  provider_.plan_result["files"] = json::array{json::object{{"path", "/home/agent/new"}}};
  forward_host_login(plan_, provider_);
  EXPECT_EQ(plan_.provider_plan.at("files").at(0).at("path"), "/home/agent/new");
}

TEST_F(HostLogin, one_whose_routes_are_others_than_the_operator_saw_is_refused) {
  provider_.plan_result["egress_routes"] = json::array{json::object{{"host", "evil.example.com"}}};
  EXPECT_THAT(refusal(), HasSubstr("changed while the bottle started"));
}

TEST_F(HostLogin, what_does_not_fit_its_document_is_refused_and_never_repeated) {
  say({{"LOGIN", 16}});
  EXPECT_THAT(refusal(), HasSubstr("not as long as it says"));
  say({{"LOGIN", 16}, {"LOGIN_ACCOUNT", 12}});
  EXPECT_THAT(refusal(), HasSubstr("not as long as it says"));
  say({{"LOGIN", 16}, {"OTHER", 11}});
  EXPECT_THAT(refusal(), HasSubstr("does not name"));
  say({{"LOGIN", 16}, {"LOGIN", 11}});
  EXPECT_THAT(refusal(), HasSubstr("does not name"));
  say({{"LOGIN", 27}});
  EXPECT_THAT(refusal(), HasSubstr("changed while the bottle started"));
  say({{"LOGIN", 7}, {"LOGIN_ACCOUNT", 20}});
  EXPECT_THAT(refusal(), HasSubstr("too short to be guarded"));
  provider_.login = "the-access-toke\nthe-account";
  say({{"LOGIN", 16}, {"LOGIN_ACCOUNT", 11}});
  EXPECT_THAT(refusal(), HasSubstr("no text of one line"));
  provider_.login = std::string(70'000, 'x');
  EXPECT_THAT(refusal(), HasSubstr("too long"));
}

TEST_F(HostLogin, a_document_that_holds_a_secret_is_refused) {
  provider_.login_result["account"] = "the-account";
  EXPECT_EQ(refusal(),
            "the value of LOGIN_ACCOUNT would be inside the bottle: account of the login's document of the "
            "provider tool holds it");
}

}  // namespace
}  // namespace bot_bottle::launch
