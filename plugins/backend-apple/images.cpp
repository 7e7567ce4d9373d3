#include "plugins/backend-apple/images.hpp"

#include <sys/stat.h>

#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "core/base/random.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::backend_apple {
namespace {

namespace fs = std::filesystem;

/// A directory of our own for one build, with its real path: through a link the builder has been seen to transfer
/// nothing (apple/container issue 588).
class BuildDirectory {
 public:
  explicit BuildDirectory(const std::string& state_dir) : path_(state_dir + "/backend/build-" + random_base36(8)) {
    or_throw(make_directories(path_, 0700));
    path_ = fs::canonical(path_).string();
  }
  BuildDirectory(const BuildDirectory&) = delete;
  BuildDirectory& operator=(const BuildDirectory&) = delete;
  ~BuildDirectory() { static_cast<void>(remove_tree(path_)); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::vector<std::string> labels_of(const std::string& component, const std::string& version) {
  return {std::string(label_managed) + "=true", std::string(label_component) + "=" + component,
          std::string(label_version) + "=" + encode_label(version)};
}

}  // namespace

Result<driven::Recipe> read_apple_recipe(const std::string& dockerfile, const std::vector<fs::path>& kept) {
  BB_TRY(driven::Recipe recipe, driven::read_recipe(dockerfile, kept, driven::Builder::buildkit));
  if (recipe.text.size() >= max_dockerfile)
    return fail(ErrorKind::invalid_argument,
                dockerfile + " has " + std::to_string(recipe.text.size()) +
                    " octets; the builder of container takes less than " + std::to_string(max_dockerfile),
                "move what is long into a script that it copies");
  return recipe;
}

Result<std::string> base_image_reference(const driven::Recipe& recipe) {
  BB_TRY(const std::string digest, driven::recipe_digest(recipe));
  return std::string(image_host) + "/base:" + digest.substr(0, 16);
}

Result<std::string> agent_image_reference(const std::string& base, const driven::AgentLayer& layer,
                                          const std::string& version) {
  BB_TRY(const std::string digest, driven::layer_digest(layer));
  return std::string(image_host) + "/agent:" + sha256_hex(base + "\n" + digest + "\n" + version).substr(0, 16);
}

driven::AgentLayer layer_of(const json::object& plan_data, const std::string& libexec) {
  return {libexec + "/bottle-init", get_string(plan_data, "home"), get_string(plan_data, "workspace_path"),
          static_cast<std::uint32_t>(get_int(plan_data, "uid", 1000)),
          static_cast<std::uint32_t>(get_int(plan_data, "gid", 1000))};
}

void build_on_top(const ContainerTool& tool, const sdk::Call& call, const std::string& reference,
                  const std::string& parent, const std::string& component, const std::string& version,
                  const std::string& state_dir, const std::function<void(const std::string& path)>& write) {
  const BuildDirectory directory(state_dir);
  write(directory.path() + "/top.tar");
  const std::string dockerfile = directory.path() + "/Dockerfile";
  or_throw(write_file_fast(dockerfile, "FROM " + parent + "\nUSER 0:0\nADD top.tar /\n", 0600));
  tool.build(reference, dockerfile, directory.path(), labels_of(component, version),
             [&](std::string_view line) { call.progress(line); });
}

void ensure_images(const ContainerTool& tool, const sdk::Call& call, const sdk::Plan& plan,
                   const std::vector<fs::path>& kept, const std::string& libexec) {
  if (!get_string(plan.data, "snapshot").empty()) return;  // it has everything in it
  const std::string image = get_string(plan.data, "image");
  if (tool.has_own_image(image)) return;
  const std::string base = get_string(plan.data, "base_image");
  const std::string version = get_string(plan.data, "version");
  if (!tool.has_own_image(base)) {
    const driven::Recipe recipe = or_throw(read_apple_recipe(get_string(plan.data, "dockerfile"), kept));
    const BuildDirectory nothing(plan.state_dir);
    const std::string context = recipe.context.empty() ? nothing.path() : recipe.context.string();
    // The text that was looked at is the one that is built.
    const BuildDirectory own(plan.state_dir);
    const std::string dockerfile = own.path() + "/Dockerfile";
    or_throw(write_file_fast(dockerfile, recipe.text, 0600));
    tool.build(base, dockerfile, context, labels_of("base", version),
               [&](std::string_view line) { call.progress(line); });
  }
  build_on_top(tool, call, image, base, "agent", version, plan.state_dir, [&](const std::string& path) {
    or_throw(write_file_fast(path, driven::make_layer_tar(layer_of(plan.data, libexec)), 0600));
  });
}

}  // namespace bot_bottle::backend_apple
