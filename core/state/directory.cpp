#include "core/state/directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/base/clock.hpp"
#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "core/base/result.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/state/slug.hpp"

namespace bot_bottle::state {
namespace {

constexpr std::string_view metadata_schema = "bot-bottle.metadata/1";
constexpr std::string_view lock_name = "lock";
constexpr std::string_view preserve_name = "preserve";

[[noreturn]] void throw_errno(std::string_view what) {
  throw Failure(error_from_errno(what, errno));
}

void make_state_root(const Home& home) {
  or_throw(make_directories(home.state()));
}

void make_subdirectories(const std::filesystem::path& path) {
  for (const char* name : {"egress", "wire", "control", "logs", "provision"})
    if (::mkdir((path / name).c_str(), 0700) != 0 && errno != EEXIST)
      throw_errno("cannot create " + (path / name).string());
}

/// Gives the name back unless everything inside it could be made.
class Reservation {
 public:
  explicit Reservation(std::filesystem::path path) : path_(std::move(path)) {}
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;
  ~Reservation() {
    if (kept_) return;
    [[maybe_unused]] const auto removed = remove_tree(path_);
  }
  void keep() { kept_ = true; }

 private:
  std::filesystem::path path_;
  bool kept_ = false;
};

}  // namespace

UniqueFd lock_state(const Home& home, LockMode mode) {
  make_state_root(home);
  const std::filesystem::path file = home.state() / ".lock";
  UniqueFd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) throw_errno("cannot open " + file.string());
  while (::flock(fd.get(), mode == LockMode::shared ? LOCK_SH : LOCK_EX) != 0)
    if (errno != EINTR) throw_errno("cannot lock " + file.string());
  return fd;
}

Directory Directory::reserve(const Home& home, const Metadata& metadata) {
  need_slug(metadata.slug);
  const UniqueFd held = lock_state(home, LockMode::shared);
  Directory directory(home.state_of(metadata.slug), metadata.slug);
  // Guarded by state_test: two_processes_race_for_one_slug_and_exactly_one_wins.
  if (::mkdir(directory.path_.c_str(), 0700) != 0) {
    if (errno == EEXIST)
      throw SlugTaken(make_error(ErrorKind::already_exists, "a bottle named '" + metadata.slug + "' exists",
                                 "choose another --label; or enter it: bot-bottle attach " + metadata.slug +
                                     "; or, if it ended: bot-bottle resume " + metadata.slug));
    throw_errno("cannot create " + directory.path_.string());
  }
  Reservation reservation(directory.path_);
  make_subdirectories(directory.path_);
  if (!directory.try_lock())
    throw Failure(make_error(ErrorKind::already_exists,
                             "the bottle '" + metadata.slug + "' is being used by another bot-bottle"));
  directory.write_metadata(metadata);
  reservation.keep();
  return directory;
}

