// The part of a launch that only asks (`--dry-run` ends with it).
#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "core/launch/approved_recipes.hpp"
#include "core/launch/launch.hpp"
#include "core/launch/sidecar_start.hpp"
#include "core/launch/test_hooks.hpp"
#include "core/supervise/recipe.hpp"

namespace bot_bottle::launch {
namespace {

std::filesystem::path canonical_or_same(const std::filesystem::path& path) {
  std::error_code code;
  std::filesystem::path found = std::filesystem::weakly_canonical(path, code);
  return code ? path : found;
}

/// A provider's Dockerfile stands next to its library.
void resolve_dockerfile(json::object& description, const std::filesystem::path& directory) {
  const std::string file = get_string(description, "dockerfile");
  if (!file.empty() && !file.starts_with('/')) description["dockerfile"] = (directory / file).string();
}

/// What an agent asked for and the operator approved is the bottle's image from its next start on. The file comes from
/// the sidecar's directory, so it is read as strictly as when it was asked for, and is one that was approved on this
/// side.
void use_recipe(plan::Plan& plan) {
  const json::value recipe = supervise::recorded_recipe(plan.state_dir / "supervise");
  if (!recipe.is_object()) return;
  if (!is_approved_recipe(plan.state_dir, recipe.as_object()))
    throw Failure(make_error(
        ErrorKind::refused,
        "the bottle's image recipe is none that was approved: a sidecar that was taken over writes such a file",
        "read " + (plan.state_dir / "supervise" / "recipe.json").string() +
            "; without it the bottle goes on with its own image: remove it"));
  const std::string base = plan.manifest.provider.dockerfile.empty() ? get_string(plan.description, "dockerfile")
                                                                     : plan.manifest.provider.dockerfile;
  std::string text;
  if (recipe.as_object().contains("packages")) {
    if (base.empty())
      throw Failure(make_error(ErrorKind::unsupported,
                               "the bottle's own Dockerfile is not known, so that packages "
                               "could be installed on top of it"));
    text = or_throw(read_file(base, std::size_t{1} << 20));
  }
  const std::filesystem::path directory = plan.state_dir / "recipe";
  or_throw(make_directories(directory));
  or_throw(write_file_atomic(directory / "Dockerfile", supervise::dockerfile_of(recipe.as_object(), text), 0600));
  plan.manifest.provider.dockerfile = (directory / "Dockerfile").string();
  plan.warnings.push_back("the image is built from the recipe that was approved: " + plan.manifest.provider.dockerfile);
}

}  // namespace

plan::Plan make_plan(const Parts& parts, manifest::Manifest manifest, plan::Choices choices, std::string slug) {
  plan::Plan plan;
  plan.manifest = std::move(manifest);
  plan.choices = std::move(choices);
  plan.host = plan::HostFacts::read(parts.home);
  // Links are resolved before anything is compared: a link to the home directory is the home directory.
  plan.host.operator_home = canonical_or_same(plan.host.operator_home);
  plan.host.product_home = canonical_or_same(plan.host.product_home);
  plan.choices.cwd = canonical_or_same(plan.choices.cwd);
  plan.slug = std::move(slug);
  plan.state_dir = parts.home.state_of(plan.slug);
  plan.provider = parts.provider->name();
  plan.backend = parts.backend->name();

  plan.description = parts.provider->describe();
  resolve_dockerfile(plan.description, parts.provider_directory);
  use_recipe(plan);
  plan::plan_guest(plan);
  plan.provider_spec = plan::make_provider_spec(plan);
  plan.provider_plan = parts.provider->plan(plan.provider_spec);
  for (std::string& warning : get_strings(plan.provider_plan, "warnings")) plan.warnings.push_back(std::move(warning));
  plan::plan_egress(plan);
  plan.backend_spec = plan::make_backend_spec(plan);
  const OwnRules own{plan.egress.dlp_rules, OwnRules::For::streams};
  if (!own.file.empty())
    for (const std::string& note : check_own_rules(own.file, parts.installation, *parts.signals))
      plan.warnings.push_back("egress.dlp.rules: " + note);
  plan.backend_spec["rules_database"] = rules_database_path(parts.home, parts.installation, own).string();
  if (const auto guards = disabled_guards(); !guards.empty()) plan.backend_spec["disabled_guards"] = to_array(guards);
  plan.backend_plan = parts.backend->plan(plan.backend_spec);
  if (plan.manifest.resources.timeout_ms && plan.choices.session == plan::Session::detached)
    throw Failure(make_error(ErrorKind::unsupported, "resources.timeout cannot be held by a detached bottle",
                             "start it without --detach, or take the timeout out of the bottle"));
  return plan;
}

}  // namespace bot_bottle::launch
