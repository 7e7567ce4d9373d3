#include "sidecar/scan/git_range.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/base/unique_fd.hpp"

namespace bot_bottle::scan {
namespace {

constexpr std::size_t max_line = std::size_t{64} << 10;
constexpr std::size_t max_error_text = 4096;
constexpr std::size_t shown_digits = 12;
constexpr std::size_t max_object = std::size_t{16} << 20;  // of commits, tags and trees; files have no limit

ProcessRequest git(const std::filesystem::path& repository, std::vector<std::string> arguments) {
  ProcessRequest request;
  // The owner does not matter where nothing of the owner's is run.
  request.argv = {"git", "--no-pager",       "-c", "safe.directory=*", "-c", "core.commitGraph=false",
                  "-C",  repository.string()};
  request.argv.insert(request.argv.end(), arguments.begin(), arguments.end());
  const char* path = std::getenv("PATH");
  // The whole environment: neither a GIT_DIR nor a configuration of the caller's comes along.
  request.env = std::map<std::string, std::string>{{"PATH", path != nullptr ? path : "/usr/bin:/bin"},
                                                   {"LC_ALL", "C"},
                                                   {"GIT_CONFIG_NOSYSTEM", "1"},
                                                   {"GIT_CONFIG_GLOBAL", "/dev/null"},
                                                   {"GIT_ALLOW_PROTOCOL", "none"},
                                                   {"GIT_NO_LAZY_FETCH", "1"},
                                                   {"GIT_NO_REPLACE_OBJECTS", "1"},
                                                   {"GIT_GRAFT_FILE", "/dev/null"},
                                                   {"GIT_OPTIONAL_LOCKS", "0"},
                                                   {"GIT_TERMINAL_PROMPT", "0"}};
  return request;
}

/// A running git and what it says.
struct Child {
  UniqueFd in;  // a socket, so that writing to a dead one raises no signal
  UniqueFd out;
  UniqueFd err;  // a file in memory
  pid_t pid = -1;
  std::string buffer;

  Child() = default;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    in.reset();
    out.reset();  // ends it, should it still write
    if (pid > 0) (void)wait_for_exit(pid);
  }

  Result<void> start(ProcessRequest request) {
    std::array<int, 2> input{};
    std::array<int, 2> output{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, input.data()) != 0)
      return fail(error_from_errno("cannot make a socket", errno));
    in.reset(input[0]);
    const UniqueFd their_in(input[1]);
    if (::pipe2(output.data(), O_CLOEXEC) != 0) return fail(error_from_errno("cannot make a pipe", errno));
    out.reset(output[0]);
    const UniqueFd their_out(output[1]);
    err.reset(::memfd_create("git-errors", MFD_CLOEXEC));
    if (!err) return fail(error_from_errno("cannot make a file in memory", errno));
    request.fds = {{their_in.get(), 0}, {their_out.get(), 1}, {err.get(), 2}};
    BB_TRY(pid, spawn_process(request));
    return {};
  }

  Result<std::size_t> read(char* into, std::size_t size) {
    if (!buffer.empty()) {
      const std::size_t count = buffer.copy(into, size);
      buffer.erase(0, count);
      return count;
    }
    ssize_t count = 0;
    do {
      count = ::read(out.get(), into, size);
    } while (count < 0 && errno == EINTR);
    if (count < 0) return fail(error_from_errno("reading from git", errno));
    return static_cast<std::size_t>(count);
  }

  /// Without its newline; nothing at the end.
  Result<std::optional<std::string>> line() {
    std::size_t end = 0;
    while ((end = buffer.find('\n')) == std::string::npos) {
      if (buffer.size() > max_line) return fail(ErrorKind::unavailable, "git says a line that is too long");
      std::array<char, 65536> piece{};
      ssize_t count = 0;
      do {
        count = ::read(out.get(), piece.data(), piece.size());
      } while (count < 0 && errno == EINTR);
      if (count < 0) return fail(error_from_errno("reading from git", errno));
      if (count == 0) return std::optional<std::string>{};
      buffer.append(piece.data(), static_cast<std::size_t>(count));
    }
    std::string line = buffer.substr(0, end);
    buffer.erase(0, end + 1);
    return std::optional<std::string>(std::move(line));
  }

