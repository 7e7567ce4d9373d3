#include "plugins/backend-docker/engine_facts.hpp"

#include <algorithm>
#include <filesystem>

namespace bot_bottle::backend_docker {
namespace {

bool has_option(const std::vector<std::string>& arguments, std::string_view option) {
  return std::ranges::any_of(arguments, [&](const std::string& argument) {
    return argument == option || argument == "-" + std::string(option) ||
           argument.starts_with(std::string(option) + "=") || ("-" + argument) == option;
  });
}

std::string value_of(const std::vector<std::string>& arguments, const std::string& option) {
  for (const std::string& argument : arguments)
    for (const std::string& prefix : {"--" + option + "=", "-" + option + "="})
      if (argument.starts_with(prefix)) return argument.substr(prefix.size());
  return {};
}

}  // namespace

const EngineFacts::Runtime* EngineFacts::find_runtime(const std::string& name) const {
  const auto found = std::ranges::find(runtimes, name, &Runtime::name);
  return found == runtimes.end() ? nullptr : &*found;
}

EngineFacts read_facts(const json::object& info) {
  EngineFacts facts;
  facts.version = get_string(info, "ServerVersion");
  facts.default_runtime = get_string(info, "DefaultRuntime", "runc");
  const std::string system = get_string(info, "OperatingSystem");
  if (get_string(info, "OSType", "linux") != "linux") {
    facts.problem = "the engine runs " + get_string(info, "OSType") + " containers";
    facts.fix = "switch it to Linux containers";
  } else if (system.find("Docker Desktop") != std::string::npos) {
    facts.problem =
        "Docker Desktop keeps its containers in a virtual machine, where the sidecar's sockets are not files of "
        "this one";
    facts.fix = "use the engine of a Linux machine (docker.io), or the local backend";
  }
  for (const std::string& option : get_strings(info, "SecurityOptions")) {
    if (option.find("name=rootless") != std::string::npos && facts.problem.empty()) {
      facts.problem = "a rootless engine gives the sidecar another uid than its files have";
      facts.fix = "use the local backend: it needs no root either";
    }
    if (option.find("name=userns") != std::string::npos) facts.user_namespaces = true;
  }
  if (!std::ranges::any_of(
          get_strings(info, "SecurityOptions"),
          [](const std::string& option) { return option.find("name=seccomp") != std::string::npos; }) &&
      facts.problem.empty()) {
    facts.problem = "the engine has no seccomp";
    facts.fix = "use an engine and a kernel with seccomp";
  }
  if (get_bool(info, "MemoryLimit", false)) facts.limits.emplace_back("limits.memory");
  if (get_bool(info, "CpuCfsQuota", false) || get_bool(info, "CPUCfsQuota", false))
    facts.limits.emplace_back("limits.cpus");
  if (get_bool(info, "PidsLimit", false)) facts.limits.emplace_back("limits.pids");
  if (const json::object* runtimes = find_object(info, "Runtimes")) {
    for (const auto& member : *runtimes) {
      EngineFacts::Runtime runtime;
      runtime.name = member.key();
      const json::object* details = member.value().if_object();
      const std::string path = details == nullptr ? "" : get_string(*details, "path");
      runtime.gvisor = std::filesystem::path(path).filename() == "runsc" || runtime.name == "runsc";
      runtime.shares_sockets = !runtime.gvisor;
      if (runtime.gvisor && details != nullptr) {
        const std::vector<std::string> arguments = get_strings(*details, "runtimeArgs");
        // gVisor: --fsgofer-host-uds until 2023, --host-uds=open|all since.
        const std::string sockets = value_of(arguments, "host-uds");
        runtime.shares_sockets = has_option(arguments, "--fsgofer-host-uds") || sockets == "open" || sockets == "all";
        runtime.has_network = value_of(arguments, "network") != "none";
        runtime.host_sockets = value_of(arguments, "network") == "host";
      }
      facts.runtimes.push_back(std::move(runtime));
    }
  }
  return facts;
}

}  // namespace bot_bottle::backend_docker
