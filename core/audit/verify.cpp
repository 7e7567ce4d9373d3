#include "core/audit/verify.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>

#include "core/audit/record.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/base/unique_fd.hpp"

namespace bot_bottle::audit {
namespace {

/// Invalid when there is none. Shared: an append is seen whole or not at all.
UniqueFd open_shared(const std::filesystem::path& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) {
    if (errno == ENOENT) return fd;
    throw Failure(error_from_errno("opening " + path.string(), errno));
  }
  while (::flock(fd.get(), LOCK_SH) != 0)
    if (errno != EINTR) throw Failure(error_from_errno("locking " + path.string(), errno));
  return fd;
}

enum class Ending : std::uint8_t { whole, torn };

/// `visit` gets each line without its newline; a line over the limit is given cut. Gives how the last one ends.
Ending read_lines(int fd, const std::function<void(std::string_view)>& visit) {
  std::array<char, 65536> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): read(2) fills it
  std::string rest;
  bool too_long = false;
  while (true) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Failure(error_from_errno("reading an audit", errno));
    if (got == 0) break;
    std::string_view piece(buffer.data(), static_cast<std::size_t>(got));
    while (!piece.empty()) {
      const std::size_t end = piece.find('\n');
      if (!too_long) rest += piece.substr(0, end);
      too_long = rest.size() > max_line_octets;
      if (end == std::string_view::npos) break;
      visit(rest);
      rest.clear();
      too_long = false;
      piece.remove_prefix(end + 1);
    }
  }
  return rest.empty() ? Ending::whole : Ending::torn;
}

class Check {
 public:
  Check(Verdict& verdict, std::string_view slug) : verdict_(verdict), previous_(first_previous(slug)) {}

  void line(std::string_view text) {
    const std::uint64_t at = ++verdict_.lines;
    const auto record = text.size() > max_line_octets
                            ? Result<json::object>(make_error(ErrorKind::invalid_argument, ""))
                            : parse_json_object(text, max_line_octets);
    if (!record) {
      fault(fmt::format("line {} is no record: it was changed", at));
      ++expected_;
    } else {
      const std::int64_t number = get_int(*record, "n", -1);
      if (number > expected_) {
        fault(fmt::format("line {}: {} before it {} missing (number {} stands where {} was)", at, number - expected_,
                          number - expected_ == 1 ? "line is" : "lines are", number, expected_));
        expected_ = number + 1;
      } else if (number < expected_) {
        fault(fmt::format("line {}: number {} stands where {} was: lines were put elsewhere, or doubled", at, number,
                          expected_));
      } else {
        if (get_string(*record, "previous") != previous_)
          fault(at == 1 ? std::string("line 1 was changed, or the file belongs to another bottle")
                        : fmt::format("line {} was changed (line {} does not follow it)", at - 1, at));
        ++expected_;
      }
    }
    previous_ = sha256_hex(text);
    octets_ += text.size() + 1;
    if (head_ != nullptr && verdict_.lines == head_->lines) at_head_ = previous_;
  }

  void end(Ending ending) {
    if (head_ == nullptr) {
      fault("the record of how many lines there are (.head) is missing");
      return;
    }
    if (verdict_.lines < head_->lines) {
      fault(fmt::format("its end is missing: {} of {} lines are there", verdict_.lines, head_->lines));
      return;
    }
    if (head_->lines > 0 && at_head_ != head_->last)
      fault(fmt::format("line {} was changed (it is not what the head record says)", head_->lines));
    if (const std::uint64_t newer = verdict_.lines - head_->lines; newer > 0)
      verdict_.note = fmt::format("{} {} recorded after the head record: a crash, or an append right now", newer,
                                  newer == 1 ? "line was" : "lines were");
    if (ending == Ending::torn) {
      if (!verdict_.note.empty()) verdict_.note += "; ";
      verdict_.note += "half a line at the end, of a crash; the next append removes it";
    }
  }

  void fault(std::string text) {
    if (verdict_.faults.size() < max_faults) verdict_.faults.push_back(std::move(text));
  }
  void set_head(const Head* head) { head_ = head; }

 private:
  Verdict& verdict_;
  const Head* head_ = nullptr;
  std::string previous_;
  std::string at_head_;
  std::int64_t expected_ = 1;
  std::uint64_t octets_ = 0;
};

}  // namespace

Verdict verify(const Home& home, const std::string& slug) {
  Verdict verdict;
  Check check(verdict, slug);
  const UniqueFd fd = open_shared(file_of(home, slug));
  std::optional<Head> head;
  try {
    head = load_head(home, slug);
  } catch (const Failure& failure) {
    check.fault(failure.error().message);
    head = Head{};
    head->last = first_previous(slug);
  }
  if (!fd && !head)
    throw Failure(make_error(ErrorKind::not_found, "there is no audit of '" + slug + "'", "bot-bottle audit"));
  check.set_head(head ? &*head : nullptr);
  if (!fd) {
    if (head->lines > 0) check.fault(fmt::format("the file is gone; it had {} lines", head->lines));
    return verdict;
  }
  const Ending ending = read_lines(fd.get(), [&check](std::string_view text) { check.line(text); });
  if (head || verdict.lines > 0 || ending == Ending::torn) check.end(ending);
  return verdict;
}

void for_each_line(const Home& home, const std::string& slug, const std::function<void(const json::object&)>& visit) {
  const UniqueFd fd = open_shared(file_of(home, slug));
  if (!fd) return;
  read_lines(fd.get(), [&visit](std::string_view text) {
    if (const auto record = parse_json_object(text, max_line_octets)) visit(*record);
  });
}

std::vector<std::string> list_audits(const Home& home) {
  std::set<std::string> found;
  std::error_code code;
  for (const auto& entry : std::filesystem::directory_iterator(home.audit(), code)) {
    const std::string extension = entry.path().extension().string();
    if (extension == ".jsonl" || extension == ".head") found.insert(entry.path().stem().string());
  }
  return {found.begin(), found.end()};
}

}  // namespace bot_bottle::audit
