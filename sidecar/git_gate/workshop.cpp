#include "sidecar/git_gate/workshop.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/base/file.hpp"
#include "core/base/paths.hpp"
#include "core/base/secret.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::git_gate {
namespace {

namespace fs = std::filesystem;
using Transport = policy::GitUpstream::Transport;

constexpr std::size_t max_bundle = std::size_t{4} << 20;

Result<std::string> find_one(const char* name, const std::string& hint) {
  const auto found = find_program(name, environment("PATH").value_or("/usr/bin:/bin"));
  if (!found) return fail(ErrorKind::unavailable, fmt::format("git-gate needs the program {}", name), hint);
  return found->string();
}

/// The mirror is a copy of the upstream and is never waited for on its way to the disk; so it is only believed within
/// one run of the machine. After a crash of it (resume) the mirror is fetched anew.
Result<void> drop_after_reboot(const fs::path& directory, const fs::path& mirror) {
  const fs::path note = directory / "boot";
  const auto now = read_file("/proc/sys/kernel/random/boot_id", 64);
  const auto then = read_file(note, 64);
  if (now && then && *now == *then) return {};
  BB_CHECK(remove_tree(mirror));
  return write_file_fast(note, now ? *now : std::string());
}

/// Everything that decides how git behaves on the mirror. Hooks and file system monitors are programs that a repository
/// could name (G1); what a push may bring is checked by index-pack (fsckObjects).
std::string mirror_config() {
  return "[core]\n\trepositoryformatversion = 0\n\tbare = true\n\tfilemode = true\n\tlogallrefupdates = false\n"
         "\thooksPath = /dev/null\n\tfsmonitor = false\n\tbigFileThreshold = 16m\n\tfsync = none\n"
         "\tsharedRepository = umask\n"
         "[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n"
         "[transfer]\n\tfsckObjects = true\n\tunpackLimit = 1\n"
         "[fetch]\n\tunpackLimit = 1\n\twriteCommitGraph = false\n\trecurseSubmodules = false\n"
         "[fetch \"fsck\"]\n\tzeroPaddedFilemode = warn\n\tmissingSpaceBeforeDate = warn\n\tbadTimezone = warn\n"
         "\tmissingSpaceBeforeEmail = warn\n\tbadDateOverflow = warn\n\tmissingTaggerEntry = warn\n"
         "\tgitmodulesUrl = warn\n\tgitmodulesName = warn\n"
         "[receive]\n\tadvertisePushOptions = false\n"
         "[uploadpack]\n\tallowFilter = true\n\tallowAnySHA1InWant = false\n\tallowTipSHA1InWant = false\n"
         "\tallowReachableSHA1InWant = false\n"
         "[pack]\n\tthreads = 1\n\twindowMemory = 32m\n\tallowPackReuse = true\n"
         "[push]\n\trecurseSubmodules = no\n\tfollowTags = false\n\tgpgSign = false\n";
}

/// ssh_config(5). The first value of each key wins, and there is no other file.
std::string ssh_config(const policy::GitRepo& repo, const fs::path& directory) {
  const auto pin = repo.hosts.find(repo.upstream.host);
  const std::string key_type = repo.host_key.substr(0, repo.host_key.find(' '));
  std::string text = "Host *\n";
  const auto add = [&text](std::string_view key, std::string_view value) {
    text += fmt::format("  {} {}\n", key, value);
  };
  const auto quoted = [](const fs::path& path) { return "\"" + path.string() + "\""; };
  if (pin != repo.hosts.end()) add("HostName", pin->second);
  add("HostKeyAlias", "upstream");
  add("BatchMode", "yes");
  add("ConnectTimeout", "10");
  add("ConnectionAttempts", "1");
  add("ServerAliveInterval", "15");
  add("ServerAliveCountMax", "4");
  // No trust on first use, in no way: one key, of one kind, in one file.
  add("StrictHostKeyChecking", "yes");
  add("UserKnownHostsFile", quoted(directory / "known_hosts"));
  add("GlobalKnownHostsFile", "/dev/null");
  add("HostKeyAlgorithms", key_type == "ssh-rsa" ? "rsa-sha2-512,rsa-sha2-256" : key_type);
  add("UpdateHostKeys", "no");
  add("VerifyHostKeyDNS", "no");
  add("CheckHostIP", "no");
  // The one key that is meant: not what an agent or a smart card offers.
  add("IdentityFile", quoted(directory / "identity"));
  add("IdentitiesOnly", "yes");
  add("IdentityAgent", "none");
  add("PKCS11Provider", "none");
  add("PreferredAuthentications", "publickey");
  add("PubkeyAuthentication", "yes");
  add("PasswordAuthentication", "no");
  add("KbdInteractiveAuthentication", "no");
  add("HostbasedAuthentication", "no");
  add("GSSAPIAuthentication", "no");
  add("ForwardAgent", "no");
  add("ForwardX11", "no");
  add("ClearAllForwardings", "yes");
  add("Tunnel", "no");
  add("PermitLocalCommand", "no");
  add("ProxyCommand", "none");
  add("ControlMaster", "no");
  add("ControlPath", "none");
  add("CanonicalizeHostname", "no");
  add("EscapeChar", "none");
  add("RequestTTY", "no");
  add("LogLevel", "ERROR");
  return text;
}

Result<void> write_private(const fs::path& path, std::string_view text) {
  // Made with its mode: there is no moment in which another uid can read it.
  ::unlink(path.c_str());
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd || ::fchmod(fd.get(), 0600) != 0) return fail(error_from_errno(path.string(), errno));
  BB_CHECK(write_all(fd.get(), text));
  if (!text.ends_with('\n')) BB_CHECK(write_all(fd.get(), "\n"));  // OpenSSH wants the last line whole
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0 || (status.st_mode & 07777U) != 0600U)
    return fail(ErrorKind::failed_precondition, path.string() + " cannot be kept private");
  return {};
}

