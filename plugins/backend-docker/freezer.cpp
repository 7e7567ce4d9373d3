// freeze, exists, remove, export: the engine pauses the container, keeps its layer as an image, and goes on. What is in
// memory only (/tmp, the wire) is not in it, and no secret ever was in the container.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "plugins/backend-docker/docker_backend.hpp"
#include "plugins/backend-docker/docker_freezer.hpp"
#include "plugins/backend-docker/images.hpp"

namespace bot_bottle::backend_docker {
namespace {

constexpr const char* repository = "bot-bottle/snapshot";

}  // namespace

std::string snapshot_tag(const std::string& ref) {
  const std::size_t dot = ref.find('.');
  const auto plain = [](std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    });
  };
  // 128 characters are an image's tag at most; '-' cannot begin one.
  if (dot == std::string::npos || ref.size() > 100 || ref.front() == '-' || !plain(ref.substr(0, dot)) ||
      !plain(ref.substr(dot + 1)))
    throw sdk::Error(sdk::Status::invalid_argument, "'" + ref + "' is not a snapshot's name");
  return std::string(repository) + ":" + ref;
}

Engine DockerFreezer::engine(const sdk::Call& call) {
  return Engine(engine_socket(host().path(call, "operator-home")), call.cancel_fd());
}

sdk::Snapshot DockerFreezer::freeze(const sdk::Call& call, const sdk::Bottle& bottle) {
  Engine to = engine(call);
  const std::string ref = get_string(bottle.extra, "snapshot");
  const std::string tag = snapshot_tag(ref);
  if (get_string(bottle.data, "workspace_mode") == "mount")
    throw sdk::Error(sdk::Status::unsupported, "a bottle with a mounted workspace cannot be frozen: the tree is yours",
                     "use workspace = \"copy\"");
  if (has_own_image(to, tag)) throw sdk::Error(sdk::Status::already_exists, "there is a snapshot " + ref);
  const std::string container = running_agent(to, bottle.state_dir);
  std::string changes;
  for (const auto& [name, value] : {std::pair<const char*, std::string>{label_component, "snapshot"},
                                    std::pair<const char*, std::string>{label_managed, "true"}})
    changes += "&changes=" + url_encoded("LABEL " + std::string(name) + "=" + to_text(json::value(value)));
  call.progress("freezing the container");
  to.call("POST",
          "/commit?container=" + container + "&repo=" + url_encoded(repository) + "&tag=" + url_encoded(ref) +
              "&pause=1" + changes,
          json::object{}, build_patience);
  const auto image = to.find("/images/" + tag + "/json");
  if (!image || !image->is_object())
    throw sdk::Error(sdk::Status::internal, "the container engine made a snapshot and does not have it");
  sdk::Snapshot snapshot;
  snapshot.kind = snapshot_kind;
  snapshot.ref = ref;
  snapshot.size = static_cast<std::uint64_t>(std::max<std::int64_t>(0, get_int(image->as_object(), "Size", 0)));
  return snapshot;
}

bool DockerFreezer::exists(const sdk::Call& call, const std::string& ref) {
  Engine to = engine(call);
  return has_own_image(to, snapshot_tag(ref));
}

void DockerFreezer::remove(const sdk::Call& call, const std::string& ref) {
  Engine to = engine(call);
  const std::string tag = snapshot_tag(ref);
  // By name and only the name: a container that was made from it keeps its layers.
  if (has_own_image(to, tag)) to.remove("/images/" + tag + "?force=1");
}

void DockerFreezer::export_to(const sdk::Call& call, const std::string& ref, const std::string& path) {
  Engine to = engine(call);
  const std::string tag = snapshot_tag(ref);
  if (!has_own_image(to, tag)) throw sdk::Error(sdk::Status::not_found, "no snapshot " + ref);
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) throw Failure(error_from_errno("cannot make " + path, errno));
  try {
    to.receive(
        "/images/" + tag + "/get", [&](std::string_view bytes) { or_throw(write_all(file.get(), bytes)); },
        build_patience);
  } catch (...) {
    ::unlink(path.c_str());
    throw;
  }
}

}  // namespace bot_bottle::backend_docker
