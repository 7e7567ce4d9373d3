#include "config_copier.hpp"

#include <unistd.h>

#include <utility>

#include "credentials.hpp"
#include "servers.hpp"

namespace bot_bottle::provider_config {
namespace {

namespace json = sdk::json;

constexpr std::size_t max_file_bytes = std::size_t{256} << 10;
constexpr std::size_t max_servers = 100;
constexpr std::size_t max_warnings = 60;
constexpr int deepest = 8;

}  // namespace

ConfigCopier::ConfigCopier(const Places& places, std::string directory, std::string name)
    : places_(places), directory_(std::move(directory)), name_(std::move(name)), tree_(directory_) {}

std::string ConfigCopier::guest(const std::string& relative) const {
  return places_.guest_home + "/" + name_ + "/" + relative;
}

void ConfigCopier::warn(std::string text) {
  if (out.warnings.size() < max_warnings)
    out.warnings.push_back(std::move(text));
  else
    ++left_out_;
}

void ConfigCopier::report(const std::string& where, const std::vector<std::string>& dropped) {
  for (const std::string& path : dropped) warn(where + ": " + path + " looks like a credential and stays outside");
}

std::string ConfigCopier::rewritten(std::string_view text) const {
  std::string moved(text);
  if (!places_.host_workspace.empty() && places_.host_workspace != places_.host_home)
    moved = with_path(moved, places_.host_workspace, places_.guest_workspace);
  return with_path(moved, places_.host_home, places_.guest_home);
}

void ConfigCopier::rewrite(json::value& value) const {  // NOLINT(misc-no-recursion): the parser's depth is bounded
  if (json::string* text = value.if_string()) {
    *text = rewritten(*text);
  } else if (json::array* list = value.if_array()) {
    for (json::value& item : *list) rewrite(item);
  } else if (json::object* object = value.if_object()) {
    rewrite(*object);
  }
}

void ConfigCopier::rewrite(json::object& object) const {  // NOLINT(misc-no-recursion): likewise
  for (auto& member : object) rewrite(member.value());
}

/// The guest's text of a file; nothing, and a warning, when it stays outside.
std::optional<sdk::GuestFile> ConfigCopier::take(const std::string& relative, std::string path) {
  if (is_credential_file(relative.substr(relative.rfind('/') + 1))) {
    warn(shown(relative) + " is where credentials are kept: left out");
    return std::nullopt;
  }
  HostText file = tree_.read(relative, max_file_bytes);
  if (file.fault == HostText::Fault::absent) return std::nullopt;
  if (file.fault != HostText::Fault::none) {
    warn(shown(relative) + " " + std::string(explain(file.fault)) + ": left out");
    return std::nullopt;
  }
  if (relative.ends_with(".json")) {
    boost::system::error_code fault;
    json::value value = json::parse(file.text, fault);
    if (!fault && (value.is_object() || value.is_array())) {
      std::vector<std::string> dropped;
      if (value.is_object())
        scrub_document(value.get_object(), dropped);
      else
        scrub(value.get_array(), {}, dropped);
      report(shown(relative), dropped);
      rewrite(value);
      file.text = json::serialize(value);
    }
  }
  if (holds_credential(file.text)) {
    warn(shown(relative) + " holds what looks like a credential: left out");
    return std::nullopt;
  }
  return sdk::GuestFile{
      .path = std::move(path), .mode = file.is_program ? 0700U : 0600U, .content = rewritten(file.text)};
}

bool ConfigCopier::fits(const std::vector<sdk::GuestFile>& files) const {
  std::size_t bytes = bytes_;
  for (const sdk::GuestFile& file : files) bytes += file.content.size();
  return bytes <= max_copied_bytes && out.files.size() + files.size() <= max_copied_files;
}

void ConfigCopier::add(std::vector<sdk::GuestFile> files) {
  for (sdk::GuestFile& file : files) {
    bytes_ += file.content.size();
    paths_.insert(file.path);
    out.files.push_back(std::move(file));
  }
}

bool ConfigCopier::add_if_it_fits(std::vector<sdk::GuestFile> files, const std::string& name) {
  if (files.empty()) return false;
  if (!fits(files)) {
    warn(name + " is left out: more than 1 MiB or 1,000 files would be copied");
    return false;
  }
  add(std::move(files));
  return true;
}

void ConfigCopier::add_document(std::string path, const json::object& document) {
  add({sdk::GuestFile{.path = std::move(path), .mode = 0600, .content = json::serialize(document)}});
}

bool ConfigCopier::copy_file(const std::string& relative, std::string path) {
  std::vector<sdk::GuestFile> files;
  if (auto file = take(relative, std::move(path))) files.push_back(std::move(*file));
  return add_if_it_fits(std::move(files), shown(relative));
}

std::size_t ConfigCopier::copy_documents(const std::string& relative, int depth) {  // NOLINT(misc-no-recursion)
  std::size_t count = 0;
  if (depth > deepest) return count;
  for (const HostEntry& entry : tree_.list(relative)) {
    const std::string inner = relative + "/" + entry.name;
    if (entry.kind == HostEntry::Kind::directory)
      count += copy_documents(inner, depth + 1);
    else if (entry.kind == HostEntry::Kind::other)
      warn(shown(inner) + " is a link or no file: not followed");
    else if (entry.name.ends_with(".md") && copy_file(inner, guest(inner)))
      ++count;
  }
  return count;
}

void ConfigCopier::gather(const std::string& relative, const std::string& path, std::vector<sdk::GuestFile>& files,
                          int depth) {  // NOLINT(misc-no-recursion)
  if (depth > deepest) return warn(shown(relative) + " is too deep: left out");
  for (const HostEntry& entry : tree_.list(relative)) {
    const std::string inner = relative + "/" + entry.name;
    if (entry.kind == HostEntry::Kind::other)
      warn(shown(inner) + " is a link or no file: not followed");
    else if (entry.kind == HostEntry::Kind::directory) {
      if (entry.name != ".git" && entry.name != "node_modules")
        gather(inner, path + "/" + entry.name, files, depth + 1);
    } else if (files.size() > max_copied_files) {
      return;
    } else if (auto file = take(inner, path + "/" + entry.name)) {
      files.push_back(std::move(*file));
    }
  }
}

std::size_t ConfigCopier::copy_units(const std::string& relative) {
  std::size_t count = 0;
  for (const HostEntry& entry : tree_.list(relative)) {
    const std::string inner = relative + "/" + entry.name;
    if (entry.kind == HostEntry::Kind::other)
      warn(shown(inner) + " is a link: not followed (name it under `skills` of the bottle)");
    if (entry.kind != HostEntry::Kind::directory || entry.name.starts_with('.')) continue;
    std::vector<sdk::GuestFile> files;
    gather(inner, guest(inner), files);
    if (add_if_it_fits(std::move(files), shown(inner))) ++count;
  }
  return count;
}

void ConfigCopier::copy_servers(const json::value& servers, const std::string& where, json::object& into) {
  if (!servers.is_object()) return warn(where + " is no object: left out");
  for (const auto& member : servers.get_object()) {
    const std::string name(member.key());
    const std::string here = where + "." + name;
    if (!member.value().is_object() || name.size() > 100 || is_credential_value(name) || into.size() >= max_servers) {
      warn(where + " has an entry that is no server, or too many: left out");
      continue;
    }
    if (name == "supervise") {  // the bottle's own
      warn(here + " is left out: the bottle has a server of that name");
      continue;
    }
    json::object server = member.value().get_object();
    std::vector<std::string> dropped;
    scrub_server(server, {}, dropped);
    report(here, dropped);
    if (!is_whole(server)) {
      warn(here + " is left out: without that it is no server");
      continue;
    }
    tell_what_is_missing(server, here);
    rewrite(server);
    into[name] = std::move(server);
  }
}

/// A command or an argument that is a path of the host which the bottle does not have.
void ConfigCopier::tell_what_is_missing(const json::object& server, const std::string& here) {
  const auto missing = [this](std::string_view text, bool is_command) {
    if (!text.starts_with('/') || (!is_command && !text.starts_with(places_.host_home + "/"))) return false;
    if (!places_.host_workspace.empty() && text.starts_with(places_.host_workspace + "/")) return false;
    const std::string path(text);
    for (const std::string_view root : {"/usr/", "/bin/", "/sbin/", "/lib/"})
      if (text.starts_with(root)) return ::access(path.c_str(), F_OK) != 0;
    return !paths_.contains(rewritten(text));
  };
  if (const json::value* command = server.if_contains("command"); command != nullptr && command->is_string())
    if (missing(command->get_string(), true))
      warn(here + " runs " + std::string(command->get_string()) + ", which is not in the bottle");
  const json::value* args = server.if_contains("args");
  if (args == nullptr || !args->is_array()) return;
  for (const json::value& arg : args->get_array())
    if (arg.is_string() && missing(arg.get_string(), false))
      warn(here + " names " + std::string(arg.get_string()) + ", which is not in the bottle");
}

Copied ConfigCopier::finish(const std::vector<std::string>& parts) {
  std::string line = "copied from ~/" + name_ + ":";
  for (const std::string& one : parts) line += (&one == parts.data() ? " " : ", ") + one;
  out.summary.push_back(parts.empty() ? "nothing to copy in ~/" + name_ : line);
  if (left_out_ > 0) out.warnings.push_back("and " + std::to_string(left_out_) + " more that were left out");
  return std::move(out);
}

}  // namespace bot_bottle::provider_config
