#include "plugins/backend-local/agent_program.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "core/base/paths.hpp"
#include "core/base/text.hpp"
#include "core/base/unique_fd.hpp"

namespace bot_bottle::backend_local {
namespace {

namespace fs = std::filesystem;
constexpr int max_links = 16;
constexpr int max_interpreters = 4;

bool is_below(const fs::path& path, const fs::path& ancestor) {
  const auto [end, rest] = std::mismatch(ancestor.begin(), ancestor.end(), path.begin(), path.end());
  return end == ancestor.end() && !ancestor.empty();
}

/// Below /usr, or one of the links into it: part of every bottle.
bool is_provided(const fs::path& path) {
  static const std::array<fs::path, 5> roots{"/usr", "/bin", "/sbin", "/lib", "/lib64"};
  return std::ranges::any_of(roots, [&](const fs::path& root) { return is_below(path, root); });
}

void add_unique(std::vector<std::string>& list, std::string entry) {
  if (std::ranges::find(list, entry) == list.end()) list.push_back(std::move(entry));
}

/// The directory below the last `node_modules` that `file` is in: "…/node_modules/name" or
/// "…/node_modules/@scope/name".
fs::path npm_package_root(const fs::path& file) {
  fs::path root;
  fs::path so_far;
  for (auto part = file.begin(); part != file.end(); ++part) {
    so_far /= *part;
    if (*part != "node_modules") continue;
    auto next = std::next(part);
    if (next == file.end()) break;
    fs::path candidate = so_far / *next;
    if (next->string().starts_with('@') && std::next(next) != file.end()) candidate /= *std::next(next);
    if (candidate != file) root = candidate;
  }
  return root;
}

std::string first_line(const fs::path& file) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  std::array<char, 256> bytes{};
  const ssize_t got = !fd ? 0 : ::read(fd.get(), bytes.data(), bytes.size());
  std::string text(bytes.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  return text.substr(0, text.find('\n'));
}

/// The programs a script's first line names: the interpreter, and for env(1) what it will look for.
std::vector<std::string> interpreters_of(const fs::path& file) {
  const std::string line = first_line(file);
  if (!line.starts_with("#!")) return {};
  std::vector<std::string> words;
  for (const std::string_view word : split(std::string_view(line).substr(2), ' '))
    if (!trim(word).empty()) words.emplace_back(trim(word));
  if (words.empty()) return {};
  std::vector<std::string> found{words[0]};
  if (fs::path(words[0]).filename() == "env")
    for (std::size_t i = 1; i < words.size(); ++i)
      if (!words[i].starts_with('-') && words[i].find('=') == std::string::npos) {
        found.push_back(words[i]);
        break;
      }
  return found;
}

class Finder {
 public:
  Finder(std::string_view search_path, const fs::path& home) : search_path_(search_path), home_(home) {}

  Result<void> add(const std::string& name, int depth) {
    const auto found = find_program(name, search_path_);
    if (!found) {
      if (depth > 0)
        return fail(ErrorKind::not_found, "the interpreter '" + name + "' of " + program_.path + " was not found");
      return fail(ErrorKind::not_found, "the program '" + name + "' was not found on your PATH",
                  "install it (for an npm package: npm install -g PACKAGE), or name an absolute path");
    }
    fs::path path = fs::absolute(*found).lexically_normal();
    if (depth == 0) program_.path = path.string();
    if (name.find('/') == std::string::npos && !is_provided(path)) program_.names.emplace_back(name, path.string());
    for (int hop = 0; hop < max_links; ++hop) {
      std::error_code code;
      if (!fs::is_symlink(path, code)) break;
      // Seen at the same place inside: the link itself is made again, so that $0 and relative lookups stay as they are.
      if (!is_provided(path)) add_unique(program_.links, path.string());
      fs::path target = fs::read_symlink(path, code);
      if (code) return fail(ErrorKind::not_found, "cannot read the link " + path.string() + ": " + code.message());
      path = (target.is_absolute() ? target : path.parent_path() / target).lexically_normal();
    }
    // Directories on the way may be links too: what is bound is the real file, at the name it was reached by.
    std::error_code code;
    const fs::path real = fs::canonical(path, code);
    if (code) return fail(ErrorKind::not_found, "cannot resolve " + path.string() + ": " + code.message());
    // With its package, or a script there would not find the native program beside it.
    if (real != path) BB_CHECK(bind(path));
    BB_CHECK(bind(real));
    if (depth < max_interpreters)
      for (const std::string& interpreter : interpreters_of(real)) BB_CHECK(add(interpreter, depth + 1));
    return {};
  }

  AgentProgram take() { return std::move(program_); }

 private:
  Result<void> bind(const fs::path& file) {
    if (is_provided(file)) return {};
    const fs::path package = npm_package_root(file);
    if (package.empty() || package == home_) {
      add_unique(program_.binds, file.string());
      return {};
    }
    add_unique(program_.binds, package.string());
    // Native parts of a package are siblings in its scope ("@scope/name-linux-x64"); others' packages stay out.
    const fs::path scope = package.parent_path();
    if (!scope.filename().string().starts_with('@')) return {};
    std::error_code code;
    for (const auto& entry : fs::directory_iterator(scope, code))
      if (entry.path().filename().string().starts_with(package.filename().string() + "-"))
        add_unique(program_.binds, entry.path().string());
    return {};
  }

  std::string search_path_;
  fs::path home_;
  AgentProgram program_;
};

}  // namespace

Result<AgentProgram> find_agent_program(std::string_view name, std::string_view search_path,
                                        const fs::path& operator_home) {
  Finder finder(search_path, operator_home);
  BB_CHECK(finder.add(std::string(name), 0));
  return finder.take();
}

Result<std::string> check_bind(std::string_view path, const fs::path& operator_home, const fs::path& state_home) {
  if (!path.starts_with('/'))
    return fail(ErrorKind::invalid_argument, "bind_ro: '" + std::string(path) + "' is not an absolute path");
  std::error_code code;
  const fs::path real = fs::canonical(fs::path(path), code);
  if (code) return fail(ErrorKind::not_found, "bind_ro: " + std::string(path) + ": " + code.message());
  for (const fs::path& kept : {operator_home, state_home})
    if (!kept.empty() && is_below(kept, real))
      return fail(ErrorKind::invalid_argument,
                  "bind_ro: " + std::string(path) + " would show the bottle all of " + kept.string(),
                  "name the one directory it needs");
  if (!state_home.empty() && is_below(real, state_home))
    return fail(ErrorKind::invalid_argument, "bind_ro: " + std::string(path) + " is bot-bottle's own state");
  for (const char* root : {"/proc", "/sys", "/dev", "/run", "/var/run"})
    if (is_below(real, root))
      return fail(ErrorKind::invalid_argument,
                  "bind_ro: nothing below " + std::string(root) + " may be shown to a bottle");
  struct stat status {};
  if (::stat(real.c_str(), &status) != 0 || (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)))
    return fail(ErrorKind::invalid_argument, "bind_ro: " + std::string(path) + " is neither a file nor a directory");
  return real.string();
}

}  // namespace bot_bottle::backend_local