  Result<void> say(std::string text) const {
    text += '\n';
    for (std::string_view rest = text; !rest.empty();) {
      const ssize_t count = ::send(in.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return fail(ErrorKind::unavailable, "git ended: " + words());
      rest.remove_prefix(static_cast<std::size_t>(count));
    }
    return {};
  }

  [[nodiscard]] std::string words() const {
    std::string text(max_error_text, '\0');
    const ssize_t count = ::pread(err.get(), text.data(), text.size(), 0);
    text.resize(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    return std::string(trim(text));
  }

  /// Its end; an error holds what it said.
  Result<void> finish() {
    in.reset();
    const pid_t ended = std::exchange(pid, -1);
    BB_TRY(const int code, wait_for_exit(ended));
    if (code != 0) return fail(ErrorKind::invalid_argument, fmt::format("git ended with {}: {}", code, words()));
    return {};
  }
};

class RangeScan {
 public:
  RangeScan(FileScan& scan, Child& objects) : scan_(scan), objects_(objects) {}

  /// `line`: "<hash>" of a commit, "<hash> <path>" of what it brought.
  Result<void> object(const std::string& line) {
    const std::size_t space = line.find(' ');
    const std::string hash = line.substr(0, space);
    const std::string name = space == std::string::npos ? "" : line.substr(space + 1);
    BB_CHECK(objects_.say(hash));
    BB_TRY(const std::optional<std::string> header, objects_.line());
    if (!header) return fail(ErrorKind::unavailable, "git ended: " + objects_.words());
    // "<hash> <type> <size>", or "<hash> missing".
    const std::vector<std::string_view> words = split(*header, ' ');
    std::uint64_t size = 0;
    if (words.size() != 3 || std::from_chars(words[2].data(), words[2].data() + words[2].size(), size).ptr !=
                                 words[2].data() + words[2].size()) {
      scan_.error(label(hash, name), "git cannot read it: " + *header);
      return {};
    }
    const std::string type(words[1]);
    std::uint64_t left = size;
    const FileScan::Read read = [&](char* into, std::size_t most) -> Result<std::size_t> {
      if (left == 0) return std::size_t{0};
      BB_TRY(const std::size_t count,
             objects_.read(into, static_cast<std::size_t>(std::min<std::uint64_t>(most, left))));
      if (count == 0) return fail(ErrorKind::unavailable, "git ended within it");
      left -= count;
      return count;
    };
    if (type == "blob") {
      scan_.stream(label(hash, name), name, read);
    } else if (type == "tree") {
      BB_CHECK(names(hash, size, read));
    } else {
      BB_CHECK(message(hash, type, size, read));
    }
    if (left != 0) return fail(ErrorKind::unavailable, "git ended within " + hash);
    BB_TRY(const std::optional<std::string> rest, objects_.line());
    if (!rest || !rest->empty()) return fail(ErrorKind::unavailable, "git does not say what it announced");
    return {};
  }

 private:
  static std::filesystem::path label(const std::string& hash, const std::string& name) {
    return hash.substr(0, shown_digits) + ":" + name;
  }

  static Result<void> skip(const FileScan::Read& read) {
    std::array<char, 65536> piece{};
    for (std::size_t count = 1; count > 0;) {
      BB_TRY(count, read(piece.data(), piece.size()));
    }
    return {};
  }

  static Result<std::string> whole(std::uint64_t size, const FileScan::Read& read) {
    std::string text(static_cast<std::size_t>(size), '\0');
    for (std::size_t at = 0; at < text.size();) {
      BB_TRY(const std::size_t count, read(text.data() + at, text.size() - at));
      at += count;
    }
    return text;
  }

  /// What a commit calls a file can carry a secret as well as what is in it; a renamed one is in no list of new
  /// objects.
  Result<void> names(const std::string& hash, std::uint64_t size, const FileScan::Read& read) {
    if (size > max_object) {
      scan_.error(label(hash, "(file names)"), "too large to be read");
      return skip(read);
    }
    BB_TRY(const std::string tree, whole(size, read));
    std::string names;
    for (std::string_view rest = tree; !rest.empty();) {
      // "<mode> <name>\0<octets of the hash>"
      const std::size_t space = rest.find(' ');
      const std::size_t end = rest.find('\0');
      if (space == std::string_view::npos || end == std::string_view::npos || space > end) break;
      names.append(rest.substr(space + 1, end - space - 1)).append("\n");
      rest.remove_prefix(std::min(rest.size(), end + 1 + hash.size() / 2));
    }
    if (!names.empty()) scan_.text(label(hash, "(file names)"), names);
    return {};
  }

  /// Commits and tags: names of people and the message; not the hashes before them, nor a signature's base64.
  Result<void> message(const std::string& hash, const std::string& type, std::uint64_t size,
                       const FileScan::Read& read) {
    if (size > max_object) {
      scan_.error(label(hash, "(" + type + ")"), "too large to be read");
      return skip(read);
    }
    BB_TRY(const std::string text, whole(size, read));
    const std::size_t end = text.find("\n\n");
    std::string said = end == std::string::npos ? text : text.substr(end + 2);
    for (const std::string_view field : split(std::string_view(text).substr(0, end), '\n'))
      if (field.starts_with("author ") || field.starts_with("committer ") || field.starts_with("tagger ") ||
          field.starts_with("tag "))
        said.append("\n").append(field);
    scan_.text(label(hash, "(" + type + " message)"), said);
    return {};
  }

  FileScan& scan_;
  Child& objects_;
};

}  // namespace

Result<void> scan_git_range(FileScan& scan, const std::filesystem::path& repository, const std::string& range) {
  if (range.empty() || range.front() == '-')
    return fail(ErrorKind::invalid_argument, fmt::format("'{}' is not a range of commits", range), "main..HEAD, say");
  Child list;
  Child objects;
  BB_CHECK(list.start(git(repository, {"rev-list", "--objects", "--end-of-options", range, "--"})));
  list.in.reset();
  BB_CHECK(objects.start(git(repository, {"cat-file", "--batch"})));
  RangeScan range_scan(scan, objects);
  while (true) {
    BB_TRY(const std::optional<std::string> line, list.line());
    if (!line) break;
    BB_CHECK(range_scan.object(*line));
  }
  BB_CHECK(list.finish());
  return objects.finish();
}

}  // namespace bot_bottle::scan
