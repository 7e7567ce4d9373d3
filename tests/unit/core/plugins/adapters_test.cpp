// C tables as classes, with a plugin that lives in this program: no library is opened.
#include "core/plugins/adapters.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bot_bottle/plugin.hpp>
#include <functional>
#include <string>

namespace bot_bottle::plugins {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// What the fake does inside `exec`.
std::function<void()>& during_exec() {
  static std::function<void()> function;
  return function;
}

class FakeBackend final : public sdk::Backend {
 public:
  sdk::Probe probe(const sdk::Call& call) override {
    call.progress(250, "looking");
    return {.available = true};
  }
  sdk::Plan plan(const sdk::Call&, const sdk::Spec& spec) override {
    return {.slug = spec.slug, .backend = "fake", .data = {{"kept", true}}};
  }
  sdk::Sidecar start_sidecar(const sdk::Call&, const sdk::Plan&, int config_fd, int lifeline_fd) override {
    return {.slug = std::to_string(config_fd) + "," + std::to_string(lifeline_fd)};
  }
  sdk::Bottle launch(const sdk::Call&, const sdk::Plan& plan, const sdk::LaunchInputs& inputs, int) override {
    return {.slug = plan.slug, .endpoints = {{"ca", inputs.ca_pem}}, .data = plan.data};
  }
  sdk::ExecResult exec(const sdk::Call&, const sdk::Bottle&, const sdk::ExecRequest& request, int) override {
    if (during_exec()) during_exec()();
    return {.code = 7, .out = request.argv.at(0)};
  }
  sdk::Attach attach_argv(const sdk::Call&, const sdk::Bottle&, const sdk::ExecRequest& request) override {
    return {.argv = request.argv};
  }
  void copy_in(const sdk::Call&, const sdk::Bottle&, const sdk::CopyRequest& request) override {
    copied = request.dest;
  }
  void copy_out(const sdk::Call&, const sdk::Bottle&, const sdk::CopyRequest&) override {
    throw sdk::Error(sdk::Status::permission_denied, "no", "ask");
  }
  void stop(const sdk::Call&, const sdk::Bottle&) override {}
  void remove(const sdk::Call&, const sdk::Bottle& bottle) override { removed = bottle.slug; }
  sdk::Bottles enumerate(const sdk::Call&) override { return {.bottles = {{.slug = "a-1"}}}; }

  static inline std::string copied;
  static inline std::string removed;
};

class FakeProvider final : public sdk::AgentProvider {
 public:
  sdk::ProviderDescription describe(const sdk::Call&) override { return {.display_name = "Fake"}; }
  sdk::ProviderPlan plan(const sdk::Call&, const sdk::ProviderSpec& spec) override { return {.argv = {spec.agent}}; }
  void provision(const sdk::Call&, const sdk::ProviderSpec&, const sdk::BottleOps& ops) override {
    const auto result = ops.exec({.argv = {"install"}});
    ops.copy_in({.source = "/a", .dest = "/home/agent/" + result.out});
  }
};

class PlainProvider final : public sdk::AgentProvider {
 public:
  sdk::ProviderDescription describe(const sdk::Call&) override { return {}; }
  sdk::ProviderPlan plan(const sdk::Call&, const sdk::ProviderSpec&) override { return {}; }
};

class AdaptersTest : public ::testing::Test {
 protected:
  AdaptersTest() {
    plugin.name = "fake";
    plugin.host = std::make_unique<PluginHost>("fake", "/nowhere");
    plugin.backend = sdk::detail::backend_table<FakeBackend>;
    plugin.provider = sdk::detail::provider_table<FakeProvider>;
    options.on_progress = [this](std::uint32_t permille, const std::string& what) {
      progress.push_back(std::to_string(permille) + " " + what);
    };
    plugin.host->set_options(&options);
    backend = adapt_backend(plugin, "fake");
    during_exec() = nullptr;
  }

