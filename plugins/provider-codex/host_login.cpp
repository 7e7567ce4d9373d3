#include "host_login.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): kill
#include <string.h>  // NOLINT(modernize-deprecated-headers): explicit_bzero
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "plugins/provider-config/host_tree.hpp"

namespace bot_bottle::provider_codex {
namespace {

namespace json = sdk::json;
using provider_config::HostText;
using provider_config::HostTree;

constexpr std::size_t max_file_bytes = std::size_t{64} << 10;
constexpr std::size_t min_token_bytes = 20;
constexpr std::size_t max_token_bytes = std::size_t{16} << 10;
constexpr std::size_t min_account_bytes = 8;
constexpr std::size_t max_account_bytes = 128;
constexpr std::int64_t start_takes_s = 120;
constexpr std::int64_t year_10000 = 253'402'300'800;

constexpr const char* log_in =
    "run `codex login` on this machine; or name a variable with an API key: "
    "agent_provider.auth_token";

void wipe(std::string& text) {
  ::explicit_bzero(text.data(), text.size());
}

/// Texts in here go back into one buffer, which is wiped.
class Arena {
 public:
  Arena() : bytes_(8 * max_file_bytes), resource_(bytes_.data(), bytes_.size()) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() { ::explicit_bzero(bytes_.data(), bytes_.size()); }
  json::storage_ptr get() { return &resource_; }

 private:
  std::vector<unsigned char> bytes_;
  json::monotonic_resource resource_;
};

std::optional<std::string> base64url(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int value = c >= 'A' && c <= 'Z'   ? c - 'A'
                      : c >= 'a' && c <= 'z' ? c - 'a' + 26
                      : c >= '0' && c <= '9' ? c - '0' + 52
                      : c == '-'             ? 62
                      : c == '_'             ? 63
                                             : -1;
    if (value < 0) return std::nullopt;
    bits = bits << 6U | static_cast<std::uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>(bits >> static_cast<unsigned>(count) & 0xFFU);
    }
  }
  return out;
}

/// The claims of a JWT (RFC 7519), whose signature is the server's to check.
std::optional<json::object> claims_of(std::string_view token, const json::storage_ptr& memory) {
  const std::size_t first = token.find('.');
  const std::size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  auto text = base64url(token.substr(first + 1, second - first - 1));
  if (!text) return std::nullopt;
  boost::system::error_code fault;
  json::value value = json::parse(*text, fault, memory);
  wipe(*text);
  if (fault || !value.is_object()) return std::nullopt;
  return std::move(value.get_object());
}

class Reader {
 public:
  explicit Reader(const std::string& directory) : file_(directory + "/auth.json"), tree_(directory) {}

  HostLogin read() {
    HostText text = tree_.read("auth.json", max_file_bytes);
    if (text.fault == HostText::Fault::absent)
      throw sdk::Error(sdk::Status::failed_precondition, "there is no login of Codex in " + file_,
                       std::string(log_in) +
                           ". A login in the system's keyring is not read: in Codex's config.toml, "
                           "cli_auth_credentials_store = \"file\"");
    if (text.fault != HostText::Fault::none) refuse(std::string(explain(text.fault)));
    // Whoever can write it can have the agent work for an account of theirs, with all that you send there.
    if (!text.is_own) refuse("belongs to somebody else or can be written by others");
    boost::system::error_code fault;
    const json::value value = json::parse(text.text, fault, arena_.get());
    wipe(text.text);
    if (fault || !value.is_object()) refuse("is not a JSON object");
    return login_of(value.get_object());
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw sdk::Error(sdk::Status::invalid_argument, file_ + " " + what, log_in);
  }

  [[nodiscard]] std::string text_of(const json::object& object, const char* name, std::size_t least,
                                    std::size_t most) const {
    const json::value* value = object.if_contains(name);
    if (value == nullptr || value->is_null()) return {};
    if (!value->is_string()) refuse(std::string("has no text as ") + name);
    const std::string_view text(value->get_string());
    if (text.empty()) return {};
    // Of one line, or a header of its own could follow it.
    if (text.size() < least || text.size() > most ||
        !std::ranges::all_of(text, [](char c) { return c > ' ' && c < 127; }))
      refuse(std::string("has something as ") + name + " that cannot be one");
    return std::string(text);
  }

