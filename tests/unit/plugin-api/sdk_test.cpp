// The C++ SDK seen from both sides: as an author writes it, and through the C tables as the host calls it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bot_bottle/plugin.hpp>
#include <bot_bottle/sdk/fake_host.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace bot_bottle::sdk {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class TestBackend : public Backend {
 public:
  explicit TestBackend(const Host& given) : tool_(given.raw() != nullptr) {}

  Probe probe(const Call& call) override {
    if (mode == "sdk error") throw Error(Status::unavailable, "no engine", "start it");
    if (mode == "std") throw std::runtime_error("plain");
    if (mode == "int") throw 42;
    if (mode == "core") throw Failure(bot_bottle::Error{ErrorKind::not_found, "no such tool", "install it", "details"});
    if (mode == "status ok") throw Error(Status::ok, "odd");
    if (mode == "run")
      return {.available = host().run(call, {"tool", "version"}).code == 0, .version = host().path(call, "libexec")};
    if (mode == "secret") host().info("got " + std::to_string(host().read_secret(call, "TOKEN").size()) + " bytes");
    if (mode == "progress") call.progress(500, "half");
    return {.available = tool_, .features = {"detach"}, .version = "1"};
  }
  Plan plan(const Call&, const Spec& spec) override {
    Plan plan;
    plan.slug = spec.slug;
    plan.state_dir = spec.state_dir;
    plan.data["memory"] = spec.resources.memory.value_or(7);
    plan.data["cpus"] = spec.resources.cpus.has_value();
    return plan;
  }
  Sidecar start_sidecar(const Call&, const Plan&, int config_fd, int lifeline_fd) override {
    return {.slug = std::to_string(config_fd) + " " + std::to_string(lifeline_fd)};
  }
  Bottle launch(const Call&, const Plan& plan, const LaunchInputs& inputs, int) override {
    Bottle bottle;
    bottle.slug = plan.slug;
    bottle.data = plan.data;
    bottle.endpoints["egress"] = inputs.ca_pem;
    return bottle;
  }
  ExecResult exec(const Call&, const Bottle&, const ExecRequest& request, int) override {
    return {.code = 3, .out = request.argv.at(0) + "\xff\xc3\xa9\xed\xa0\x80", .err = request.env.at("A")};
  }
  Attach attach_argv(const Call&, const Bottle&, const ExecRequest& request) override { return {.argv = request.argv}; }
  void copy_in(const Call&, const Bottle&, const CopyRequest&) override {}
  void copy_out(const Call&, const Bottle&, const CopyRequest&) override {}
  void stop(const Call&, const Bottle&) override {}
  void remove(const Call&, const Bottle& bottle) override { removed = bottle.slug; }
  Bottles enumerate(const Call&) override {
    return {.bottles = {RunningBottle{.slug = "a-1", .services = {"egress"}}}};
  }
  Orphans orphans(const Call&, const std::vector<std::string>& known) override {
    return {.items = {{"process", known.at(0), ""}}};
  }

  static inline std::string mode;
  static inline std::string removed;

 private:
  bool tool_;
};

class TestProvider final : public AgentProvider {
  ProviderDescription describe(const Call&) override { return {.display_name = "Test"}; }
  ProviderPlan plan(const Call&, const ProviderSpec& spec) override {
    ProviderPlan plan;
    plan.argv = {spec.agent};
    plan.egress_routes.push_back({{"host", "api.example.com"}});
    return plan;
  }
  // Private on purpose: still found.
  void provision(const Call&, const ProviderSpec&, const BottleOps& ops) override {
    ExecRequest request;
    request.argv = {"true"};
    if (ops.exec(request).code != 0) throw Error(Status::internal, "true is false");
    ops.copy_in({});
  }
};

class TestFreezer final : public Freezer {
 public:
  Snapshot freeze(const Call&, const Bottle& bottle) override {
    return {.kind = "image", .ref = bottle.slug, .size = 1};
  }
  bool exists(const Call&, const std::string& ref) override { return ref == "there"; }
  void remove(const Call&, const std::string&) override {}
};

class TestKeys final : public DeployKeyProvisioner {
 public:
  DeployKey create_key(const Call&, const DeployKeyRequest& request, int fd) override {
    if (::write(fd, "PRIVATE", 7) != 7) throw Error(Status::internal, "pipe");
    return {.key_id = request.title};
  }
  void remove_key(const Call&, const DeployKeyRequest&) override {}
};

}  // namespace
}  // namespace bot_bottle::sdk

using bot_bottle::sdk::TestBackend;
using bot_bottle::sdk::TestFreezer;
using bot_bottle::sdk::TestKeys;
using bot_bottle::sdk::TestProvider;
BOT_BOTTLE_PLUGIN("test", "0.1.0", "for tests", TestBackend, TestProvider, TestFreezer, TestKeys)