  HostOptions options;
  std::vector<std::string> progress;
  LoadedPlugin plugin;
  std::unique_ptr<Backend> backend;
};

TEST_F(AdaptersTest, documents_travel_both_ways) {
  EXPECT_TRUE(backend->probe().at("available").as_bool());
  EXPECT_THAT(progress, ElementsAre("250 looking"));
  const json::object plan = backend->plan({{"schema", "bot-bottle.spec/1"}, {"slug", "x-1"}});
  EXPECT_EQ(get_string(plan, "slug"), "x-1");
  const json::object bottle = backend->launch(plan, {{"schema", "bot-bottle.launch/1"}, {"ca_pem", "PEM"}}, -1);
  EXPECT_TRUE(bottle.at("data").as_object().at("kept").as_bool());
  EXPECT_EQ(get_string(bottle.at("endpoints").as_object(), "ca"), "PEM");
  EXPECT_EQ(get_string(backend->start_sidecar(plan, 4, 5), "slug"), "4,5");
  EXPECT_EQ(backend->exec(bottle, {{"argv", json::array{"x"}}}, -1).at("code").as_int64(), 7);
  EXPECT_THAT(get_strings(backend->attach_argv(bottle, {{"argv", json::array{"sh", "-i"}}}), "argv"),
              ElementsAre("sh", "-i"));
  backend->remove(plan);
  EXPECT_EQ(FakeBackend::removed, "x-1");
  EXPECT_EQ(backend->enumerate().at("bottles").as_array().size(), 1U);
}

TEST_F(AdaptersTest, a_failure_keeps_kind_and_hint_and_says_who_and_what) {
  try {
    backend->copy_out({}, {});
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::permission_denied);
    EXPECT_EQ(failure.error().message, "backend fake: copy_out: no");
    EXPECT_EQ(failure.error().hint, "ask");
  }
}

TEST_F(AdaptersTest, an_absent_function_is_unsupported_by_name_and_never_a_null_call) {
  for (const auto& call : std::vector<std::function<void()>>{[&] { backend->build({}); }, [&] { backend->orphans({}); },
                                                             [&] { backend->cleanup({}); }}) {
    try {
      call();
      ADD_FAILURE();
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.error().kind, ErrorKind::unsupported);
      EXPECT_THAT(failure.error().message, HasSubstr("backend fake cannot "));
    }
  }
}

TEST_F(AdaptersTest, a_second_call_while_one_runs_is_refused_because_tables_are_serial) {
  std::string text;
  during_exec() = [&] {
    try {
      backend->probe();
    } catch (const Failure& failure) {
      text = failure.error().message;
    }
  };
  EXPECT_EQ(backend->exec({}, {{"argv", json::array{"x"}}}, -1).at("code").as_int64(), 7);
  EXPECT_THAT(text, HasSubstr("while another call is running"));
  EXPECT_TRUE(backend->probe().at("available").as_bool());
}

TEST_F(AdaptersTest, a_provider_provisions_through_the_backend_and_one_without_says_so) {
  const auto provider = adapt_provider(plugin, "fake");
  EXPECT_TRUE(provider->provision({}, *backend, {}));
  EXPECT_EQ(FakeBackend::copied, "/home/agent/install");
  plugin.provider = sdk::detail::provider_table<PlainProvider>;
  EXPECT_FALSE(adapt_provider(plugin, "plain")->provision({}, *backend, {}));
}

TEST_F(AdaptersTest, what_the_backend_refuses_while_provisioning_reaches_the_operator) {
  const auto provider = adapt_provider(plugin, "fake");
  during_exec() = [] { throw sdk::Error(sdk::Status::unavailable, "the engine is gone", "start it"); };
  try {
    provider->provision({}, *backend, {});
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::unavailable);
    EXPECT_EQ(failure.error().message, "provider fake: provision: backend fake: exec: the engine is gone");
    EXPECT_EQ(failure.error().hint, "start it");
  }
}

}  // namespace
}  // namespace bot_bottle::plugins
