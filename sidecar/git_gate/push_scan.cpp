#include "sidecar/git_gate/push_scan.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "core/base/text.hpp"
#include "sidecar/git_gate/archive.hpp"
#include "sidecar/git_gate/receive_request.hpp"
#include "sidecar/scan/content_scan.hpp"

namespace bot_bottle::git_gate {
namespace {

constexpr std::size_t read_octets = std::size_t{256} << 10;
constexpr std::size_t max_header = 16384;  // "oid type size path": a path has at most 4096 octets
constexpr std::size_t name_digits = 32;
constexpr std::size_t oid_octets = 20;

std::string to_utf8(std::string_view text) {
  if (is_valid_utf8(text)) return std::string(text);
  std::string out;  // octets that are no text are shown as such: two names must not become one
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if (octet < 0x80)
      out += c;
    else
      out += fmt::format("\\x{:02x}", octet);
  }
  return out;
}

/// The part of a commit or tag that its author wrote. Names of objects are git's.
std::string without_links(std::string_view bytes, std::initializer_list<std::string_view> keys) {
  std::string out;
  while (!bytes.empty()) {
    const std::size_t newline = bytes.find('\n');
    const std::string_view line = bytes.substr(0, newline);
    const bool link = std::ranges::any_of(
        keys, [&](std::string_view key) { return line.starts_with(key) && is_oid(line.substr(key.size())); });
    if (!link) break;
    bytes.remove_prefix(newline == std::string_view::npos ? bytes.size() : newline + 1);
  }
  out = bytes;
  return out;
}

}  // namespace

/// `git cat-file --batch` as a stream, read with a look at the cancelling descriptor.
class PushScan::Reader {
 public:
  Reader(int fd, int cancel_fd) : fd_(fd), cancel_fd_(cancel_fd), buffer_(read_octets) {}

  /// The next line without its end; nothing at the end of the stream.
  Result<std::optional<std::string>> line() {
    std::string text;
    while (true) {
      const char* from = buffer_.data() + begin_;
      if (const void* at = std::memchr(from, '\n', end_ - begin_); at != nullptr) {
        const auto size = static_cast<std::size_t>(static_cast<const char*>(at) - from);
        text.append(from, size);
        begin_ += size + 1;
        return std::optional<std::string>(std::move(text));
      }
      text.append(from, end_ - begin_);
      begin_ = end_;
      if (text.size() > max_header) return fail(ErrorKind::internal, "git cat-file wrote a header without an end");
      BB_TRY(const bool more, fill());
      if (!more && text.empty()) return std::optional<std::string>();
      if (!more) return fail(ErrorKind::internal, "git cat-file ended in a header");
    }
  }

  /// Exactly `size` octets, in pieces.
  template <typename Take>
  Result<void> content(std::uint64_t size, Take&& take) {
    while (size > 0) {
      if (begin_ == end_) {
        BB_TRY(const bool more, fill());
        if (!more) return fail(ErrorKind::internal, "git cat-file ended in an object");
      }
      const std::size_t count = static_cast<std::size_t>(std::min<std::uint64_t>(size, end_ - begin_));
      take(std::string_view(buffer_.data() + begin_, count));
      begin_ += count;
      size -= count;
    }
    return {};
  }

 private:
  Result<bool> fill() {
    while (true) {
      std::array<pollfd, 2> polled{
          {{.fd = fd_, .events = POLLIN, .revents = 0}, {.fd = cancel_fd_, .events = POLLIN, .revents = 0}}};
      if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) return fail(error_from_errno("poll", errno));
      if (polled[1].revents != 0) return fail(ErrorKind::cancelled, "the push was cancelled");
      if (polled[0].revents == 0) continue;
      const ssize_t count = ::read(fd_, buffer_.data(), buffer_.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return fail(error_from_errno("reading objects", errno));
      begin_ = 0;
      end_ = static_cast<std::size_t>(count);
      return count > 0;
    }
  }