/// As a URL's user information (RFC 3986): what is not unreserved is escaped.
void append_escaped(std::string& out, std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '.' || c == '_' || c == '~';
    if (plain)
      out += c;
    else
      (((out += '%') += digits[octet >> 4U]) += digits[octet & 15U]);
  }
}

std::string quoted_for_shell(std::string text) {
  for (std::size_t at = 0; (at = text.find('\'', at)) != std::string::npos; at += 4) text.replace(at, 1, "'\\''");
  return "'" + text + "'";
}

std::string proxy_url(const policy::UpstreamProxy& proxy, std::string_view login) {
  std::string url = "http://";
  if (!login.empty()) {
    const std::size_t colon = login.find(':');
    append_escaped(url, login.substr(0, colon));
    url += ':';
    // Without one git would ask for it.
    append_escaped(url, colon == std::string_view::npos ? std::string_view() : login.substr(colon + 1));
    url += '@';
  }
  const bool v6 = proxy.host.find(':') != std::string::npos;
  return url + (v6 ? "[" + proxy.host + "]" : proxy.host) + ":" + std::to_string(proxy.port);
}

void wipe_file(int directory_fd, const char* name) {
  const UniqueFd fd(::openat(directory_fd, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (fd && ::fstat(fd.get(), &status) == 0 && S_ISREG(status.st_mode)) {
    const std::string zeros(static_cast<std::size_t>(std::min<off_t>(status.st_size, 65536)), '\0');
    (void)write_all(fd.get(), zeros);
    (void)::fsync(fd.get());
  }
  ::unlinkat(directory_fd, name, 0);
}

Result<void> make_mirror(const fs::path& mirror) {
  for (const char* name : {"objects/pack", "objects/info", "refs/heads", "refs/tags"})
    BB_CHECK(make_directories(mirror / name));
  // Nothing that makes git look elsewhere or run something: written by nobody, removed all the same.
  for (const char* name : {"hooks", "info", "worktrees", "modules", "shallow", "objects/info/alternates",
                           "objects/info/http-alternates", "config.worktree", "commondir"})
    BB_CHECK(remove_tree(mirror / name));
  std::error_code code;
  if (!fs::exists(mirror / "HEAD", code)) BB_CHECK(write_file_fast(mirror / "HEAD", "ref: refs/heads/main\n"));
  return write_file_fast(mirror / "config", mirror_config());
}

}  // namespace

Result<Programs> Programs::find(const policy::GitGate& gate) {
  Programs programs;
  BB_TRY(programs.git, find_one("git", "apt-get install git"));
  BB_TRY(programs.shell, find_one("sh", "apt-get install dash"));
  const auto any = [&gate](auto&& wants) { return std::ranges::any_of(gate.repos, wants); };
  if (any([](const policy::GitRepo& repo) { return repo.upstream.transport == Transport::ssh; })) {
    BB_TRY(programs.ssh, find_one("ssh", "apt-get install openssh-client"));
  }
  // Asked for and not there is no scan by half.
  if (any([](const policy::GitRepo& repo) { return repo.scan.engine == policy::GitScan::Engine::gitleaks; })) {
    BB_TRY(programs.gitleaks, find_one("gitleaks",
                                       "install gitleaks 8 on PATH, or take scan.engine out: the builtin "
                                       "engine reads the same rule files"));
  }
  return programs;
}

std::vector<std::string> Programs::executables() const {
  std::vector<std::string> all{git, shell, "/usr/lib/git-core", "/usr/libexec/git-core"};
  for (const std::string* program : {&ssh, &gitleaks})
    if (!program->empty()) all.push_back(*program);
  // The kernel opens the dynamic loader as something to execute.
  for (const char* loader : {"/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", "/lib/ld-musl-x86_64.so.1",
                             "/lib/ld-musl-aarch64.so.1"})
    all.emplace_back(loader);
  return all;
}

Result<Workshop> Workshop::create(const Surroundings& surroundings, const policy::GitRepo& repo,
                                  std::string_view private_key) {
  const fs::path& directory = surroundings.directory;
  Workshop workshop;
  workshop.repo_ = repo;
  workshop.directory_ = directory / repo.name;
  workshop.mirror_ = workshop.directory_ / "mirror.git";
  workshop.git_ = surroundings.programs.git;
  workshop.ssh_ = surroundings.programs.ssh;
  workshop.gitleaks_ = surroundings.programs.gitleaks;
  workshop.proxy_ = surroundings.upstream_proxy;
  const fs::path home = directory / "home";
  BB_CHECK(make_directories(workshop.directory_));
  BB_CHECK(remove_tree(workshop.quarantine()));
  BB_CHECK(make_directories(workshop.quarantine()));
  BB_CHECK(drop_after_reboot(workshop.directory_, workshop.mirror_));
  BB_CHECK(make_mirror(workshop.mirror_));
  workshop.sweep();
  BB_CHECK(remove_tree(home));
  BB_CHECK(make_directories(home));
  if (repo.scan.engine == policy::GitScan::Engine::gitleaks && !repo.scan.rules.empty())
    BB_CHECK(write_file_fast(workshop.gitleaks_config(), repo.scan.rules));
  const fs::path global = directory / "gitconfig";
  const std::string config =
      "[safe]\n\tdirectory = *\n[protocol \"file\"]\n\tallow = never\n[credential]\n\thelper =\n"
      "[http]\n\tfollowRedirects = false\n\tlowSpeedLimit = 1\n\tlowSpeedTime = 60\n\tsslVerify = true\n"
      "[advice]\n\tpushUpdateRejected = false\n[ssh]\n\tvariant = ssh\n";
  BB_CHECK(write_file_fast(global, config));

  Environment& env = workshop.local_;
  env = {{"PATH", fs::path(workshop.git_).parent_path().string() + ":/usr/bin:/bin"},  // gitleaks looks for git on it
         {"HOME", home.string()},
         {"LANG", "C.UTF-8"},
         {"LC_ALL", "C.UTF-8"},
         {"GIT_CONFIG_NOSYSTEM", "1"},
         {"GIT_CONFIG_GLOBAL", global.string()},
         {"GIT_DIR", workshop.mirror_.string()},
         {"GIT_TERMINAL_PROMPT", "0"},
         {"GIT_ASKPASS", ""},
         {"GIT_NO_REPLACE_OBJECTS", "1"},
         {"GIT_OPTIONAL_LOCKS", "0"},
         {"GIT_ALLOW_PROTOCOL", "none"},
         // One allocation of git's. An object of gigabytes in a pack of kilobytes (a delta bomb) ends git and not us.
         {"GIT_ALLOC_LIMIT", std::to_string(std::uint64_t{512} << 20)}};

  if (repo.upstream.transport == Transport::ssh) {
    BB_CHECK(write_private(workshop.directory_ / "identity", private_key));
    BB_CHECK(write_file_fast(workshop.directory_ / "known_hosts", "upstream " + repo.host_key + "\n"));
    BB_CHECK(write_file_fast(workshop.directory_ / "ssh_config", ssh_config(repo, workshop.directory_)));
  } else if (!surroundings.upstream_ca.empty()) {
    std::string bundle;
    if (auto system = read_file("/etc/ssl/certs/ca-certificates.crt", max_bundle)) bundle = std::move(*system);
    BB_CHECK(write_file_fast(workshop.directory_ / "ca.pem", bundle + "\n" + surroundings.upstream_ca + "\n"));
  }
  return workshop;
}

Workshop::Environment Workshop::quarantined(Environment base, const fs::path& objects) const {
  base["GIT_OBJECT_DIRECTORY"] = objects.string();
  base["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = (mirror_ / "objects").string();
  base["GIT_QUARANTINE_PATH"] = objects.string();
  return base;
}

Workshop::Environment Workshop::upstream_environment(const Credentials& credentials) const {
  Environment env = local_;
  if (repo_.upstream.transport == Transport::ssh) {
    env["GIT_ALLOW_PROTOCOL"] = "ssh";
    env["GIT_SSH_COMMAND"] = quoted_for_shell(ssh_) + " -F " + quoted_for_shell((directory_ / "ssh_config").string());
    env["GIT_SSH_VARIANT"] = "ssh";
    return env;
  }
  env["GIT_ALLOW_PROTOCOL"] = "https";
  std::error_code code;
  if (fs::exists(directory_ / "ca.pem", code)) env["GIT_SSL_CAINFO"] = (directory_ / "ca.pem").string();
  std::vector<std::pair<std::string, std::string>> config;
  const std::uint16_t port = repo_.upstream.port == 0 ? 443 : repo_.upstream.port;
  if (!credentials.token.empty()) {
    std::string basic = "x-access-token:" + std::string(credentials.token.view());
    config.emplace_back(fmt::format("http.https://{}:{}/.extraHeader", repo_.upstream.host, port),
                        "Authorization: Basic " + base64_encode(basic));
    wipe(basic.data(), basic.size());
  }
  if (const auto pin = repo_.hosts.find(repo_.upstream.host); pin != repo_.hosts.end()) {
    const bool v6 = pin->second.find(':') != std::string::npos;
    const std::string address = v6 ? "[" + pin->second + "]" : pin->second;
    config.emplace_back("http.curloptResolve", fmt::format("{}:{}:{}", repo_.upstream.host, port, address));
  }
  if (proxy_) {
    config.emplace_back("http.proxy", proxy_url(*proxy_, credentials.proxy_login.view()));
    config.emplace_back("http.proxyAuthMethod", "basic");
  }
  env["GIT_CONFIG_COUNT"] = std::to_string(config.size());
  for (std::size_t i = 0; i < config.size(); ++i) {
    env[fmt::format("GIT_CONFIG_KEY_{}", i)] = config[i].first;
    env[fmt::format("GIT_CONFIG_VALUE_{}", i)] = config[i].second;
  }
  return env;
}

ProcessRequest Workshop::request(std::vector<std::string> arguments, Environment environment) const {
  ProcessRequest request;
  request.argv = {git_};
  request.argv.insert(request.argv.end(), arguments.begin(), arguments.end());
  request.env = std::move(environment);
  request.cwd = mirror_.string();
  request.session = StartSession::yes;
  return request;
}

void Workshop::sweep() const {
  std::error_code code;
  std::vector<fs::path> stale;
  for (fs::recursive_directory_iterator at(mirror_, code), end; !code && at != end; at.increment(code)) {
    if (at->path() == mirror_ / "objects") at.disable_recursion_pending();
    if (at->path().extension() == ".lock") stale.push_back(at->path());
  }
  for (fs::directory_iterator at(mirror_ / "objects" / "pack", code), end; !code && at != end; at.increment(code))
    if (const std::string name = at->path().filename().string(); name.starts_with("tmp_") || name.starts_with(".tmp-"))
      stale.push_back(at->path());
  for (const fs::path& path : stale) fs::remove(path, code);
}

void Workshop::wipe_key() const {
  const UniqueFd directory(::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (directory) wipe_file(directory.get(), "identity");
}

}  // namespace bot_bottle::git_gate
