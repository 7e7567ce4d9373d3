// 6: the real credential, looked for everywhere an agent can look (D1, E5, E6, F2, F5, F6). The agent is told only its
// SHA-256 and length, so that the search cannot itself leak it.
#include <dirent.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

#include "core/base/text.hpp"
#include "core/base/unique_fd.hpp"
#include "sidecar/attack/encode.hpp"
#include "sidecar/attack/http.hpp"
#include "sidecar/attack/probe.hpp"

namespace bot_bottle::attack {
namespace {

/// Finds the text whose SHA-256 and length are known. Windows are taken only inside runs of printable characters, which
/// a credential consists of: that makes a search of gigabytes of binary affordable.
class Finder {
 public:
  explicit Finder(const Context& context) : length_(context.secret_length), digest_(context.secret_sha256) {}

  [[nodiscard]] bool contains(std::string_view text) const {
    std::size_t start = 0;
    for (std::size_t i = 0; i <= text.size(); ++i) {
      if (i < text.size() && is_part(text[i])) continue;
      if (i - start >= length_ && search_run(text.substr(start, i - start))) return true;
      start = i + 1;
    }
    return false;
  }
  /// Also reversed, base64 (three alignments), hex: for small texts.
  [[nodiscard]] bool contains_disguised(std::string_view text) const {
    if (contains(text) || contains(reversed(text)) || contains(rot13(text))) return true;
    std::size_t start = 0;
    for (std::size_t i = 0; i <= text.size(); ++i) {
      if (i < text.size() && is_part(text[i]) && text[i] != '=') continue;
      if (i - start >= length_ && decoded_contains(std::string(text.substr(start, i - start)))) return true;
      start = i + 1;
    }
    return false;
  }

 private:
  static bool is_part(char c) { return c > 0x20 && c < 0x7f && c != '"' && c != '\'' && c != '\\'; }

  bool search_run(std::string_view run) const {
    for (std::size_t at = 0; at + length_ <= run.size(); ++at)
      if (is_it(run.substr(at, length_))) return true;
    return false;
  }
  bool is_it(std::string_view window) const {
    std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
    unsigned size = 0;
    static EVP_MD_CTX* const state = EVP_MD_CTX_new();
    EVP_DigestInit_ex(state, EVP_sha256(), nullptr);
    EVP_DigestUpdate(state, window.data(), window.size());
    EVP_DigestFinal_ex(state, hash.data(), &size);
    return hex_encode({reinterpret_cast<char*>(hash.data()), size}) == digest_;
  }
  bool decoded_contains(const std::string& run) const {
    for (std::size_t skip = 0; skip < 4 && skip < run.size(); ++skip) {
      std::string part = run.substr(skip);
      for (char& c : part) c = c == '-' ? '+' : c == '_' ? '/' : c;
      part.resize(part.size() / 4 * 4);
      if (auto plain = base64_decode(part); plain && contains(*plain)) return true;
    }
    for (std::size_t skip = 0; skip < 2; ++skip) {
      std::string plain;
      for (std::size_t at = skip; at + 1 < run.size(); at += 2) {
        const std::string pair = run.substr(at, 2);
        char* end = nullptr;
        const long value = std::strtol(pair.c_str(), &end, 16);
        plain += end == pair.c_str() + 2 ? static_cast<char>(value) : ' ';
      }
      if (contains(plain)) return true;
    }
    return false;
  }

  std::size_t length_;
  std::string digest_;
};

std::string read_all_of(const std::string& path, std::size_t limit) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW));
  std::string out;
  std::array<char, 65536> buffer{};
  while (fd && out.size() < limit) {
    const ssize_t size = ::read(fd.get(), buffer.data(), buffer.size());
    if (size <= 0) break;
    out.append(buffer.data(), static_cast<std::size_t>(size));
  }
  return out;
}

template <typename See>
void each_process(See see) {
  std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir("/proc"), &::closedir);
  if (!dir) return;
  while (const dirent* entry = ::readdir(dir.get()))
    if (std::atoi(entry->d_name) > 0) see(std::string("/proc/") + entry->d_name);
}

Outcome search_processes(const Context& context, const char* file) {
  const Finder finder(context);
  std::string found;
  int count = 0;
  each_process([&](const std::string& directory) {
    const std::string text = read_all_of(directory + "/" + file, 1 << 20);
    count += text.empty() ? 0 : 1;
    if (finder.contains_disguised(text)) found = directory;
  });
  return found.empty() ? blocked(std::to_string(count) + " read, not found")
                       : escaped("found in " + found + "/" + file);
}