namespace bot_bottle::sdk {
namespace {

template <typename Table>
const Table* table(const char* id) {
  return static_cast<const Table*>(bb_plugin_entry.get_interface(id));
}

class SdkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    TestBackend::mode.clear();
    ASSERT_EQ(backend->create(host.raw_host(), host.raw_call(), &self), BB_OK);
  }
  void TearDown() override { backend->destroy(self); }

  FakeHost::Outcome probe(const std::string& mode = {}) {
    TestBackend::mode = mode;
    return host.invoke([&](const bb_call* call, bb_writer out) { return backend->probe(self, call, out); });
  }

  FakeHost host;
  const bb_backend* backend = table<bb_backend>(BB_INTERFACE_BACKEND);
  void* self = nullptr;
};

TEST(Sdk, the_entry_offers_the_interfaces_of_its_classes_and_no_others) {
  EXPECT_EQ(bb_plugin_entry.struct_size, sizeof(bb_plugin));
  EXPECT_EQ(bb_plugin_entry.abi_major, 1U);
  EXPECT_STREQ(bb_plugin_entry.name, "test");
  EXPECT_NE(table<bb_backend>(BB_INTERFACE_BACKEND), nullptr);
  EXPECT_NE(table<bb_provider>(BB_INTERFACE_PROVIDER), nullptr);
  EXPECT_NE(table<bb_freezer>(BB_INTERFACE_FREEZER), nullptr);
  EXPECT_NE(table<bb_deploy_key>(BB_INTERFACE_DEPLOY_KEY), nullptr);
  EXPECT_EQ(bb_plugin_entry.get_interface("bot-bottle.backend/2"), nullptr);
  EXPECT_EQ(bb_plugin_entry.get_interface(nullptr), nullptr);
}

TEST(Sdk, a_slot_exists_exactly_when_the_class_overrides_it) {
  const bb_backend* backend = table<bb_backend>(BB_INTERFACE_BACKEND);
  EXPECT_EQ(backend->build, nullptr);
  EXPECT_EQ(backend->sidecar_exec, nullptr);
  EXPECT_NE(backend->orphans, nullptr);
  EXPECT_EQ(backend->cleanup, nullptr);
  const bb_provider* provider = table<bb_provider>(BB_INTERFACE_PROVIDER);
  EXPECT_NE(provider->provision, nullptr);
  EXPECT_EQ(provider->host_credentials, nullptr);
  EXPECT_EQ(table<bb_freezer>(BB_INTERFACE_FREEZER)->export_to, nullptr);
}

TEST_F(SdkTest, a_result_arrives_as_a_tagged_document) {
  const auto outcome = probe();
  EXPECT_EQ(outcome.status, Status::ok);
  EXPECT_EQ(outcome.document().at("schema").as_string(), "bot-bottle.probe/1");
  EXPECT_TRUE(outcome.document().at("available").as_bool());
  EXPECT_THAT(host.violations, IsEmpty());
}

TEST_F(SdkTest, whatever_is_thrown_becomes_a_status_and_a_message) {
  const auto sdk_error = probe("sdk error");
  EXPECT_EQ(sdk_error.status, Status::unavailable);
  EXPECT_EQ(sdk_error.message, "no engine");
  EXPECT_EQ(sdk_error.hint, "start it");
  EXPECT_EQ(probe("std").message, "plain");
  EXPECT_EQ(probe("std").status, Status::internal);
  EXPECT_EQ(probe("int").status, Status::internal);
  EXPECT_EQ(probe("status ok").status, Status::internal);
  const auto core = probe("core");
  EXPECT_EQ(core.status, Status::not_found);
  EXPECT_EQ(core.message, "no such tool\ndetails");
  EXPECT_EQ(core.hint, "install it");
  EXPECT_THAT(host.violations, IsEmpty());
}