  int fd_;
  int cancel_fd_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

std::string PushFinding::fingerprint() const {
  return fmt::format("{}:{}:{}:{}", commit, file, rule, line);
}

Result<void> PushScan::run(const std::filesystem::path& list, Workshop::Environment environment, int cancel_fd) {
  const UniqueFd names(::open(list.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!names) return fail(error_from_errno(list.string(), errno));
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(error_from_errno("pipe", errno));
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  ProcessRequest request = workshop_.request(
      {"cat-file", "--batch=%(objectname) %(objecttype) %(objectsize) %(rest)", "--buffer"}, std::move(environment));
  request.fds = {{names.get(), 0}, {write_end.get(), 1}};
  BB_TRY(const pid_t pid, spawn_process(request));
  write_end.reset();
  const auto work = [&]() -> Result<void> {
    Reader reader(read_end.get(), cancel_fd);
    while (true) {
      BB_TRY(const std::optional<std::string> header, reader.line());
      if (!header) return {};
      const std::vector<std::string_view> parts = split(*header, ' ');
      Object object;
      const std::string_view size = parts.size() > 2 ? parts[2] : std::string_view();
      const auto end = std::from_chars(size.data(), size.data() + size.size(), object.size);
      if (parts.size() < 3 || !is_oid(parts[0]) || size.empty() || end.ptr != size.data() + size.size())
        return fail(ErrorKind::invalid_argument,
                    fmt::format("the push is not whole: object {} is missing", parts.front().substr(0, 40)));
      object.oid = std::string(parts[0]);
      if (parts[1] == "commit")
        object.kind = Kind::commit;
      else if (parts[1] == "tree")
        object.kind = Kind::tree;
      else if (parts[1] == "tag")
        object.kind = Kind::tag;
      const std::size_t rest = parts[0].size() + parts[1].size() + parts[2].size() + 3;
      if (rest < header->size()) object.path = header->substr(rest);
      BB_CHECK(this->object(object, reader));
      BB_CHECK(reader.content(1, [](std::string_view) {}));  // the line end after each object
    }
  };
  Result<void> result = work();
  if (!result) ::kill(pid, SIGKILL);
  BB_TRY(const int code, wait_for_exit(pid));
  if (result && code != 0) return fail(ErrorKind::internal, fmt::format("git cat-file ended with code {}", code));
  return result;
}

Result<void> PushScan::object(const Object& object, Reader& reader) {
  ++totals_.objects;
  totals_.octets += object.size;
  if (totals_.octets > rules_.max_octets)
    return fail(ErrorKind::refused, fmt::format("the push unpacks to more than {} MiB", rules_.max_octets >> 20U),
                "push it in parts");
  if (object.kind == Kind::blob && object.size > max_archive_octets) return large_blob(object, reader);
  std::string bytes;
  if (object.size > max_archive_octets)
    return fail(ErrorKind::refused, fmt::format("object {} is too large for what it is", object.oid));
  bytes.reserve(static_cast<std::size_t>(object.size));
  BB_CHECK(reader.content(object.size, [&](std::string_view piece) { bytes.append(piece); }));
  switch (object.kind) {
    case Kind::commit:
      return commit(object, bytes);
    case Kind::tree:
      tree(object, bytes);
      break;
    case Kind::tag:
      tag(object, bytes);
      break;
    case Kind::blob:
      blob(object, bytes);
      break;
  }
  return {};
}

Result<void> PushScan::large_blob(const Object& object, Reader& reader) {
  scan::ContentScan content(*rules_.rules, *rules_.secrets, object.path,
                            [&](const scan::ContentFinding& finding) { found(finding, object.path); });
  std::string head;
  BB_CHECK(reader.content(object.size, [&](std::string_view piece) {
    if (head.size() < 512) head.append(piece.substr(0, 512));
    content.write(piece);
  }));
  content.finish();
  if (Unpacker::is_archive(head))
    add({"git-gate-unread-archive",
         {},
         shown_path(object.path),
         1,
         "plain",
         fmt::format("an archive of more than {} MiB", max_archive_octets >> 20U)});
  return {};
}

void PushScan::text(std::string_view bytes, const std::string& commit, const std::string& file) {
  commit_ = commit;
  scan::ContentScan content(*rules_.rules, *rules_.secrets, {},
                            [&](const scan::ContentFinding& finding) { found(finding, file); });
  content.write(bytes);
  content.finish();
}

Result<void> PushScan::commit(const Object& object, std::string_view bytes) {
  commit_ = object.oid;
  const std::string written = without_links(bytes, {"tree ", "parent "});
  const std::size_t empty_line = written.find("\n\n");
  const std::string_view all = written;
  const std::string_view header = all.substr(0, empty_line);
  const std::string_view message = empty_line == std::string::npos ? std::string_view() : all.substr(empty_line + 2);
  if (rules_.require_signed_off && message.find("\nSigned-off-by: ") == std::string_view::npos &&
      !message.starts_with("Signed-off-by: "))
    return fail(ErrorKind::refused, fmt::format("commit {} has no Signed-off-by line", object.oid.substr(0, 12)),
                "git commit --amend --signoff");
  text(header, object.oid, "/commit-header");
  text(message, object.oid, "/commit-message");
  return {};
}

void PushScan::tag(const Object& object, std::string_view bytes) {
  text(without_links(bytes, {"object "}), object.oid, "/tag-message");
}

/// Names of files: those that were not looked at in this push. A known blob under a new name has only this to show it.
void PushScan::tree(const Object& object, std::string_view bytes) {
  const std::string directory = object.path.empty() ? std::string() : object.path + "/";
  std::string names;
  while (!bytes.empty()) {
    const std::size_t space = bytes.find(' ');
    const std::size_t nul = bytes.find('\0', space == std::string_view::npos ? 0 : space);
    if (space == std::string_view::npos || nul == std::string_view::npos || bytes.size() - nul <= oid_octets) break;
    std::string line = directory + std::string(bytes.substr(space + 1, nul - space - 1));
    // A commit of another repository is twenty octets of the agent's choice.
    if (bytes.substr(0, space) == "160000") line += " " + hex_encode(bytes.substr(nul + 1, oid_octets));
    bytes.remove_prefix(nul + 1 + oid_octets);
    // A digest that nobody can collide: a name that is taken for a seen one would not be looked at.
    if (seen_names_.insert(sha256_hex(line).substr(0, name_digits)).second) names += line + "\n";
  }
  if (!names.empty()) text(names, commit_.empty() ? object.oid : commit_, "/file-name");
}

void PushScan::blob(const Object& object, std::string_view bytes) {
  if (commit_.empty()) commit_ = object.oid;
  const auto look = [&](const std::string& path, std::string_view content) {
    scan::ContentScan one(*rules_.rules, *rules_.secrets, path,
                          [&](const scan::ContentFinding& finding) { found(finding, path); });
    one.write(content);
    one.finish();
  };
  look(object.path, bytes);
  if (!Unpacker::is_archive(bytes)) return;
  Unpacker unpacker([&](const std::string& name, std::string_view content) { look(name, content); });
  if (const auto fault = unpacker.open(object.path, bytes))
    add({"git-gate-unread-archive", {}, shown_path(object.path), 1, "plain", *fault});
}

/// A path that holds a secret is named by a digest: fingerprints go to logs and screens.
std::string PushScan::shown_path(std::string_view path) const {
  std::string shown = to_utf8(path);
  if (shown.starts_with('/')) return shown;
  if (shown.empty() || dlp::redact(*rules_.rules, *rules_.secrets, shown) == shown) return shown;
  return "/path-" + sha256_hex(path).substr(0, 16);
}

void PushScan::found(const scan::ContentFinding& finding, const std::string& file) {
  if (rules_.honour_inline_allow && finding.in_line.find("gitleaks:allow") != std::string_view::npos) {
    ++totals_.suppressed;
    return;
  }
  add({finding.rule, {}, shown_path(file), finding.line, finding.encoding, finding.snippet});
}

void PushScan::also(PushFinding finding) {
  commit_ = finding.commit;
  finding.file = shown_path(finding.file);
  add(std::move(finding));
}

/// An approval is of one commit. A baseline may say "in every commit" (gitleaks' form without one), but an entry of it
/// that names a commit must not be met by a directory that is called like that commit.
bool PushScan::is_allowed(const PushFinding& finding) const {
  const std::string whole = finding.fingerprint();
  if (rules_.allowed.contains(whole) || rules_.baseline.contains(whole)) return true;
  const std::string_view in_every = std::string_view(whole).substr(finding.commit.size() + 1);
  const std::size_t colon = in_every.find(':');
  if (colon != std::string_view::npos && is_oid(in_every.substr(0, colon))) return false;
  return rules_.baseline.contains(in_every);
}

void PushScan::add(PushFinding finding) {
  finding.commit = commit_;
  if (is_allowed(finding)) {
    ++totals_.suppressed;
    return;
  }
  const auto same = std::ranges::find_if(findings_, [&](const PushFinding& other) {
    return other.rule == finding.rule && other.file == finding.file && other.line == finding.line &&
           other.commit == finding.commit;
  });
  if (same != findings_.end())
    ++same->more;
  else if (findings_.size() < max_findings + (is_canary(finding) ? max_canaries : 0))
    findings_.push_back(std::move(finding));
  else
    ++totals_.left_out;
}

}  // namespace bot_bottle::git_gate