  HostLogin login_of(const json::object& document) {
    HostLogin login;
    std::string key = text_of(document, "OPENAI_API_KEY", min_token_bytes, max_token_bytes);
    const json::value* given = document.if_contains("auth_mode");
    const bool says_mode = given != nullptr && !given->is_null();
    if (says_mode && !given->is_string()) refuse("has no text as auth_mode");
    const std::string_view mode = says_mode     ? std::string_view(given->get_string())
                                  : key.empty() ? "chatgpt"
                                                : "apikey";
    if (mode == "apikey") {
      if (key.empty()) refuse("holds no API key");
      login.kind = HostLogin::Kind::api_key;
      login.token = std::move(key);
      return login;
    }
    wipe(key);
    if (mode != "chatgpt") refuse("is a login of a kind that cannot be forwarded: only ChatGPT's and API keys can");
    const json::value* tokens = document.if_contains("tokens");
    if (tokens == nullptr || !tokens->is_object()) refuse("holds no tokens");
    read_tokens(tokens->get_object(), login);
    return login;
  }

  void read_tokens(const json::object& tokens, HostLogin& login) {
    login.token = text_of(tokens, "access_token", min_token_bytes, max_token_bytes);
    if (login.token.empty()) refuse("holds no access token");
    const auto claims = claims_of(login.token, arena_.get());
    const json::value* expiry = claims ? claims->if_contains("exp") : nullptr;
    if (expiry == nullptr || !expiry->is_int64() || expiry->get_int64() <= 0 || expiry->get_int64() >= year_10000)
      refuse("holds an access token that does not say when it ends");
    login.expires_at = expiry->get_int64();
    login.account = text_of(tokens, "account_id", min_account_bytes, max_account_bytes);
    if (login.account.empty()) {
      std::string identity = text_of(tokens, "id_token", min_token_bytes, max_token_bytes);
      login.account = account_in(claims_of(identity, arena_.get()));
      wipe(identity);
    }
    if (login.account.empty()) login.account = account_in(claims);
    // Without one the agent would say itself for which of your accounts it works: nothing would be put in its place.
    if (login.account.empty()) refuse("does not say which account is meant");
  }

  [[nodiscard]] std::string account_in(const std::optional<json::object>& claims) const {
    const json::value* about = claims ? claims->if_contains("https://api.openai.com/auth") : nullptr;
    if (about == nullptr || !about->is_object()) return {};
    return text_of(about->get_object(), "chatgpt_account_id", min_account_bytes, max_account_bytes);
  }

  std::string file_;
  HostTree tree_;
  Arena arena_;
};

using Clock = std::chrono::steady_clock;

/// Sleeps a little; throws when the call is cancelled.
void pause(const sdk::Call& call) {
  pollfd entry{call.cancel_fd(), POLLIN, 0};
  ::poll(&entry, 1, 20);
  call.check_cancelled();
}

/// One renews a login at a time. A refresh token is worth something once: of two programs that spend the same one the
/// second is told that it was stolen, and its owner may be logged out. Codex 0.169.0 does not prevent that (three of
/// them started at once asked three times). The login's directory itself is locked, so that nothing is left there.
/// Guarded by codex_login_test: of_two_that_would_renew_it_the_second_finds_it_renewed.
class RenewalLock {
 public:
  RenewalLock(const std::string& directory, const sdk::Call& call, std::chrono::milliseconds patience)
      : fd_(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    // A file system without locks: as if two programs of the operator's own renewed it.
    const auto end = Clock::now() + patience;
    while (::flock(fd_, LOCK_EX | LOCK_NB) != 0 && (errno == EWOULDBLOCK || errno == EINTR)) {
      try {
        // Who holds it may be in the midst of a renewal, however long that takes: without the lock there is none.
        if (Clock::now() >= end)
          throw sdk::Error(sdk::Status::unavailable,
                           "another program has been renewing the login of Codex in " + directory + " for too long",
                           "wait for it; which one it is: fuser " + directory);
        pause(call);
      } catch (...) {
        ::close(fd_);
        throw;
      }
    }
  }
  RenewalLock(const RenewalLock&) = delete;
  RenewalLock& operator=(const RenewalLock&) = delete;
  ~RenewalLock() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

/// False: it still runs. A program that has spent the refresh token and not yet written its successor may not be torn
/// off: who is cancelled or has waited long enough leaves it, with the lock, and it ends by itself.
bool wait_for(pid_t pid, const sdk::Call& call, std::chrono::milliseconds patience) {
  for (const auto end = Clock::now() + patience; ::waitpid(pid, nullptr, WNOHANG) == 0; pause(call))
    if (Clock::now() > end) return false;
  return true;
}

}  // namespace

