#include "core/plugins/describe.hpp"

#include <bot_bottle/plugin.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <map>
#include <set>

#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "core/base/unique_fd.hpp"

namespace bot_bottle::plugins {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t max_description_bytes = std::size_t{64} << 10;
constexpr std::size_t max_text_bytes = 256;

[[noreturn]] void refuse(std::string reason) {
  throw Failure(make_error(ErrorKind::invalid_argument, std::move(reason)));
}

bool is_name(std::string_view text) {
  const auto is_good = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
  return !text.empty() && text.size() <= 63 && text.front() != '-' && std::ranges::all_of(text, is_good);
}

/// "com.example.thing"
bool is_foreign_kind(std::string_view kind) {
  const std::vector<std::string_view> parts = split(kind, '.');
  return parts.size() > 1 && std::ranges::all_of(parts, is_name);
}

void check_text(std::string_view key, std::string_view text) {
  if (text.size() > max_text_bytes)
    refuse("\"" + std::string(key) + "\" is longer than " + std::to_string(max_text_bytes) + " bytes");
  if (std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; })) {
    refuse("\"" + std::string(key) + "\" has a control character");
  }
}

std::string need_text(const toml::table& table, std::string_view key) {
  const auto* value = table[key].as_string();
  if (value == nullptr) refuse("\"" + std::string(key) + "\" is missing or not text");
  check_text(key, value->get());
  if (value->get().empty()) refuse("\"" + std::string(key) + "\" is empty");
  return value->get();
}

/// "1.0" → {1, 0}.
std::pair<std::uint32_t, std::uint32_t> parse_abi(const std::string& text) {
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  const char* end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, major);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '.') refuse("\"abi\" is not of the form \"1.0\"");
  const auto second = std::from_chars(first.ptr + 1, end, minor);
  if (second.ec != std::errc() || second.ptr != end) refuse("\"abi\" is not of the form \"1.0\"");
  return {major, minor};
}

void fill(Description& out, const toml::table& table) {
  static const std::vector<std::string> known = {"name", "version", "abi", "provides", "description", "library"};
  for (const auto& [key, value] : table) {
    if (std::ranges::find(known, std::string(key.str())) != known.end()) continue;
    const auto near = nearest(key.str(), known);
    refuse("unknown key \"" + std::string(key.str()) + "\"" + (near ? ", did you mean \"" + *near + "\"?" : ""));
  }
  std::string own_name = need_text(table, "name");
  if (!is_name(own_name)) refuse("\"name\" may only have a-z, 0-9 and -");
  out.name = std::move(own_name);
  out.version = need_text(table, "version");
  out.abi = need_text(table, "abi");
  out.library = need_text(table, "library");
  if (out.library.find('/') != std::string::npos || out.library.starts_with('.')) {
    refuse("\"library\" must be a file in the plugin's directory, not a path");
  }
  out.description = need_text(table, "description");
  const toml::array* provides = table["provides"].as_array();
  if (provides == nullptr || provides->empty()) refuse("\"provides\" is missing or empty");
  for (const auto& item : *provides) {
    const auto* text = item.as_string();
    if (text == nullptr) refuse("\"provides\" has something that is not text");
    check_text("provides", text->get());
    const auto [kind, name] = split_provided(text->get());
    if (!is_name(name)) refuse("\"provides\": \"" + text->get() + "\" is not of the form \"backend:name\"");
    // A third party's own kind carries its domain; nobody here asks for it.
    if (interface_id_of(kind).empty() && !is_foreign_kind(kind)) {
      refuse("\"provides\": unknown kind \"" + kind + "\" (backend, provider, freezer and deploy-key are known)");
    }
    out.provides.push_back(text->get());
  }
  const auto [major, minor] = parse_abi(out.abi);
  if (major != BB_ABI_MAJOR) {
    refuse("made for plugin ABI " + out.abi + ", this bot-bottle has " + std::to_string(BB_ABI_MAJOR) + "." +
           std::to_string(BB_ABI_MINOR));
  }
}

/// Sub-directories of `root`, sorted; none when it does not exist.
std::vector<fs::path> directories_of(const fs::path& root) {
  std::vector<fs::path> out;
  std::error_code code;
  for (fs::directory_iterator it(root, code), end; !code && it != end; it.increment(code)) {
    std::error_code ignored;
    if (it->is_directory(ignored) && !it->path().filename().string().starts_with('.')) out.push_back(it->path());
  }
  std::ranges::sort(out);
  return out;
}

bool is_library_name(const fs::path& path) {
  return path.extension() == ".so" || path.extension() == ".dylib";
}

/// A library that lies in contrib/ or in a directory without plugin.toml: known only if the operator has named it to
/// `trust`.
Description describe_bare(const fs::path& library, const TrustStore& trust) {
  Description out;
  out.name = library.stem().string();
  out.library = library.filename().string();
  out.directory = library.parent_path();
  out.location = Description::Location::contrib;
  out.state = Description::State::not_described;
  out.reason = "no plugin.toml beside " + library.string();
  out.fix = "bot-bottle plugin trust " + library.string();
  for (const TrustEntry& entry : trust.entries()) {
    if (entry.library != library.string() || entry.provides.empty()) continue;
    out.name = entry.name;
    out.version = entry.version;
    out.provides = entry.provides;
    out.state = Description::State::ready;
    out.reason.clear();
    out.fix.clear();
  }
  return out;
}