TEST_F(SdkTest, documents_keep_absent_apart_from_zero_and_ignore_what_they_do_not_know) {
  const auto plan = [&](std::string_view spec) {
    return host.invoke([&](const bb_call* call, bb_writer out) { return backend->plan(self, call, to_bb(spec), out); });
  };
  const auto full = plan(
      R"({"schema":"bot-bottle.spec/1","slug":"x-1","state_dir":"/s","resources":{"memory":4294967296},"future":[1]})");
  EXPECT_EQ(full.document().at("data").as_object().at("memory").to_number<std::uint64_t>(), 4294967296U);
  EXPECT_FALSE(full.document().at("data").as_object().at("cpus").as_bool());
  EXPECT_EQ(plan(R"({"slug":"x-1"})").document().at("data").as_object().at("memory").to_number<int>(), 7);
  EXPECT_EQ(plan(R"({"slug":null})").status, Status::ok);

  const auto wrong = plan(R"({"slug":7})");
  EXPECT_EQ(wrong.status, Status::invalid_argument);
  EXPECT_THAT(wrong.message, HasSubstr("\"slug\" is not text"));
  EXPECT_THAT(plan(R"({"schema":"bot-bottle.spec/2"})").message, HasSubstr("expected bot-bottle.spec/1"));
  EXPECT_THAT(plan("{").message, HasSubstr("not JSON"));
  EXPECT_THAT(host.violations, IsEmpty());
}

TEST(Sdk, opaque_data_and_unknown_fields_survive_a_round_trip) {
  const auto bottle =
      parse_document<Bottle>(R"({"schema":"bot-bottle.bottle/1","slug":"a","data":{"id":[1,2]},"newer":true})");
  const json::object again = to_json(bottle);
  EXPECT_EQ(again.at("data").as_object().at("id").as_array().size(), 2U);
  EXPECT_TRUE(again.at("newer").as_bool());
  EXPECT_EQ(again.at("schema").as_string(), "bot-bottle.bottle/1");
}

TEST_F(SdkTest, remove_takes_the_plan_of_a_launch_that_failed) {
  const auto outcome = host.invoke([&](const bb_call* call, bb_writer) {
    return backend->remove(self, call, to_bb(R"({"schema":"bot-bottle.plan/1","slug":"p-1","wire":"socket"})"));
  });
  EXPECT_EQ(outcome.status, Status::ok);
  EXPECT_EQ(TestBackend::removed, "p-1");
}

