// The sidecar's image: no distribution, only what the two programs load.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <utility>

#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "plugins/backend-docker/images.hpp"
#include "plugins/backend-docker/names.hpp"
#include "plugins/backend-driven/tar_text.hpp"
#include "plugins/backend-local/etc_files.hpp"
#include "sidecar/guest/tree.hpp"

namespace bot_bottle::backend_docker {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t max_program = std::size_t{512} << 20;
constexpr const char* git_core = "/usr/lib/git-core";

/// Name, size and time of change: what tells one build of a file from another, without reading it.
std::string identity_of(const fs::path& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) return file.string() + " absent\n";
  return fmt::format("{} {} {}.{:09} {}\n", file.string(), status.st_size, status.st_mtim.tv_sec,
                     status.st_mtim.tv_nsec, status.st_ino);
}

std::vector<fs::path> programs_of(const SidecarParts& parts) {
  std::vector<fs::path> programs{parts.libexec / "bot-bottle-sidecar", parts.libexec / "bottle-init"};
  // What the gate looks for before it listens (sidecar/git_gate), and nothing else: guarded by
  // tests/docker/git_test.py.
  if (parts.with_git) programs.insert(programs.end(), {"/usr/bin/git", "/usr/bin/ssh", "/bin/sh"});
  return programs;
}

/// "libz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x…)", "/lib64/ld-linux-x86-64.so.2 (0x…)" (ldd(1)).
std::set<std::string> libraries_of(const sdk::Host& host, const sdk::Call& call, const fs::path& program) {
  const sdk::ProcessResult result = host.run(call, {"ldd", program.string()});
  std::set<std::string> found;
  for (const std::string_view line : split(result.out, '\n')) {
    std::string_view text = trim(line);
    if (const std::size_t arrow = text.find("=> "); arrow != std::string_view::npos) text.remove_prefix(arrow + 3);
    if (text.starts_with("not found"))
      throw sdk::Error(sdk::Status::failed_precondition,
                       program.string() + " lacks a library: " + std::string(trim(line)), "install bot-bottle again");
    if (text.starts_with('/')) found.emplace(text.substr(0, text.find(' ')));
  }
  return found;
}

class ImageTar {
 public:
  void directories_above(const std::string& path) {
    for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1))
      tar_.directory(path.substr(1, at - 1), 0755);
  }
  /// The file that `from` leads to, under the absolute name `to`.
  void copy(const fs::path& from, const std::string& to, mode_t mode) {
    if (!seen_.insert(to).second) return;
    directories_above(to);
    tar_.file(to.substr(1), mode, or_throw(read_file(from, max_program)));
  }
  void text(const std::string& to, std::string_view content) {
    directories_above(to);
    tar_.file(to.substr(1), 0644, content);
  }
  void tree(const fs::path& from, const std::string& to) {
    directories_above(to);
    const UniqueFd root(::open(from.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    guest::PackOptions options;
    options.owner = {0, 0};
    std::string packed;
    std::string problem;
    if (!root || !guest::pack_tree(
                     root.get(), ".", to.substr(1), options,
                     [&](std::string_view bytes) { return packed += bytes, true; }, problem))
      throw sdk::Error(sdk::Status::failed_precondition, "cannot read " + from.string() + " " + problem);
    done_ += tar_.take() + packed;
  }
  void directory(const std::string& path, mode_t mode) {
    directories_above(path);
    tar_.directory(path.substr(1), mode);
  }
  std::string finish() { return std::move(done_) + tar_.finish(); }

 private:
  driven::TarText tar_;
  std::string done_;
  std::set<std::string> seen_;
};

}  // namespace

std::string sidecar_image_tag(const SidecarParts& parts, const std::string& version) {
  std::string all = version + "\n";
  for (const fs::path& program : programs_of(parts)) all += identity_of(program);
  std::vector<fs::path> files;
  std::error_code code;
  for (fs::recursive_directory_iterator it(parts.share, code), end; !code && it != end; it.increment(code))
    if (it->is_regular_file(code)) files.push_back(it->path());
  std::ranges::sort(files);
  for (const fs::path& file : files) all += identity_of(file);
  all += sha256_hex(backend_local::system_bundle());
  return "bot-bottle/sidecar:" + sha256_hex(all).substr(0, 16);
}

void ensure_sidecar_image(Engine& engine, const sdk::Host& host, const sdk::Call& call, const std::string& tag,
                          const SidecarParts& parts, const json::object& labels) {
  if (has_own_image(engine, tag)) return;
  call.progress(0, "making the sidecar's image " + tag);
  ImageTar image;
  for (const fs::path& program : programs_of(parts)) {
    std::error_code code;
    if (!fs::exists(program, code))
      throw sdk::Error(sdk::Status::failed_precondition,
                       "git-gate needs " + program.string() + " of this machine for the sidecar's image",
                       "install git and openssh-client");
    for (const std::string& library : libraries_of(host, call, program)) image.copy(library, library, 0755);
    const bool own = program.parent_path() == parts.libexec;
    image.copy(program, own ? "/bin/" + program.filename().string() : program.string(), 0755);
  }
  if (parts.with_git) {
    image.tree(git_core, git_core);
    for (const std::string& library : libraries_of(host, call, "/usr/lib/git-core/git-remote-http"))
      image.copy(library, library, 0755);
  }
  image.tree(parts.share, "/share");
  for (const char* name :
       {"/etc/ld.so.cache", "/etc/services", "/etc/protocols", "/etc/gai.conf", "/etc/ssl/openssl.cnf"}) {
    std::error_code code;
    if (fs::is_regular_file(name, code)) image.copy(name, name, 0644);
  }
  image.text("/etc/passwd", "root:x:0:0:root:/:/sbin/nologin\nsidecar:x:1000:1000::/run/sidecar:/sbin/nologin\n");
  image.text("/etc/group", "root:x:0:\nsidecar:x:1000:\n");
  image.text("/etc/nsswitch.conf",
             "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n");
  image.text("/etc/ssl/certs/ca-certificates.crt", backend_local::system_bundle());
  image.text("/etc/ssl/cert.pem", backend_local::system_bundle());
  for (const char* name : {"egress", "wire", "control", "logs", "git-gate", "supervise"})
    image.directory("/run/sidecar/state/" + std::string(name), 0755);
  for (const char* name : {"/tmp", "/proc", "/sys", "/dev"}) image.directory(name, 0755);
  image.text("/run/sidecar/rules.database", "");
  std::string archive = image.finish();

  std::string changes;
  for (const auto& member : labels)
    changes += "&changes=" + url_encoded("LABEL " + std::string(member.key()) + "=" + to_text(member.value()));
  bool sent = false;
  std::string answer;
  engine.send(
      "POST",
      "/images/create?fromSrc=-&repo=" + url_encoded(tag.substr(0, tag.find(':'))) +
          "&tag=" + url_encoded(tag.substr(tag.find(':') + 1)) + changes,
      [&]() -> std::optional<std::string> {
        if (std::exchange(sent, true)) return std::nullopt;
        return std::move(archive);
      },
      [&](std::string_view bytes) { answer.append(bytes.substr(0, 4096)); }, build_patience);
  if (!has_own_image(engine, tag))
    throw sdk::Error(sdk::Status::failed_precondition, "the sidecar's image was not made: " + answer.substr(0, 400),
                     "is the engine's disk full?");
}

}  // namespace bot_bottle::backend_docker
