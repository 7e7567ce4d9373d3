// The agent's image.
#include "plugins/backend-docker/images.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <utility>

#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "plugins/backend-docker/names.hpp"
#include "plugins/backend-driven/tar_text.hpp"
#include "sidecar/guest/tree.hpp"

namespace bot_bottle::backend_docker {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t max_dockerfile = std::size_t{1} << 20;
constexpr const char* layer_name = ".bot-bottle-layer.tar";
constexpr const char* recipe_name = ".bot-bottle.Dockerfile";

/// The engine's stream of JSON lines; its error is thrown.
class BuildLog {
 public:
  explicit BuildLog(const sdk::Call& call) : call_(call) {}
  void take(std::string_view bytes) {
    pending_ += bytes;
    for (std::size_t end = 0; (end = pending_.find('\n')) != std::string::npos; pending_.erase(0, end + 1))
      line(pending_.substr(0, end));
    if (pending_.size() > (std::size_t{4} << 20)) pending_.clear();
  }
  void check() const {
    if (error_.empty()) return;
    std::string tail;
    for (const std::string& said : last_) tail += "\n" + said;
    throw sdk::Error(sdk::Status::failed_precondition, "the image cannot be built: " + error_ + tail,
                     "mend the Dockerfile, or look whether the engine can reach what it downloads");
  }

 private:
  void line(const std::string& text) {
    const auto object = parse_json_object(text);
    if (!object) return;
    if (const std::string error = get_string(*object, "error"); !error.empty()) error_ = error;
    const std::string stream = get_string(*object, "stream", get_string(*object, "status"));
    const std::string_view said = trim(stream);
    if (said.empty()) return;
    if (said.starts_with("Step ")) {
      const std::size_t slash = said.find('/');
      const int at = std::atoi(std::string(said.substr(5)).c_str());
      const int of = slash == std::string_view::npos ? 0 : std::atoi(std::string(said.substr(slash + 1)).c_str());
      if (of > 0) permille_ = static_cast<std::uint32_t>(std::clamp((at - 1) * 1000 / of, 0, 1000));
    }
    call_.progress(permille_, said.substr(0, 200));
    last_.emplace_back(said.substr(0, 400));
    if (last_.size() > 15) last_.erase(last_.begin());
  }

  const sdk::Call& call_;
  std::string pending_;
  std::string error_;
  std::vector<std::string> last_;
  std::uint32_t permille_ = 0;
};

}  // namespace

mode_t init_mode_of(const json::object& plan_data) {
  return get_bool(plan_data, "own_kernel", false) ? driven::readable_init : driven::unreadable_init;
}

driven::AgentLayer layer_of(const json::object& plan_data, const std::string& libexec) {
  return {libexec + "/bottle-init",
          get_string(plan_data, "home"),
          get_string(plan_data, "workspace_path"),
          static_cast<std::uint32_t>(get_int(plan_data, "uid", 1000)),
          static_cast<std::uint32_t>(get_int(plan_data, "gid", 1000)),
          init_mode_of(plan_data)};
}

Result<std::string> agent_image_tag(const driven::Recipe& recipe, const driven::AgentLayer& layer,
                                    const std::string& version) {
  BB_TRY(const std::string of_layer, driven::layer_digest(layer));
  BB_TRY(const std::string of_recipe, driven::recipe_digest(recipe));
  return "bot-bottle/agent:" + sha256_hex(version + "\n" + of_layer + "\n" + of_recipe).substr(0, 16);
}

bool has_own_image(Engine& engine, const std::string& tag) {
  const auto found = engine.find("/images/" + tag + "/json");
  if (!found || !found->is_object()) return false;
  const json::object* config = find_object(found->as_object(), "Config");
  const json::object* labels = config == nullptr ? nullptr : find_object(*config, "Labels");
  if (labels != nullptr && get_string(*labels, label_managed) == "true") return true;
  throw sdk::Error(sdk::Status::already_exists,
                   "the image " + tag + " is not bot-bottle's: it has no label " + label_managed,
                   "remove it: docker image rm " + tag);
}

void ensure_agent_image(Engine& engine, const sdk::Call& call, const std::string& tag, const driven::Recipe& recipe,
                        const driven::AgentLayer& layer, const json::object& labels) {
  if (has_own_image(engine, tag)) return;
  call.progress(0, "building " + tag);
  std::string text = recipe.text;
  text += fmt::format("\n\nUSER 0:0\nADD {} /\nUSER {}:{}\n", layer_name, layer.uid, layer.gid);
  driven::TarText first;
  first.file(recipe_name, 0644, text);
  first.file(layer_name, 0644, driven::make_layer_tar(layer));
  std::string head = first.take();
  if (!recipe.context.empty()) {
    const UniqueFd root(::open(recipe.context.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    guest::PackOptions options;
    options.owner = {0, 0};
    std::string problem;
    if (!root || !guest::pack_tree(
                     root.get(), ".", "", options,
                     [&](std::string_view bytes) {
                       head += bytes;
                       return head.size() <= driven::max_build_context + max_dockerfile;
                     },
                     problem))
      throw sdk::Error(sdk::Status::invalid_argument, "the build context cannot be read: " + problem);
  }
  head += guest::make_tar_end();
  bool sent = false;
  BuildLog log(call);
  engine.send(
      "POST",
      "/build?rm=1&forcerm=1&t=" + url_encoded(tag) + "&dockerfile=" + url_encoded(recipe_name) +
          "&labels=" + url_encoded(to_text(labels)),
      [&]() -> std::optional<std::string> {
        if (std::exchange(sent, true)) return std::nullopt;
        return std::move(head);
      },
      [&](std::string_view bytes) { log.take(bytes); }, build_patience);
  log.check();
  if (!has_own_image(engine, tag))
    throw sdk::Error(sdk::Status::internal, "the container engine built " + tag + " and does not have it");
}

}  // namespace bot_bottle::backend_docker
