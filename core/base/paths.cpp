#include "core/base/paths.hpp"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "core/base/text.hpp"

namespace bot_bottle {

Result<Installation> Installation::find() {
  std::error_code code;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", code);
  if (code) return fail(ErrorKind::internal, "cannot find the running program: " + code.message());
  std::filesystem::path prefix = self.parent_path();
  if (prefix.filename() == "bot-bottle") prefix = prefix.parent_path();
  prefix = prefix.parent_path();
  return Installation{.bin = prefix / "bin",
                      .libexec = prefix / "libexec" / "bot-bottle",
                      .plugins = prefix / "lib" / "bot-bottle" / "plugins",
                      .share = prefix / "share" / "bot-bottle"};
}

Result<Home> Home::find(const std::optional<std::string>& option) {
  std::filesystem::path root;
  if (option) {
    if (option->empty()) return fail(ErrorKind::usage, "--home is empty", "name a directory: --home DIR");
    root = *option;
  } else if (const auto variable = environment("BOT_BOTTLE_HOME"); variable && !variable->empty()) {
    root = *variable;
  } else {
    BB_TRY(const std::filesystem::path home, operator_home());
    root = home / ".bot-bottle";
  }
  std::error_code code;
  root = std::filesystem::absolute(root, code).lexically_normal();
  if (code) return fail(ErrorKind::invalid_argument, "cannot use " + root.string() + ": " + code.message());
  if (!root.has_filename()) root = root.parent_path();
  return Home{root};
}

Result<std::filesystem::path> operator_home() {
  if (const auto home = environment("HOME"); home && home->starts_with('/')) return std::filesystem::path(*home);
  const passwd* entry = ::getpwuid(::getuid());  // NOLINT(concurrency-mt-unsafe): called before any thread
  if (entry == nullptr || entry->pw_dir == nullptr || *entry->pw_dir != '/')
    return fail(ErrorKind::failed_precondition, "you have no home directory", "set HOME, or pass --home DIR");
  return std::filesystem::path(entry->pw_dir);
}

Result<std::filesystem::path> expand_tilde(std::string_view path) {
  if (path != "~" && !path.starts_with("~/")) return std::filesystem::path(path);
  BB_TRY(const std::filesystem::path home, operator_home());
  return path == "~" ? home : home / path.substr(2);
}

std::optional<std::string> environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe): nothing here calls setenv
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}

std::optional<std::filesystem::path> find_program(std::string_view name, std::string_view search_path) {
  const auto is_program = [](const std::filesystem::path& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && ::access(path.c_str(), X_OK) == 0;
  };
  if (name.empty()) return std::nullopt;
  if (name.find('/') != std::string_view::npos) {
    std::filesystem::path path(name);
    if (is_program(path)) return path;
    return std::nullopt;
  }
  for (const std::string_view directory : split(search_path, ':')) {
    // An empty or relative entry means the current directory, which a repository may fill: skipped.
    if (!directory.starts_with('/')) continue;
    std::filesystem::path path = std::filesystem::path(directory) / name;
    if (is_program(path)) return path;
  }
  return std::nullopt;
}

}  // namespace bot_bottle