HostLogin::~HostLogin() {
  wipe(token);
  wipe(account);
}

std::string host_directory(const std::string& host_home) {
  const char* given = std::getenv("CODEX_HOME");  // NOLINT(concurrency-mt-unsafe): nothing of ours sets it
  if (given == nullptr || *given == '\0') return host_home + "/.codex";
  if (*given != '/')
    throw sdk::Error(sdk::Status::invalid_argument, "$CODEX_HOME is not an absolute path", "unset it, or name one");
  return given;
}

void refuse_in_workspace(const std::string& directory, const std::string& workspace) {
  if (workspace.empty()) return;
  std::error_code ignored;
  const std::filesystem::path inner = std::filesystem::weakly_canonical(directory, ignored);
  const std::filesystem::path outer = std::filesystem::weakly_canonical(workspace, ignored);
  const auto [end, rest] = std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end());
  if (end == outer.end())
    throw sdk::Error(sdk::Status::invalid_argument,
                     "the workspace " + workspace + " holds the login of Codex in " + directory +
                         ": all of it would be in the bottle",
                     "use --cwd DIR with one project, or --no-workspace");
}

HostLogin read_host_login(const std::string& directory) {
  return Reader(directory).read();
}

bool has_expired(const HostLogin& login) {
  return login.kind == HostLogin::Kind::chatgpt && login.expires_at <= std::time(nullptr) + start_takes_s;
}

HostLogin fresh_host_login(const std::string& directory, const sdk::Host& host, const sdk::Call& call,
                           std::chrono::milliseconds patience) {
  if (HostLogin login = read_host_login(directory); !has_expired(login)) return login;
  const std::string over = "the login of Codex in " + directory + " has expired";
  call.progress("renewing the login of Codex");
  const RenewalLock lock(directory, call, patience);
  if (HostLogin login = read_host_login(directory); !has_expired(login)) return login;
  sdk::ProcessRequest request;
  request.argv = {"codex", "app-server"};
  request.cwd = "/";       // a project's own .codex/config.toml has no say here
  request.session = true;  // Ctrl-C on the terminal is ours alone
  try {
    // Its output goes nowhere: it may tell whose login it is. The lock is its own until it ends.
    std::vector<sdk::ChildFd> kept;
    if (lock.fd() >= 0) kept.push_back({.source = lock.fd(), .target = 3});
    const auto pid = static_cast<pid_t>(host.spawn(call, request, kept));
    if (!wait_for(pid, call, patience))
      throw sdk::Error(sdk::Status::unavailable, over + ", and `codex` is still renewing it",
                       "start again in a while; if it never ends: fuser " + directory);
  } catch (const sdk::Error& error) {
    if (error.status != sdk::Status::not_found) throw;
    throw sdk::Error(sdk::Status::failed_precondition,
                     over + ", and there is no `codex` on your PATH that could renew it", log_in);
  }
  HostLogin renewed = read_host_login(directory);
  if (has_expired(renewed))
    throw sdk::Error(sdk::Status::failed_precondition, over + ", and `codex` could not renew it", log_in);
  return renewed;
}

}  // namespace bot_bottle::provider_codex