Directory Directory::open(const Home& home, const std::string& slug) {
  need_slug(slug);
  Directory directory(home.state_of(slug), slug);
  struct stat status {};
  if (::lstat(directory.path_.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) {
    const std::vector<std::string> known = list_slugs(home);
    Error error = make_error(ErrorKind::not_found, "no bottle named '" + slug + "'", "bot-bottle list active");
    if (const auto near = nearest(slug, known)) error.details = "did you mean: " + *near;
    throw Failure(std::move(error));
  }
  make_subdirectories(directory.path_);
  return directory;
}

bool Directory::try_lock() {
  if (lock_) return true;
  UniqueFd fd(::open((path_ / lock_name).c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) throw_errno("cannot open " + (path_ / lock_name).string());
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return false;
    throw_errno("cannot lock " + path_.string());
  }
  lock_ = std::move(fd);
  return true;
}

Metadata Directory::metadata() const {
  const auto document = find_document("metadata.json");
  // One that says nothing is not ours to judge; one of another form would be read as a bottle that never was.
  if (const std::string schema = document ? get_string(*document, "schema") : std::string();
      !schema.empty() && schema != metadata_schema)
    throw Failure(make_error(
        ErrorKind::failed_precondition,
        "the bottle '" + slug_ + "' was kept by another version of bot-bottle (" + escape_untrusted(schema, 60) + ")",
        "go on with it in that version, or look into " + path_.string()));
  Metadata metadata = metadata_from_json(document.value_or(json::object{}));
  metadata.slug = slug_;
  return metadata;
}

void Directory::write_metadata(const Metadata& metadata, Durable durable) const {
  const std::string text = to_pretty_text(to_json(metadata));
  or_throw(durable == Durable::yes ? write_file_atomic(path_ / "metadata.json", text)
                                   : write_file_fast(path_ / "metadata.json", text));
}

std::optional<json::object> Directory::find_document(std::string_view name) const {
  auto text = read_file(path_ / name, max_document_bytes);
  if (!text) {
    if (text.error().kind == ErrorKind::not_found) return std::nullopt;
    throw Failure(std::move(text.error()));
  }
  auto document = parse_json_object(*text).map_error(in("reading " + (path_ / name).string()));
  if (!document && document.error().hint.empty())
    document.error().hint = "it was damaged; what the bottle left is in " + path_.string();
  return or_throw<json::object>(std::move(document));
}

// Without fsync: after a crash of the machine the bottle that it describes is gone too.
void Directory::write_document(std::string_view name, const json::object& document) const {
  or_throw(write_file_fast(path_ / name, to_text(document)));
}

void Directory::remove_document(std::string_view name) const {
  ::unlink((path_ / name).c_str());
}

std::optional<json::object> Directory::find_bottle() const {
  if (auto bottle = find_document("bottle.json")) return bottle;
  return find_document("plan.json");
}

void Directory::remove_sockets() const {
  for (const char* name : {"wire", "control"}) {
    std::error_code code;
    for (std::filesystem::directory_iterator it(path_ / name, code), end; !code && it != end; it.increment(code))
      ::unlink(it->path().c_str());
  }
}

void Directory::preserve(std::string_view reason, Durable durable) const {
  const std::string text = std::string(reason) + "\n";
  or_throw(durable == Durable::yes ? write_file_atomic(path_ / preserve_name, text)
                                   : write_file_fast(path_ / preserve_name, text));
}

std::string Directory::preserve_reason() const {
  const auto text = read_file(path_ / preserve_name, std::size_t{64} << 10);
  return text ? std::string(trim(std::string_view(*text).substr(0, text->find('\n')))) : std::string();
}

void Directory::unpreserve() const {
  ::unlink((path_ / preserve_name).c_str());
}

bool Directory::is_preserved() const {
  return ::access((path_ / preserve_name).c_str(), F_OK) == 0;
}

UniqueFd Directory::open_log(std::string_view name, int flags) const {
  // Attack G4 and friends: a sidecar that was taken over puts a link where the operator's side will write or read.
  const UniqueFd logs(::open((path_ / "logs").c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!logs) return {};
  UniqueFd fd(::openat(logs.get(), std::string(name).c_str(), flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_nlink != 1) return {};
  return fd;
}

void Directory::append_event(json::object event) const noexcept {
  try {
    json::object line{{"time", format_time(now_ms())}, {"kind", "launch"}};
    for (auto& member : event) line[member.key()] = member.value();
    if (!line.contains("level")) line["level"] = "info";
    const UniqueFd fd = open_log("events.jsonl", O_WRONLY | O_APPEND | O_CREAT);
    if (!fd) return;
    // One write, so that lines of the sidecar and ours do not mix.
    [[maybe_unused]] const auto written = write_all(fd.get(), to_text(line) + "\n");
  } catch (const std::exception&) {  // out of memory: the event is lost, the undo that reported it goes on
  }
}

std::string Directory::log_tail(std::string_view name, std::size_t max_bytes) const {
  const UniqueFd fd = open_log(name, O_RDONLY);
  if (!fd) return {};
  const off_t end = ::lseek(fd.get(), 0, SEEK_END);
  const off_t begin = std::max<off_t>(0, end - static_cast<off_t>(max_bytes));
  std::string text(static_cast<std::size_t>(end - begin), '\0');
  const ssize_t got = ::pread(fd.get(), text.data(), text.size(), begin);
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  if (begin > 0)
    if (const std::size_t line = text.find('\n'); line != std::string::npos) text.erase(0, line + 1);
  return text;
}

void Directory::remove() const {
  or_throw(remove_tree(path_));
}

std::vector<std::string> list_slugs(const Home& home) {
  std::vector<std::string> slugs;
  std::error_code code;
  for (std::filesystem::directory_iterator it(home.state(), code), end; !code && it != end; it.increment(code)) {
    const std::string name = it->path().filename().string();
    std::error_code ignored;
    if (is_slug(name) && it->symlink_status(ignored).type() == std::filesystem::file_type::directory)
      slugs.push_back(name);
  }
  std::ranges::sort(slugs);
  return slugs;
}

bool is_being_launched(const Directory& directory) {
  const auto document = directory.find_document("metadata.json");
  if (!document) {
    struct stat status {};
    if (::stat(directory.path().c_str(), &status) != 0) return false;
    return now_ms() - static_cast<std::int64_t>(status.st_ctime) * 1000 < reservation_grace_ms;
  }
  const Metadata metadata = metadata_from_json(*document);
  return metadata.cli.is_alive();
}

}  // namespace bot_bottle::state
