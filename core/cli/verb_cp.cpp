// `cp SLUG:PATH DEST` and `cp SOURCE SLUG:PATH`: files out of a bottle and into it, by its backend's rules for links.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "core/base/error.hpp"
#include "core/cli/verbs.hpp"
#include "core/launch/session_file.hpp"
#include "core/plugins/registry.hpp"
#include "core/state/directory.hpp"
#include "core/state/slug.hpp"

namespace bot_bottle::cli {
namespace {

namespace fs = std::filesystem;

struct InBottle {
  std::string slug;
  std::string path;
};

/// "SLUG:PATH"; a host path with a colon is written "./a:b".
std::optional<InBottle> parse_in_bottle(const std::string& word) {
  const std::size_t colon = word.find(':');
  if (colon == std::string::npos || !state::is_slug(word.substr(0, colon))) return std::nullopt;
  return InBottle{word.substr(0, colon), word.substr(colon + 1)};
}

fs::path last_name(fs::path path) {
  path = path.lexically_normal();
  return path.has_filename() ? path.filename() : path.parent_path().filename();
}

int copy(Context& context, const std::string& source, const std::string& dest) {
  const auto from = parse_in_bottle(source);
  const auto to = parse_in_bottle(dest);
  if (from.has_value() == to.has_value())
    throw Failure(
        make_error(ErrorKind::usage, "one of the two must be SLUG:PATH", "bot-bottle cp fixer-x7k2p:out.txt ."));
  const InBottle& inside = from ? *from : *to;
  const state::Directory directory = state::Directory::open(context.home(), inside.slug);
  const auto bottle = directory.find_bottle();
  const state::Metadata metadata = directory.metadata();
  if (!bottle || metadata.backend.empty())
    throw Failure(make_error(ErrorKind::failed_precondition,
                             "the bottle '" + inside.slug + "' was never launched to its end", "bot-bottle cleanup"));
  const launch::SessionFile session = launch::read_session_file(directory);
  fs::path guest = (fs::path(session.workspace) / inside.path).lexically_normal();
  fs::path host = fs::absolute(from ? dest : source).lexically_normal();
  plugins::Backend& backend = context.registry().backend(metadata.backend);
  std::error_code code;
  json::object request{{"schema", "bot-bottle.copy/1"}, {"recursive", true}};
  if (from) {
    // Into a directory that is there, as cp does; the name is ours to choose then, "." is the workspace's own.
    if (fs::is_directory(host, code) && last_name(guest) != "." && !inside.path.ends_with("/."))
      host /= last_name(guest);
    request["source"] = guest.string();
    request["dest"] = host.string();
    try {
      backend.copy_out(*bottle, request);
    } catch (const Failure& failure) {
      if (failure.error().kind != ErrorKind::not_found) throw;
      Error error =
          make_error(ErrorKind::not_found, "cannot copy " + guest.string() + " out of the bottle '" + inside.slug + "'",
                     "bot-bottle diff " + inside.slug + " --name-only; it lists what the agent made or changed");
      error.details = failure.error().message;
      throw Failure(std::move(error));
    }
  } else {
    if (!fs::exists(fs::symlink_status(host, code)))
      throw Failure(make_error(ErrorKind::not_found, "there is no " + host.string(),
                               "SOURCE is a path of yours, or SLUG:PATH: bot-bottle cp --help"));
    if (inside.path.empty() || inside.path.ends_with('/') || guest == session.workspace) guest /= last_name(host);
    request["source"] = host.string();
    request["dest"] = guest.string();
    backend.copy_in(*bottle, request);
  }
  return 0;
}

}  // namespace

void add_cp(CLI::App& app, Context& context) {
  CLI::App* verb = add_verb(app, "cp", "Copy files out of a bottle, or into it", "Everyday",
                            "bot-bottle cp fixer-x7k2p:report.pdf .\nbot-bottle cp data.csv fixer-x7k2p:/workspace/");
  auto source = std::make_shared<std::string>();
  auto dest = std::make_shared<std::string>();
  verb->add_option("SOURCE", *source, "SLUG:PATH, relative to the workspace; or a path of yours")->required();
  verb->add_option("DEST", *dest, "A path of yours; or SLUG:PATH")->required();
  verb->callback([&context, source, dest] {
    context.action = [&context, source, dest] { return copy(context, *source, *dest); };
  });
}

}  // namespace bot_bottle::cli
