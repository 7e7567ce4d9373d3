#include "core/state/frozen.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>

#include <cerrno>

#include "core/base/clock.hpp"
#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/random.hpp"
#include "core/base/result.hpp"

namespace bot_bottle::state {
namespace {

constexpr std::string_view file_name = "freeze.json";
constexpr std::size_t name_length = 12;
constexpr int wait_step_ms = 20;

UniqueFd open_lock(const Directory& directory) {
  const std::filesystem::path file = directory.path() / "freeze.lock";
  UniqueFd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) throw Failure(error_from_errno("cannot open " + file.string(), errno));
  return fd;
}

int operation_of(FreezeLock mode) {
  return mode == FreezeLock::shared ? LOCK_SH : LOCK_EX;
}

}  // namespace

std::optional<Frozen> find_frozen(const Directory& directory) {
  const auto document = directory.find_document(file_name);
  if (!document) return std::nullopt;
  Frozen frozen;
  frozen.backend = get_string(*document, "backend");
  if (const json::object* snapshot = find_object(*document, "snapshot")) frozen.snapshot = *snapshot;
  frozen.frozen_at_ms = get_int(*document, "frozen_at_ms", 0);
  frozen.pending = get_strings(*document, "pending");
  frozen.next_resume = get_bool(*document, "next_resume", false);
  return frozen;
}

void write_frozen(const Directory& directory, const Frozen& frozen) {
  const json::object document{{"schema", "bot-bottle.freeze/1"},     {"backend", frozen.backend},
                              {"snapshot", frozen.snapshot},         {"frozen_at", format_time(frozen.frozen_at_ms)},
                              {"frozen_at_ms", frozen.frozen_at_ms}, {"pending", to_array(frozen.pending)},
                              {"next_resume", frozen.next_resume}};
  or_throw(write_file_atomic(directory.path() / file_name, to_pretty_text(document)));
}

std::string make_snapshot_name(const std::string& slug) {
  return slug + "." + random_base36(name_length);
}

std::string slug_of_snapshot(const json::object& snapshot) {
  const std::string ref = get_string(snapshot, "ref");
  return ref.substr(0, ref.find('.'));
}

UniqueFd lock_freeze(const Directory& directory, FreezeLock mode) {
  UniqueFd fd = open_lock(directory);
  while (::flock(fd.get(), operation_of(mode)) != 0)
    if (errno != EINTR) throw Failure(error_from_errno("cannot lock " + directory.path().string(), errno));
  return fd;
}

std::optional<UniqueFd> lock_freeze_within(const Directory& directory, FreezeLock mode,
                                           std::chrono::milliseconds patience, int cancel_fd) {
  UniqueFd fd = open_lock(directory);
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (::flock(fd.get(), operation_of(mode) | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR)
      throw Failure(error_from_errno("cannot lock " + directory.path().string(), errno));
    if (std::chrono::steady_clock::now() >= deadline) return std::nullopt;
    pollfd cancel{.fd = cancel_fd, .events = POLLIN, .revents = 0};
    if (::poll(&cancel, 1, wait_step_ms) > 0) throw Failure(make_error(ErrorKind::cancelled, "cancelled"));
  }
  return fd;
}

std::optional<UniqueFd> try_lock_freeze(const Directory& directory, FreezeLock mode) {
  UniqueFd fd = open_lock(directory);
  if (::flock(fd.get(), operation_of(mode) | LOCK_NB) == 0) return fd;
  if (errno == EWOULDBLOCK || errno == EINTR) return std::nullopt;
  throw Failure(error_from_errno("cannot lock " + directory.path().string(), errno));
}

}  // namespace bot_bottle::state
