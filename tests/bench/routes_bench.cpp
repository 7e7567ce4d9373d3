// What a decision costs with 1, 100 and 10,000 routes, and what reading that many does.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <string>
#include <vector>

#include "core/policy/decide.hpp"

namespace {

using namespace bot_bottle;

json::object document_of(std::size_t count) {
  json::array routes;
  for (std::size_t i = 0; i < count; ++i) {
    json::object route;
    route["host"] = fmt::format("service-{}.example.com", i);
    route["auth"] = {{"scheme", "Bearer"}, {"token_ref", "EXAMPLE_TOKEN"}};
    route["matches"] = json::array{
        {{"paths", json::array{{{"type", "prefix"}, {"value", "/v1/"}}}}, {"methods", json::array{"GET", "POST"}}}};
    routes.push_back(std::move(route));
  }
  return {{"routes", std::move(routes)}};
}

policy::Egress egress_of(std::size_t count) {
  return policy::parse_egress(document_of(count)).egress;
}

/// Every route in turn: a table of which one entry is hot would hide what the others cost.
void decide(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  const auto table = policy::RouteTable::create(egress_of(count)).value();
  std::vector<std::string> hosts;
  for (std::size_t i = 0; i < count; ++i) hosts.push_back(fmt::format("service-{}.example.com", i));
  const policy::Target target = policy::normalise_target("/v1/messages?beta=true").value();
  const std::vector<policy::HeaderView> headers = {{"content-type", "application/json"}, {"accept", "*/*"}};
  policy::RequestView request;
  request.method = "POST";
  request.target = &target;
  request.headers = headers;
  std::size_t at = 0;
  for (auto _ : state) {
    request.host = hosts[at = (at + 7919) % count];
    benchmark::DoNotOptimize(table->decide(request));
  }
}
BENCHMARK(decide)->Arg(1)->Arg(100)->Arg(10'000);

void refuse_an_unknown_host(benchmark::State& state) {
  const auto table = policy::RouteTable::create(egress_of(static_cast<std::size_t>(state.range(0)))).value();
  for (auto _ : state) benchmark::DoNotOptimize(table->decide_connect("elsewhere.example.org", 443));
}
BENCHMARK(refuse_an_unknown_host)->Arg(1)->Arg(100)->Arg(10'000);

void read_routes_toml(benchmark::State& state) {
  const std::string text = policy::to_routes_toml(egress_of(static_cast<std::size_t>(state.range(0))));
  for (auto _ : state) benchmark::DoNotOptimize(policy::parse_routes_toml(text));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
}
BENCHMARK(read_routes_toml)->Arg(100)->Arg(10'000)->Unit(benchmark::kMillisecond);

void make_a_table(benchmark::State& state) {
  const policy::Egress egress = egress_of(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(policy::RouteTable::create(egress));
}
BENCHMARK(make_a_table)->Arg(100)->Arg(10'000)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