TEST_F(SdkTest, program_output_that_is_not_utf8_is_replaced_in_the_document) {
  const auto outcome = host.invoke([&](const bb_call* call, bb_writer out) {
    return backend->exec(self, call, to_bb("{}"), to_bb(R"({"argv":["x"],"env":{"A":"b"}})"), -1, out);
  });
  EXPECT_EQ(outcome.document().at("stdout").as_string(), "x\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(outcome.document().at("stderr").as_string(), "b");
  EXPECT_EQ(outcome.document().at("code").as_int64(), 3);
}

TEST_F(SdkTest, descriptors_and_arrays_reach_the_class) {
  const auto sidecar = host.invoke(
      [&](const bb_call* call, bb_writer out) { return backend->start_sidecar(self, call, to_bb("{}"), 5, -1, out); });
  EXPECT_EQ(sidecar.document().at("slug").as_string(), "5 -1");
  EXPECT_EQ(sidecar.document().if_contains("pid"), nullptr);
  const auto orphans = host.invoke(
      [&](const bb_call* call, bb_writer out) { return backend->orphans(self, call, to_bb(R"(["k"])"), out); });
  EXPECT_EQ(orphans.document().at("items").as_array().at(0).as_object().at("what").as_string(), "k");
  EXPECT_EQ(
      host.invoke([&](const bb_call* call, bb_writer out) { return backend->orphans(self, call, to_bb("{}"), out); })
          .status,
      Status::invalid_argument);
}

TEST_F(SdkTest, services_are_recorded_and_their_failures_keep_message_and_hint) {
  host.paths["libexec"] = "/opt/libexec";
  const auto fine = probe("run");
  EXPECT_TRUE(fine.document().at("available").as_bool());
  EXPECT_EQ(fine.document().at("version").as_string(), "/opt/libexec");
  EXPECT_THAT(host.programs.at(0).argv, ElementsAre("tool", "version"));

  host.on_run = [](const ProcessRequest&) -> ProcessResult {
    throw Error(Status::not_found, "no program tool", "install tool");
  };
  const auto missing = probe("run");
  EXPECT_EQ(missing.status, Status::not_found);
  EXPECT_EQ(missing.message, "no program tool");
  EXPECT_EQ(missing.hint, "install tool");

  host.on_run = nullptr;
  EXPECT_EQ(probe("run").status, Status::unsupported);
  EXPECT_THAT(host.violations, IsEmpty());
}

TEST_F(SdkTest, the_fake_host_cancels_at_the_nth_service_call) {
  host.cancel_at(2);
  host.paths["libexec"] = "/x";
  const auto outcome = probe("run");
  EXPECT_EQ(outcome.status, Status::cancelled);
  EXPECT_EQ(host.service_calls(), 2U);
  EXPECT_TRUE(host.call().cancelled());
}

TEST_F(SdkTest, a_secret_is_read_from_a_pipe_and_the_fake_host_sees_it_leak) {
  EXPECT_EQ(probe("secret").status, Status::permission_denied);
  host.secrets["TOKEN"] = "s3cr3t-value";
  EXPECT_EQ(probe("secret").status, Status::ok);
  EXPECT_EQ(host.logs.at(0).text, "got 12 bytes");
  EXPECT_THAT(host.violations, IsEmpty());
  host.host().info("oops s3cr3t-value");
  EXPECT_THAT(host.violations, ElementsAre(HasSubstr("log line")));
}

TEST_F(SdkTest, the_fake_host_notes_broken_rules) {
  host.invoke([](const bb_call* call, bb_writer) {
    call->fail(call, to_bb("bad."), {});
    return bb_status{BB_OK};
  });
  host.invoke([](const bb_call*, bb_writer) { return bb_status{BB_INTERNAL}; });
  host.invoke([](const bb_call*, bb_writer out) { return out.write(out.context, to_bb("{")); });
  EXPECT_THAT(host.violations, ElementsAre(HasSubstr("full stop"), HasSubstr("BB_OK after fail"),
                                           HasSubstr("without fail"), HasSubstr("not JSON")));
}

TEST(Sdk, a_provider_provisions_through_the_hosts_functions) {
  FakeHost host;
  const bb_provider* provider = table<bb_provider>(BB_INTERFACE_PROVIDER);
  void* self = nullptr;
  ASSERT_EQ(provider->create(host.raw_host(), host.raw_call(), &self), BB_OK);
  int copies = 0;
  bb_bottle_ops ops{};
  ops.struct_size = sizeof ops;
  ops.context = &copies;
  ops.exec = [](void*, const bb_call*, bb_str, bb_writer out) {
    return out.write(out.context, to_bb(R"({"code":0})"));
  };
  ops.copy_in = [](void* context, const bb_call*, bb_str) {
    ++*static_cast<int*>(context);
    return bb_status{BB_OK};
  };
  EXPECT_EQ(
      host.invoke([&](const bb_call* call, bb_writer) { return provider->provision(self, call, to_bb("{}"), &ops); })
          .status,
      Status::ok);
  EXPECT_EQ(copies, 1);
  // An older host, which does not have copy_in yet: its table ends before.
  ops.struct_size = offsetof(bb_bottle_ops, copy_in);
  EXPECT_EQ(
      host.invoke([&](const bb_call* call, bb_writer) { return provider->provision(self, call, to_bb("{}"), &ops); })
          .status,
      Status::unsupported);
  provider->destroy(self);
}

TEST(Sdk, a_snapshot_that_is_gone_is_not_found) {
  FakeHost host;
  const bb_freezer* freezer = table<bb_freezer>(BB_INTERFACE_FREEZER);
  void* self = nullptr;
  ASSERT_EQ(freezer->create(host.raw_host(), host.raw_call(), &self), BB_OK);
  EXPECT_EQ(
      host.invoke([&](const bb_call* call, bb_writer) { return freezer->exists(self, call, to_bb("there")); }).status,
      Status::ok);
  EXPECT_EQ(
      host.invoke([&](const bb_call* call, bb_writer) { return freezer->exists(self, call, to_bb("gone")); }).status,
      Status::not_found);
  freezer->destroy(self);
}

TEST(Sdk, a_private_key_leaves_on_its_descriptor_only) {
  FakeHost host;
  const bb_deploy_key* keys = table<bb_deploy_key>(BB_INTERFACE_DEPLOY_KEY);
  void* self = nullptr;
  ASSERT_EQ(keys->create(host.raw_host(), host.raw_call(), &self), BB_OK);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const auto made = host.invoke([&](const bb_call* call, bb_writer out) {
    return keys->create_key(self, call, to_bb(R"({"title":"t"})"), ends[1], out);
  });
  char buffer[16] = {};
  EXPECT_EQ(::read(ends[0], buffer, sizeof buffer), 7);
  EXPECT_EQ(made.text.find("PRIVATE"), std::string::npos);
  EXPECT_EQ(made.document().at("key_id").as_string(), "t");
  ::close(ends[0]);
  ::close(ends[1]);
  keys->destroy(self);
}

TEST(Sdk, an_older_host_with_a_shorter_call_is_not_read_past_its_end) {
  // Only struct_size: nothing else may be touched.
  bb_call call{};
  call.struct_size = sizeof(std::uint32_t);
  call.fail = nullptr;
  const Call wrapped(&call);
  EXPECT_EQ(wrapped.cancel_fd(), -1);
  EXPECT_FALSE(wrapped.cancelled());
  wrapped.progress("ignored");
  wrapped.fail("ignored", {});
}

}  // namespace
}  // namespace bot_bottle::sdk