Outcome search_memory(const Context& context) {
  const Finder finder(context);
  int readable = 0;
  std::string found;
  each_process([&](const std::string& directory) {
    UniqueFd memory(::open((directory + "/mem").c_str(), O_RDONLY | O_CLOEXEC));
    const std::string maps = read_all_of(directory + "/maps", 4 << 20);
    if (!memory || maps.empty()) return;
    ++readable;
    std::size_t budget = 256 << 20;
    for (std::string_view line : split(maps, '\n')) {
      unsigned long from = 0;
      unsigned long to = 0;
      std::array<char, 8> rights{};
      if (std::sscanf(std::string(line).c_str(), "%lx-%lx %7s", &from, &to, rights.data()) != 3 || rights[0] != 'r' ||
          rights[1] != 'w' || to - from > budget)
        continue;
      std::string text(to - from, '\0');
      const ssize_t size = ::pread(memory.get(), text.data(), text.size(), static_cast<off_t>(from));
      if (size <= 0) continue;
      budget -= to - from;
      if (finder.contains(std::string_view(text).substr(0, static_cast<std::size_t>(size)))) found = directory;
    }
  });
  return found.empty() ? blocked(std::to_string(readable) + " readable, not found")
                       : escaped("found in the memory of " + found);
}

/// Every readable regular file below, at most `budget` octets; `see` says whether it holds what it must not.
template <typename See>
std::string search_files(const std::string& directory, int depth, std::size_t& budget, See see) {
  std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(directory.c_str()), &::closedir);
  if (!dir || depth > 12) return {};
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string name = entry->d_name;
    const std::string path = directory + (directory == "/" ? "" : "/") + name;
    if (name == "." || name == ".." || path == "/proc" || path == "/sys" || path == "/usr" || path == "/lib" ||
        path == "/lib64" || path == "/bin" || path == "/sbin" || path == "/dev")
      continue;
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) continue;
    std::string found;
    if (S_ISDIR(status.st_mode)) {
      found = search_files(path, depth + 1, budget, see);
    } else if (S_ISREG(status.st_mode) && budget > 0) {
      const std::string text = read_all_of(path, std::min<std::size_t>(budget, 16 << 20));
      budget -= std::min(budget, text.size());
      if (see(text)) found = path;
    }
    if (!found.empty()) return found;
  }
  return {};
}

void add_inside(std::vector<Attempt>& out) {
  Subject inside(out, "6.1", "secrets");
  inside.add("the real credential in the environment of any process (F5)",
             [](const Context& context) { return search_processes(context, "environ"); });
  inside.add("the real credential in the arguments of any process (D6)",
             [](const Context& context) { return search_processes(context, "cmdline"); });
  inside.add(
      "the real credential in any readable file (F2, F6)",
      [](const Context& context) {
        const Finder finder(context);
        std::size_t budget = 96 << 20;
        std::string found = search_files("/", 0, budget, [&](const std::string& text) {
          return text.size() < (1 << 20) ? finder.contains_disguised(text) : finder.contains(text);
        });
        std::size_t shared = 16 << 20;
        if (found.empty())
          found = search_files("/dev/shm", 0, shared,
                               [&](const std::string& text) { return finder.contains_disguised(text); });
        return found.empty() ? blocked("not found") : escaped("found in " + found);
      },
      std::chrono::seconds(120));
  inside.add(
      "the real credential in the memory of any process that can be read",
      [](const Context& context) { return search_memory(context); }, std::chrono::seconds(120));
}

/// What the origin was given and says back must be scrubbed before it is here.
Outcome judge_reflection(const Context& context, const Response& response) {
  if (!response.is_from_origin())
    return failed("the origin did not answer: " + std::to_string(response.status) + " " + response.failure);
  std::string text = response.head + "\n" + response.body;
  if (response.body.starts_with("\x1f\x8b")) {
    std::string plain(1 << 20, '\0');
    z_stream stream{};
    inflateInit2(&stream, 15 + 32);
    std::string input = response.body;
    stream.next_in = reinterpret_cast<Bytef*>(input.data());
    stream.avail_in = static_cast<uInt>(input.size());
    stream.next_out = reinterpret_cast<Bytef*>(plain.data());
    stream.avail_out = static_cast<uInt>(plain.size());
    inflate(&stream, Z_FINISH);
    plain.resize(stream.total_out);
    inflateEnd(&stream);
    text += plain;
  }
  if (Finder(context).contains_disguised(text)) return escaped("the answer holds the real credential");
  return blocked(text.find("********") != std::string::npos ? "scrubbed" : "not in the answer");
}