void apply_trust(Description& plugin, const TrustStore& trust, bool trust_all) {
  using State = Description::State;
  if (plugin.state != State::ready || plugin.location == Description::Location::installed || trust_all) return;
  plugin.fix = "bot-bottle plugin trust " + plugin.name;
  if (trust.find(plugin.name) == nullptr) {
    plugin.state = State::untrusted;
    plugin.reason = trust.problem().empty() ? "you have not trusted it yet" : trust.problem();
    return;
  }
  try {
    // Reading is not opening: nothing of the library runs.
    if (trust.trusts(plugin.name, open_library(plugin.directory, plugin.library).sha256)) {
      plugin.fix.clear();
      return;
    }
    plugin.state = State::untrusted;
    plugin.reason = "its library has changed since you trusted it";
  } catch (const Failure& failure) {
    plugin.state = State::refused;
    plugin.reason = failure.error().message;
    plugin.fix = failure.error().hint;
  }
}

}  // namespace

std::pair<std::string, std::string> split_provided(const std::string& provided) {
  const std::size_t colon = provided.find(':');
  if (colon == std::string::npos) return {{}, provided};
  return {provided.substr(0, colon), provided.substr(colon + 1)};
}

std::string interface_id_of(const std::string& kind) {
  if (kind == "backend") return BB_INTERFACE_BACKEND;
  if (kind == "provider") return BB_INTERFACE_PROVIDER;
  if (kind == "freezer") return BB_INTERFACE_FREEZER;
  if (kind == "deploy-key") return BB_INTERFACE_DEPLOY_KEY;
  return {};
}

namespace {

/// A stranger's file, read by every command that lists plugins: a pipe would hold all of them up, and what a link
/// points to may be somebody else's to change.
std::string read_description(const fs::path& file) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd && errno == ELOOP) refuse("it is a link; put the file itself there");
  if (!fd) throw Failure(error_from_errno("cannot open it", errno));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) refuse("it is not a regular file");
  return or_throw(read_all(fd.get(), max_description_bytes));
}

}  // namespace

Description describe_directory(const fs::path& directory, Description::Location location) {
  Description out;
  out.directory = directory;
  out.location = location;
  out.name = directory.filename().string();
  const fs::path file = directory / "plugin.toml";
  std::error_code code;
  if (!fs::exists(fs::symlink_status(file, code))) {
    out.state = Description::State::not_described;
    out.reason = "there is no plugin.toml in " + directory.string();
    out.fix = "bot-bottle plugin trust " + directory.string() + "/LIBRARY";
    return out;
  }
  try {
    fill(out, toml::parse(read_description(file), file.string()));
  } catch (const Failure& failure) {
    out.state = Description::State::refused;
    out.reason = file.string() + ": " + failure.error().message;
    return out;
  } catch (const toml::parse_error& error) {
    out.state = Description::State::refused;
    out.reason = file.string() + ":" + std::to_string(error.source().begin.line) + ":" +
                 std::to_string(error.source().begin.column) + ": " + std::string(error.description());
    return out;
  }
  // As open_library has it; told here, before anything reads the file.
  const fs::file_status library = fs::symlink_status(directory / out.library, code);
  if (!fs::is_regular_file(library)) {
    out.state = Description::State::refused;
    const std::string path = (directory / out.library).string();
    out.reason = !fs::exists(library)      ? "there is no " + out.library + " in " + directory.string()
                 : fs::is_symlink(library) ? path + " is a link; put the library itself there"
                                           : path + " is not a regular file";
    return out;
  }
  if (const auto refusal = refuse_unsafe_directory(directory, out.library)) {
    out.state = Description::State::refused;
    out.reason = refusal->reason;
    out.fix = refusal->fix;
  }
  return out;
}

std::vector<Description> discover(const Home& home, const Installation& installation, const TrustStore& trust,
                                  bool trust_all) {
  std::vector<Description> out;
  for (const fs::path& directory : directories_of(home.contrib())) {
    Description plugin = describe_directory(directory, Description::Location::contrib);
    if (plugin.state == Description::State::not_described) {
      std::error_code code;
      bool found = false;
      for (fs::directory_iterator it(directory, code), end; !code && it != end; it.increment(code)) {
        if (!is_library_name(it->path())) continue;
        out.push_back(describe_bare(it->path(), trust));
        found = true;
      }
      if (found) continue;
    }
    out.push_back(std::move(plugin));
  }
  std::error_code code;
  for (fs::directory_iterator it(home.contrib(), code), end; !code && it != end; it.increment(code)) {
    std::error_code ignored;
    if (!it->is_directory(ignored) && is_library_name(it->path())) out.push_back(describe_bare(it->path(), trust));
  }
  for (const fs::path& directory : directories_of(installation.plugins)) {
    out.push_back(describe_directory(directory, Description::Location::installed));
  }
  std::map<std::string, fs::path> seen;
  for (Description& plugin : out) {
    apply_trust(plugin, trust, trust_all);
    if (plugin.state == Description::State::not_described) continue;
    const auto [first, is_new] = seen.emplace(plugin.name, plugin.directory);
    if (is_new) continue;
    plugin.state = Description::State::shadowed;
    plugin.reason = first->second.string() + " has the same name and comes first";
    plugin.fix.clear();
  }
  return out;
}

}  // namespace bot_bottle::plugins
