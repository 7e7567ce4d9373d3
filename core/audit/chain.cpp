#include "core/audit/chain.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#ifdef BB_TEST_HOOKS
#include <csignal>
#endif

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::audit {
namespace {

/// Behind the head there is one append at most; a batch is what one look at a journal gives.
constexpr std::size_t max_behind_head = std::size_t{256} << 20;

/// BOT_BOTTLE_TEST_KILL_AT in test builds: between which two writes this process dies.
bool dies_at([[maybe_unused]] std::string_view point) {
#ifdef BB_TEST_HOOKS
  return environment("BOT_BOTTLE_TEST_KILL_AT") == point;
#else
  return false;
#endif
}

void may_die_at([[maybe_unused]] std::string_view point) {
#ifdef BB_TEST_HOOKS
  if (dies_at(point)) ::kill(::getpid(), SIGKILL);
#endif
}

std::string read_range(int fd, std::uint64_t from, std::size_t count, const std::string& name) {
  std::string text(count, '\0');
  std::size_t done = 0;
  while (done < count) {
    const ssize_t got = ::pread(fd, text.data() + done, count - done, static_cast<off_t>(from + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Failure(error_from_errno("reading " + name, errno));
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  text.resize(done);
  return text;
}

/// The file under its name, locked by us: another process may have moved it away while we waited.
UniqueFd open_locked(const std::filesystem::path& path) {
  while (true) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
    if (!fd) throw Failure(error_from_errno("opening " + path.string(), errno));
    while (::flock(fd.get(), LOCK_EX) != 0)
      if (errno != EINTR) throw Failure(error_from_errno("locking " + path.string(), errno));
    struct stat ours {};
    struct stat named {};
    if (::fstat(fd.get(), &ours) != 0) throw Failure(error_from_errno(path.string(), errno));
    if (!S_ISREG(ours.st_mode))
      throw Failure(make_error(ErrorKind::failed_precondition, path.string() + " is not a regular file"));
    if (::lstat(path.c_str(), &named) == 0 && named.st_ino == ours.st_ino && named.st_dev == ours.st_dev) return fd;
  }
}

}  // namespace

Error Chain::damaged(std::string_view why) const {
  Error error = make_error(ErrorKind::failed_precondition,
                           fmt::format("the audit of '{}' is not what was written: {}", slug_, why),
                           "bot-bottle audit verify " + slug_);
  error.details = fmt::format("nothing is added to it; to begin a new one, move both away: {}, {}",
                              file_of(home_, slug_).string(), head_of(home_, slug_).string());
  return error;
}

Chain Chain::open(const Home& home, const std::string& slug) {
  or_throw(make_directories(home.audit()));
  Chain chain(home, slug, open_locked(file_of(home, slug)));
  chain.mend();
  return chain;
}

void Chain::mend() {
  const std::string name = file_of(home_, slug_).string();
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) throw Failure(error_from_errno(name, errno));
  const auto size = static_cast<std::uint64_t>(status.st_size);
  const auto head = load_head(home_, slug_);
  if (!head) {
    if (size != 0) throw Failure(damaged("there are lines, but no record of how many"));
    head_.last = first_previous(slug_);
    // Before the first line: lines without a head are never ours. It also makes the name of the file durable.
    write_head(home_, slug_, head_);
    return;
  }
  head_ = *head;
  if (size < head_.octets) throw Failure(damaged("its end is missing"));
  check_last_line();
  if (size - head_.octets > max_behind_head) throw Failure(damaged("there is too much behind its last line"));
  const std::string behind = read_range(fd_.get(), head_.octets, static_cast<std::size_t>(size - head_.octets), name);
  std::size_t begin = 0;
  for (std::size_t end = behind.find('\n'); end != std::string::npos; end = behind.find('\n', begin)) {
    take_up(std::string_view(behind).substr(begin, end - begin));
    begin = end + 1;
  }
  // Nobody was told of a line that was not on disk as a whole.
  if (begin != behind.size() && ::ftruncate(fd_.get(), static_cast<off_t>(head_.octets)) != 0)
    throw Failure(error_from_errno("cutting half a line off " + name, errno));
}

/// That the head belongs to this file; the whole is verify's.
void Chain::check_last_line() const {
  if (head_.lines == 0) {
    if (head_.octets != 0 || head_.last != first_previous(slug_)) throw Failure(damaged("its head record was changed"));
    return;
  }
  const std::size_t count = std::min<std::uint64_t>(head_.octets, max_line_octets + 1);
  const std::string tail = read_range(fd_.get(), head_.octets - count, count, file_of(home_, slug_).string());
  if (tail.size() < 2 || tail.back() != '\n') throw Failure(damaged("its last line was changed"));
  const std::size_t before = tail.rfind('\n', tail.size() - 2);
  const std::size_t begin = before == std::string::npos ? 0 : before + 1;
  if (sha256_hex(std::string_view(tail).substr(begin, tail.size() - 1 - begin)) != head_.last)
    throw Failure(damaged("its last line was changed"));
}

/// A whole line that a crash left behind the head.
void Chain::take_up(std::string_view line) {
  const auto record = parse_json_object(line, max_line_octets);
  if (!record || get_string(*record, "previous") != head_.last ||
      get_int(*record, "n", -1) != static_cast<std::int64_t>(head_.lines + 1))
    throw Failure(damaged(fmt::format("line {} does not follow the one before it", head_.lines + 1)));
  head_.journal = get_string(*record, "journal");
  head_.seq = static_cast<std::uint64_t>(get_int(*record, "seq", 0));
  head_.last = sha256_hex(line);
  head_.octets += line.size() + 1;
  ++head_.lines;
}

std::uint64_t recorded_of(const Home& home, const std::string& slug, std::string_view journal) {
  std::error_code code;
  if (!std::filesystem::exists(file_of(home, slug), code) && !std::filesystem::exists(head_of(home, slug), code))
    return 0;
  return Chain::open(home, slug).cursor(journal);
}

std::size_t Chain::append(std::string_view journal, const std::vector<json::object>& decisions) {
  Head next = head_;
  std::string text;
  std::uint64_t last = cursor(journal);
  for (const json::object& decision : decisions) {
    const std::int64_t seq = get_int(decision, "seq", 0);
    if (seq <= 0 || static_cast<std::uint64_t>(seq) <= last) continue;
    last = static_cast<std::uint64_t>(seq);
    const std::string line = make_line(decision, slug_, journal, next.lines + 1, next.last);
    next.last = sha256_hex(line);
    next.octets += line.size() + 1;
    ++next.lines;
    text += line + "\n";
  }
  if (text.empty()) return 0;
  next.journal = journal;
  next.seq = last;
  may_die_at("audit-begin");
  if (dies_at("audit-half")) {
    [[maybe_unused]] const auto half = write_all(fd_.get(), std::string_view(text).substr(0, text.size() / 2));
    may_die_at("audit-half");
  }
  auto written = write_all(fd_.get(), text);
  if (!written || ::fsync(fd_.get()) != 0) {
    Error error = written ? error_from_errno(file_of(home_, slug_).string(), errno) : std::move(written.error());
    // Half a line must not stand where the next one will.
    if (::ftruncate(fd_.get(), static_cast<off_t>(head_.octets)) != 0) error.details = "and it could not be taken back";
    throw Failure(std::move(error).within("recording decisions"));
  }
  may_die_at("audit-line");
  write_head(home_, slug_, next);
  may_die_at("audit-head");
  const std::size_t count = static_cast<std::size_t>(next.lines - head_.lines);
  head_ = std::move(next);
  return count;
}

}  // namespace bot_bottle::audit
