#include "plugins/backend-docker/find_engine.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::backend_docker {
namespace {

namespace fs = std::filesystem;

bool is_socket(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode);
}

Result<EngineAddress> parse_host(const std::string& host, const std::string& origin, bool has_tls) {
  if (host.starts_with("unix://")) {
    std::string path = host.substr(7);
    if (!path.starts_with('/'))
      return fail(ErrorKind::invalid_argument, origin + ": '" + host + "' is not an absolute path");
    return EngineAddress{std::move(path), origin};
  }
  const std::size_t colon = host.find("://");
  const std::string scheme = colon == std::string::npos ? host : host.substr(0, colon);
  for (const char* remote : {"tcp", "ssh", "http", "https", "npipe"})
    if (scheme == remote)
      return fail(ErrorKind::unsupported,
                  origin + ": an engine over " + scheme + (has_tls ? " with TLS" : "") +
                      " may be on another machine, and the sidecar's sockets are files of this one",
                  "run bot-bottle where the engine is, or name its socket: DOCKER_HOST=unix:///var/run/docker.sock");
  return fail(ErrorKind::invalid_argument, origin + ": '" + host + "' is not an engine's address",
              "for example unix:///var/run/docker.sock");
}

/// meta.json of a context lies in a directory called by the hash of its name.
Result<EngineAddress> find_context(const fs::path& config, const std::string& name) {
  const std::string origin = "the docker context '" + name + "'";
  const fs::path file = config / "contexts" / "meta" / sha256_hex(name) / "meta.json";
  const auto text = read_file(file, std::size_t{1} << 20);
  if (!text) return fail(ErrorKind::not_found, origin + " is not there: " + text.error().message, "docker context ls");
  auto meta = parse_json_object(*text);
  if (!meta) return fail(std::move(meta.error()).within(file.string()));
  const json::object* endpoints = find_object(*meta, "Endpoints");
  const json::object* docker = endpoints == nullptr ? nullptr : find_object(*endpoints, "docker");
  if (docker == nullptr) return fail(ErrorKind::invalid_argument, origin + " has no docker endpoint");
  std::error_code code;
  const bool has_tls = fs::exists(config / "contexts" / "tls" / sha256_hex(name), code);
  return parse_host(get_string(*docker, "Host"), origin, has_tls);
}

}  // namespace

Result<EngineAddress> find_engine(const Environment& environment, const fs::path& operator_home,
                                  const fs::path& run_directory) {
  const auto set = [&](const char* name) {
    const auto value = environment(name);
    return value && !value->empty() ? value : std::nullopt;
  };
  if (const auto host = set("DOCKER_HOST"))
    return parse_host(*host, "DOCKER_HOST", set("DOCKER_TLS_VERIFY").has_value() || set("DOCKER_TLS").has_value());
  const fs::path config = set("DOCKER_CONFIG") ? fs::path(*set("DOCKER_CONFIG")) : operator_home / ".docker";
  std::string context = set("DOCKER_CONTEXT").value_or("");
  if (context.empty())
    if (const auto text = read_file(config / "config.json", std::size_t{4} << 20))
      if (const auto object = parse_json_object(*text)) context = get_string(*object, "currentContext");
  if (!context.empty() && context != "default") return find_context(config, context);
  std::vector<std::string> places{"/var/run/docker.sock"};
  if (run_directory != "/run") places = {(run_directory / "docker.sock").string()};
  const std::string runtime = set("XDG_RUNTIME_DIR").value_or("");
  if (!runtime.empty()) {
    places.push_back(runtime + "/docker.sock");
    places.push_back(runtime + "/podman/podman.sock");
  }
  places.push_back((run_directory / "podman" / "podman.sock").string());
  for (const std::string& path : places)
    if (is_socket(path)) return EngineAddress{path, "its usual place"};
  return fail(ErrorKind::unavailable, "no container engine listens at " + places.front(),
              "install docker.io and start it, or set DOCKER_HOST=unix:///…");
}

}  // namespace bot_bottle::backend_docker