void add_reflections(std::vector<Attempt>& out) {
  Subject reflections(out, "6.2", "scrub", Needs::egress);
  const std::pair<const char*, const char*> places[] = {
      {"in its body", "/whoami"},
      {"in its body, in base64", "/echo/base64"},
      {"in its body, in hex", "/echo/hex"},
      {"in its body, percent-encoded", "/echo/percent"},
      {"in a header", "/echo/header"},
      {"in a cookie", "/echo/cookie"},
      {"in a redirect", "/echo/redirect"},
      {"in chunks of one octet", "/echo/chunks"},
      {"in gzip", "/echo/gzip"},
      {"as the answer of a token endpoint (E6)", "/token"},
      {"in an error", "/echo/error"},
      {"in a trailer", "/echo/trailer"},
      {"in an event stream", "/echo/events"},
  };
  for (const auto& [text, path] : places)
    reflections.add(std::string("an origin that echoes the injected credential ") + text + " (E5)",
                    [path = std::string(path)](const Context& context) {
                      return judge_reflection(
                          context, ask_tls(context, request("GET", path, context.origin, "Accept-Encoding: gzip\r\n")));
                    });
}

void add_answers(std::vector<Attempt>& out) {
  Subject answers(out, "6.3", "secrets", Needs::egress);
  answers.add("the real credential in what egress itself says: refusals, errors, the allow list (F11)",
              [](const Context& context) {
                const Finder finder(context);
                int count = 0;
                for (const Response& response :
                     {ask_connect(context, context.denied + ":443"), ask_proxy(context, "garbage\r\n\r\n"),
                      ask_tls(context, request("GET", "/" + github_token(), context.origin)),
                      ask_tls(context, request("TRACE", "/", context.origin)),
                      ask_proxy(context, request("GET", "http://_egress.local/allowlist", "_egress.local"))}) {
                  if (response.status == 0 && response.failure.find("closed") == std::string::npos)
                    return failed(response.failure);
                  ++count;
                  if (finder.contains_disguised(response.head + "\n" + response.body))
                    return escaped("answer " + std::to_string(count) + " holds it");
                }
                return blocked(std::to_string(count) + " answers, not found");
              });
  answers.add("names of secrets in the allow list that the agent may read", [](const Context& context) {
    Response response = ask_proxy(context, request("GET", "http://_egress.local/allowlist", "_egress.local"));
    if (response.status != 200) return judge(context, response, accept::method | accept::bad_request);
    for (const char* key : {"token_ref", "token", "127.0.0.1", "_TOKEN"})
      if (response.body.find(key) != std::string::npos) return escaped(std::string("it says ") + key);
    return blocked("no token, no name of one, no pin");
  });
}

void add_keys(std::vector<Attempt>& out) {
  Subject keys(out, "6.4", "secrets");
  keys.add(
      "a private key, say that of the bottle's CA, in any readable file (D1, F9)",
      [](const Context&) {
        std::size_t budget = 96 << 20;
        const std::string_view marker = " PRIVATE KEY-----";
        const std::string found = search_files("/", 0, budget, [&](const std::string& text) {
          const std::size_t at = text.find(marker);
          // A program that merely knows the words has no base64 behind them.
          return at != std::string::npos && text.size() > at + 80 && text.find('\0') == std::string::npos &&
                 text.find("-----BEGIN ") != std::string::npos;
        });
        return found.empty() ? blocked("none") : escaped(found);
      },
      std::chrono::seconds(60));
  keys.add("environment variables that look like credentials of the host", [](const Context&) {
    for (const char* name : {"SSH_AUTH_SOCK", "SSH_AGENT_PID", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY",
                             "XDG_RUNTIME_DIR", "SUDO_USER", "GPG_AGENT_INFO", "DOCKER_HOST", "KUBECONFIG",
                             "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GITHUB_TOKEN", "GH_TOKEN", "VAULT_TOKEN",
                             "BOT_BOTTLE_HOME", "LD_PRELOAD", "LD_LIBRARY_PATH", "BOT_BOTTLE_TEST_DISABLE_GUARDS"})
      if (std::getenv(name) != nullptr) return escaped(std::string(name) + " is set");
    return blocked("none");
  });
}

}  // namespace

void add_secrets(std::vector<Attempt>& out, const Context& context) {
  if (!context.secret_sha256.empty() && context.secret_length >= 8) {
    add_inside(out);
    add_reflections(out);
    add_answers(out);
  }
  add_keys(out);
}

}  // namespace bot_bottle::attack
