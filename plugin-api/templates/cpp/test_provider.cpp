// The provider against the SDK's fake host. What is true of every provider, `bot-bottle plugin check` asks.
#include <bot_bottle/sdk/fake_host.hpp>
#include <iostream>

#include "plugin.cpp"

int main() {
  sdk::FakeHost host;
  Hello provider;
  provider.set_host(host.host());
  sdk::ProviderSpec spec;
  spec.agent = "somebody";
  spec.slug = "somebody-1";
  const sdk::ProviderPlan plan = provider.plan(host.call(), spec);
  int failed = 0;
  const auto expect = [&failed](bool holds, const char* what) {
    if (!holds) std::cerr << "not so: " << what << "\n";
    failed += holds ? 0 : 1;
  };
  expect(!plan.argv.empty(), "there is a program to run");
  expect(!plan.headless_argv.empty(), "there is one for `bot-bottle run`, too");
  expect(provider.describe(host.call()).guest_home == "/home/agent", "the home is the usual one");
  expect(host.violations.empty(), "no rule of plugin.h was broken");
  return failed;
}
