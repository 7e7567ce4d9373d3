#include "plugins/backend-docker/container_start.hpp"

#include <poll.h>

#include "bot_bottle/plugin.hpp"
#include "core/base/file.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::backend_docker {
namespace {

/// Its output so far: why it did not start.
std::string log_of(Engine& engine, const std::string& container) {
  std::string text;
  try {
    engine.receive("/containers/" + container + "/logs?stderr=1&stdout=1&tail=5", [&](std::string_view bytes) {
      if (text.size() < 4096) text += bytes;
    });
  } catch (const std::exception&) {
    return {};
  }
  std::string out;
  for (std::size_t at = 0; at + 8 <= text.size();) {
    const auto byte = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(text[at + i])); };
    const std::size_t size = (byte(5) << 16) | (byte(6) << 8) | byte(7);
    out += text.substr(at + 8, size);
    at += 8 + size;
  }
  return std::string(trim(out));
}

}  // namespace

std::optional<Owned> find_own(Engine& engine, const std::string& state_dir, const std::string& component) {
  for (Owned& owned : list_owned(engine, Which::containers, state_dir))
    if (owned.component == component) return std::move(owned);
  return std::nullopt;
}

std::string create_container(Engine& engine, const std::string& name, const json::object& document) {
  const Answer answer = engine.ask("POST", "/containers/create?name=" + url_encoded(name), document);
  if (answer.status == 409)
    throw sdk::Error(sdk::Status::already_exists,
                     "there is a container " + name + " already, or one of the slug is starting",
                     "bot-bottle list, bot-bottle cleanup; what has no label " + std::string(label_managed) +
                         " is not bot-bottle's: docker rm it yourself");
  if (answer.status >= 400) throw_engine_error("cannot make the container " + name, answer);
  const auto object = parse_json_object(answer.body);
  std::string id = object ? get_string(*object, "Id") : "";
  if (id.empty()) throw sdk::Error(sdk::Status::internal, "the container engine gave " + name + " no id");
  return id;
}

void start_container(Engine& engine, const std::string& container, const std::string& what) {
  const Answer answer = engine.ask("POST", "/containers/" + container + "/start");
  if (answer.status < 400) return;
  // Debian 12's runsc on a newer kernel (docs/internals.md, gVisor).
  if (answer.body.find("root network namespace") != std::string::npos)
    throw sdk::Error(
        sdk::Status::unsupported,
        "cannot start " + what +
            ": this runsc takes every network namespace of this kernel for the machine's own and refuses to "
            "use its own network stack",
        "take a newer runsc, hide /proc/sys/net from it (the guide, Docker, Runtime), or register it for the "
        "socket wire");
  const std::string log = log_of(engine, container);
  throw_engine_error("cannot start " + what + (log.empty() ? "" : " (" + log + ")"), answer);
}

pid_t process_of(Engine& engine, const std::string& container, const std::string& what) {
  // Of an engine in a machine of its own the number names nothing here, or something else. On this one a process that
  // is not there has just ended, which the engine says a moment later.
  constexpr int looks = 5;
  constexpr int between_looks_ms = 20;
  for (int look = 0; look < looks; ++look) {
    if (look > 0) ::poll(nullptr, 0, between_looks_ms);
    const auto found = engine.find("/containers/" + container + "/json");
    const json::object* state = found && found->is_object() ? find_object(found->as_object(), "State") : nullptr;
    if (state == nullptr || !get_bool(*state, "Running", false))
      throw sdk::Error(sdk::Status::unavailable, what + " ended while it started");
    const auto pid = static_cast<pid_t>(get_int(*state, "Pid", 0));
    const auto name = read_file("/proc/" + std::to_string(pid) + "/comm", 64);
    if (name) return *name == "bottle-init\n" ? pid : 0;
  }
  return 0;
}

}  // namespace bot_bottle::backend_docker
