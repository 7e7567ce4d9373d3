// See context.hpp.
#include "sidecar/attack/context.hpp"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "core/base/random.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::attack {
namespace {

std::string variable(const char* name, std::string_view fallback = {}) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : std::string(fallback);
}

Result<std::uint64_t> number(const char* name) {
  const std::string text = variable(name, "0");
  std::uint64_t value = 0;
  auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size())
    return fail(ErrorKind::invalid_argument, std::string(name) + " is not a number: " + text);
  return value;
}

Result<std::vector<std::uint16_t>> ports(const char* name) {
  std::vector<std::uint16_t> out;
  const std::string text = variable(name);
  if (text.empty()) return out;
  for (std::string_view item : split(text, ',')) {
    unsigned value = 0;
    item = trim(item);
    auto [end, problem] = std::from_chars(item.data(), item.data() + item.size(), value);
    if (problem != std::errc() || end != item.data() + item.size() || value == 0 || value > 65535)
      return fail(ErrorKind::invalid_argument, std::string(name) + " holds no list of ports: " + text);
    out.push_back(static_cast<std::uint16_t>(value));
  }
  return out;
}

std::vector<std::string> inherited_descriptors() {
  std::vector<std::string> out;
  std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir("/proc/self/fd"), &::closedir);
  if (!dir) return out;
  while (const dirent* entry = ::readdir(dir.get())) {
    const int fd = std::atoi(entry->d_name);
    if (entry->d_name[0] == '.' || fd <= 2 || fd == ::dirfd(dir.get())) continue;
    std::array<char, 4096> target{};
    const ssize_t size =
        ::readlink(("/proc/self/fd/" + std::string(entry->d_name)).c_str(), target.data(), target.size());
    out.push_back(std::string(entry->d_name) + " -> " +
                  (size > 0 ? std::string(target.data(), static_cast<std::size_t>(size)) : "?"));
  }
  return out;
}

}  // namespace

Result<Context> load_context() {
  Context context;
  context.inherited = inherited_descriptors();  // first: OpenSSL and others may open files of their own
  for (const char* name : {"HTTP_PROXY", "HTTPS_PROXY"}) {
    std::string proxy = variable(name);
    if (proxy.empty()) continue;
    if (std::size_t scheme = proxy.find("://"); scheme != std::string::npos) proxy.erase(0, scheme + 3);
    while (!proxy.empty() && proxy.back() == '/') proxy.pop_back();
    const std::size_t colon = proxy.rfind(':');
    if (colon == std::string::npos) return fail(ErrorKind::invalid_argument, std::string(name) + " names no port");
    context.proxy_host = proxy.substr(0, colon);
    context.proxy_port = static_cast<std::uint16_t>(std::strtoul(proxy.c_str() + colon + 1, nullptr, 10));
  }
  context.ca_file = variable("SSL_CERT_FILE", "/etc/bot-bottle/ca.pem");
  context.origin = variable("BB_ATTACK_ORIGIN", "origin.example.com");
  context.denied = variable("BB_ATTACK_DENIED", "denied.example.com");
  context.plain = variable("BB_ATTACK_PLAIN");
  context.guarded = variable("BB_ATTACK_GUARDED");
  context.internal = variable("BB_ATTACK_INTERNAL");
  context.stolen = variable("BB_ATTACK_STOLEN");
  // A launch refuses an environment that holds a known secret: the test hands it in backwards.
  if (context.stolen.empty()) context.stolen = variable("BB_ATTACK_STOLEN_REVERSED");
  if (variable("BB_ATTACK_STOLEN").empty()) std::reverse(context.stolen.begin(), context.stolen.end());
  context.abstract_socket = variable("BB_ATTACK_ABSTRACT");
  context.operator_name = variable("BB_ATTACK_OPERATOR");
  context.secret_sha256 = to_lower(variable("BB_ATTACK_SECRET_SHA256"));
  const std::string paths = variable("BB_ATTACK_HOST_PATHS");
  if (!paths.empty())
    for (std::string_view path : split(paths, ':')) context.host_paths.emplace_back(path);
  BB_TRY(context.host_ports, ports("BB_ATTACK_HOST_PORTS"));
  BB_TRY(context.host_udp_ports, ports("BB_ATTACK_HOST_UDP_PORTS"));
  BB_TRY(context.secret_length, number("BB_ATTACK_SECRET_LENGTH"));
  BB_TRY(context.pids_limit, number("BB_ATTACK_PIDS_LIMIT"));
  BB_TRY(context.memory_limit, number("BB_ATTACK_MEMORY_LIMIT"));
  BB_TRY(context.disk_limit, number("BB_ATTACK_DISK_LIMIT"));
  BB_TRY(const std::uint64_t flood, number("BB_ATTACK_FLOOD"));
  if (flood > 0) context.flood = flood;
  context.session = random_base36(8);
  return context;
}

}  // namespace bot_bottle::attack
