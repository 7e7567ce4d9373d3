#include "plugins/backend-docker/wire_network.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <set>

#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "plugins/backend-docker/names.hpp"

namespace bot_bottle::backend_docker {
namespace {

constexpr std::uint32_t range = (198U << 24) | (19U << 16);
constexpr std::uint32_t subnets = 1U << 13;  // /29s of a /16
constexpr int max_tries = 64;

std::string address_text(std::uint32_t address) {
  return std::to_string(address >> 24) + "." + std::to_string((address >> 16) & 255) + "." +
         std::to_string((address >> 8) & 255) + "." + std::to_string(address & 255);
}

/// Indexes that a route of the host's covers (proc_net(5): hexadecimal, as the kernel holds them).
std::set<std::uint32_t> routed_subnets() {
  std::set<std::uint32_t> taken;
  const auto text = read_file("/proc/net/route", std::size_t{4} << 20);
  if (!text) return taken;
  for (const std::string_view line : split(*text, '\n')) {
    std::array<char, 32> device{};
    unsigned destination = 0;
    unsigned mask = 0;
    if (std::sscanf(std::string(line).c_str(), "%31s %x %*x %*x %*d %*d %*d %x", device.data(), &destination, &mask) !=
            3 ||
        mask == 0)
      continue;
    const std::uint32_t base = __builtin_bswap32(destination);
    const std::uint32_t last = base | ~__builtin_bswap32(mask);
    if (last < range || base > range + 0xffffU) continue;
    const std::uint32_t from = std::max(base, range) - range;
    const std::uint32_t to = std::min(last, range + 0xffffU) - range;
    for (std::uint32_t i = from / 8; i <= to / 8; ++i) taken.insert(i);
  }
  return taken;
}

bool is_off(const sdk::Plan& plan, const char* guard) {
  const std::vector<std::string> guards = get_strings(plan.data, "disabled_guards");
  return std::ranges::find(guards, guard) != guards.end();
}

WireNetwork named(const std::string& name, std::uint32_t index) {
  const std::uint32_t base = range + index * 8;
  return {name, address_text(base + 1), address_text(base + 2), address_text(base + 3)};
}

std::string record_path(const sdk::Plan& plan) {
  return plan.state_dir + "/backend/network.json";
}

void write_record(const sdk::Plan& plan, const WireNetwork& network) {
  or_throw(write_file_fast(record_path(plan), to_text(json::object{{"name", network.name},
                                                                   {"gateway", network.gateway},
                                                                   {"sidecar", network.sidecar},
                                                                   {"agent", network.agent}})));
  or_throw(write_file_fast(plan.state_dir + "/backend/resolv.conf",
                           "nameserver 127.0.0.1\noptions attempts:1 timeout:1\n", 0644));
}

}  // namespace

std::string subnet_base(std::uint32_t index) {
  return address_text(range + (index % subnets) * 8);
}

std::optional<WireNetwork> network_of(const sdk::Plan& plan) {
  if (get_string(plan.data, "wire") != "address") return std::nullopt;
  const auto text = read_file(record_path(plan), 4096);
  const auto object = parse_json_object(text ? *text : std::string("{}"));
  if (!object || get_string(*object, "sidecar").empty())
    throw sdk::Error(sdk::Status::failed_precondition, "the bottle's network is not on record: " + record_path(plan));
  return WireNetwork{get_string(*object, "name"), get_string(*object, "gateway"), get_string(*object, "sidecar"),
                     get_string(*object, "agent")};
}

std::optional<WireNetwork> make_network(Engine& engine, const sdk::Plan& plan) {
  if (get_string(plan.data, "wire") != "address") return std::nullopt;
  const std::string name = resource_name(plan.state_dir, "wire");
  const std::vector<Owned> there = list_owned(engine, Which::networks, plan.state_dir);
  if (!there.empty()) {
    const auto known = network_of(plan);
    if (known && get_bool(plan.data, "reuse", false)) return known;  // the stopped agent is on it
    for (const Owned& owned : there) engine.remove("/networks/" + owned.id);
  }
  const std::set<std::uint32_t> routed = routed_subnets();
  auto index = static_cast<std::uint32_t>(std::stoul(sha256_hex(plan.state_dir).substr(0, 7), nullptr, 16) % subnets);
  std::string last;
  for (int i = 0; i < max_tries; ++i, index = (index + 1) % subnets) {
    if (routed.contains(index)) continue;
    const WireNetwork network = named(name, index);
    json::object options{{"com.docker.network.bridge.enable_icc", "true"},
                         {"com.docker.network.bridge.enable_ip_masquerade", "false"}};
    // Without it the host has an address on the bridge, and with it all that it serves there.
    if (!is_off(plan, "inhibit-ipv4")) options["com.docker.network.bridge.inhibit_ipv4"] = "true";
    const Answer answer =
        engine.ask("POST", "/networks/create",
                   json::object{{"Name", name},
                                {"CheckDuplicate", true},
                                {"Driver", "bridge"},
                                {"Internal", true},
                                {"EnableIPv6", false},
                                {"Attachable", false},
                                {"Options", std::move(options)},
                                {"IPAM",
                                 {{"Driver", "default"},
                                  {"Config", json::array{json::object{{"Subnet", subnet_base(index) + "/29"},
                                                                      {"Gateway", network.gateway}}}}}},
                                {"Labels", make_labels(plan.data, plan.slug, plan.state_dir, "wire")}});
    if (answer.status < 400) {
      write_record(plan, network);
      return network;
    }
    last = answer.body;
    // Another bottle, or somebody else, has these addresses: the next ones.
    if (last.find("overlap") == std::string::npos) throw_engine_error("cannot make the bottle's network", answer);
  }
  throw sdk::Error(sdk::Status::failed_precondition,
                   "no free addresses for the bottle's network in 198.19.0.0/16: " + last, "bot-bottle cleanup");
}

void connect_sidecar(Engine& engine, const WireNetwork& network, const std::string& sidecar) {
  engine.call(
      "POST", "/networks/" + network.name + "/connect",
      json::object{{"Container", sidecar}, {"EndpointConfig", {{"IPAMConfig", {{"IPv4Address", network.sidecar}}}}}});
}

void seal(Engine& engine, const sdk::Plan& plan, const WireNetwork& network, const std::string& agent) {
  if (is_off(plan, "inhibit-ipv4")) return;  // the test of a plain internal network
  const json::object helper{
      {"Image", get_string(plan.data, "sidecar_image")},
      {"User", "0:0"},
      {"Entrypoint", json::array{"/bin/bottle-init"}},
      {"Cmd", json::array{"--seal-network", json::value(network.sidecar)}},
      {"Labels", make_labels(plan.data, plan.slug, plan.state_dir, "seal")},
      {"HostConfig",
       {{"NetworkMode", "container:" + agent},
        {"Runtime", "runc"},
        {"CapDrop", json::array{"ALL"}},
        {"CapAdd", json::array{"NET_ADMIN"}},
        {"SecurityOpt", json::array{"no-new-privileges"}},
        {"ReadonlyRootfs", true},
        {"LogConfig", {{"Type", "json-file"}, {"Config", {{"max-size", "16k"}, {"max-file", "1"}}}}}}}};
  const std::string name = resource_name(plan.state_dir, "seal");
  const json::value created = engine.call("POST", "/containers/create?name=" + url_encoded(name), helper);
  const std::string id = created.is_object() ? get_string(created.as_object(), "Id") : "";
  std::string problem;
  try {
    engine.call("POST", "/containers/" + id + "/start");
    const json::value ended = engine.call("POST", "/containers/" + id + "/wait");
    if (!ended.is_object() || get_int(ended.as_object(), "StatusCode", 1) != 0) {
      engine.receive("/containers/" + id + "/logs?stderr=1&tail=3", [&](std::string_view bytes) {
        if (problem.size() < 2000) problem += bytes.size() > 8 ? bytes.substr(8) : bytes;
      });
      if (problem.empty()) problem = "the helper failed";
    }
  } catch (...) {
    engine.remove("/containers/" + id + "?force=1&v=1");
    throw;
  }
  engine.remove("/containers/" + id + "?force=1&v=1");
  if (!problem.empty())
    throw sdk::Error(sdk::Status::failed_precondition,
                     "the bottle's network cannot be sealed: " + std::string(trim(problem)));
}

}  // namespace bot_bottle::backend_docker
