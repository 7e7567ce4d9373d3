// The backend's pure part against the SDK's fake host. The life of a bottle, `bot-bottle plugin check` tries for real.
#include <bot_bottle/sdk/fake_host.hpp>
#include <iostream>

#include "plugin.cpp"

int main() {
  sdk::FakeHost host;
  Toy backend;
  backend.set_host(host.host());
  int failed = 0;
  const auto expect = [&failed](bool holds, const char* what) {
    if (!holds) std::cerr << "not so: " << what << "\n";
    failed += holds ? 0 : 1;
  };
  const sdk::Probe probe = backend.probe(host.call());
  expect(probe.available || !probe.reason.empty(), "a probe that says no says why");
  sdk::Spec spec;
  spec.slug = "somebody-1";
  spec.state_dir = "/nonexistent";
  spec.resources.pids = 5;
  try {
    static_cast<void>(backend.plan(host.call(), spec));
    expect(false, "a limit that nobody enforces is refused");
  } catch (const sdk::Error& error) {
    expect(error.status == sdk::Status::unsupported, "it is refused as unsupported");
  }
  expect(host.programs.empty(), "probe and plan start no program");
  expect(host.violations.empty(), "no rule of plugin.h was broken");
  return failed;
}
