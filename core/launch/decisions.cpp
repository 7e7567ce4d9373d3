#include "core/launch/decisions.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/audit/chain.hpp"
#include "core/base/clock.hpp"
#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/random.hpp"
#include "core/launch/control_client.hpp"
#include "core/supervise/journal.hpp"

namespace bot_bottle::launch {
namespace {

constexpr std::string_view name_file = "audit.json";
constexpr std::size_t journal_name_length = 16;
/// A sidecar that answers `decisions` with ever more is not asked for ever.
constexpr int most_rounds = 1'000;

/// Which journal this is: a slug may be used again, and its decisions are counted from one again then.
std::string journal_of(const state::Directory& directory) {
  const std::filesystem::path path = directory.path() / name_file;
  if (const auto document = directory.find_document(name_file))
    if (std::string name = get_string(*document, "journal"); !name.empty()) return name;
  const std::filesystem::path fresh = path.string() + "." + random_base36(8);
  or_throw(write_file_atomic(fresh, to_text(json::object{{"schema", "bot-bottle.audit-source/1"},
                                                         {"journal", random_base36(journal_name_length)}}) +
                                        "\n"));
  // Of two that come at once one gives the name.
  const int code = ::link(fresh.c_str(), path.c_str()) == 0 ? 0 : errno;
  ::unlink(fresh.c_str());
  if (code != 0 && code != EEXIST) throw Failure(error_from_errno("cannot create " + path.string(), code));
  const auto document = directory.find_document(name_file);
  const std::string name = document ? get_string(*document, "journal") : "";
  if (name.empty())
    throw Failure(
        make_error(ErrorKind::failed_precondition, path.string() + " is not what bot-bottle writes", "remove it"));
  return name;
}

std::vector<json::object> objects_of(const json::object& answer) {
  std::vector<json::object> decisions;
  if (const json::array* list = find_array(answer, "decisions"))
    for (const json::value& value : *list)
      if (value.is_object()) decisions.push_back(value.as_object());
  std::ranges::stable_sort(decisions, {}, [](const json::object& one) { return get_int(one, "seq", 0); });
  return decisions;
}

}  // namespace

std::uint64_t decisions_recorded(const Home& home, const state::Directory& directory) {
  return audit::recorded_of(home, directory.slug(), journal_of(directory));
}

std::size_t record_decisions(const Home& home, const state::Directory& directory, const json::object& answer) {
  const std::vector<json::object> decisions = objects_of(answer);
  if (decisions.empty()) return 0;
  return audit::Chain::open(home, directory.slug()).append(journal_of(directory), decisions);
}

std::size_t copy_decisions(const Home& home, const state::Directory& directory, std::chrono::milliseconds timeout) {
  std::size_t copied = 0;
  // Over all rounds: a sidecar that was taken over must not keep its own end waiting, one invented decision at a time.
  const auto end = std::chrono::steady_clock::now() + 3 * timeout;
  for (int round = 0; round < most_rounds; ++round) {
    json::object answer;
    try {
      answer = control_call(directory.control_socket(),
                            {{"call", "decisions"}, {"after", decisions_recorded(home, directory)}}, timeout);
    } catch (const Failure& failure) {
      const ErrorKind kind = failure.error().kind;
      if (kind == ErrorKind::unsupported || kind == ErrorKind::not_found || kind == ErrorKind::invalid_argument) break;
      throw;
    }
    const std::size_t count = record_decisions(home, directory, answer);
    copied += count;
    if (count == 0 || std::chrono::steady_clock::now() >= end) break;
  }
  return copied;
}

void keep_decisions(const Home& home, const state::Directory& directory) {
  const std::filesystem::path supervise = directory.path() / "supervise";
  struct stat status {};
  // Opening would make one, and a sidecar that was taken over may have left a pipe that nobody writes to.
  if (::lstat((supervise / "journal.jsonl").c_str(), &status) != 0) return;
  json::array decisions;
  std::string fault = "it is no regular file";
  if (S_ISREG(status.st_mode)) {
    const auto journal = supervise::Journal::open(supervise);
    fault = journal ? "" : journal.error().message;
    if (journal)
      for (const supervise::Entry& entry : journal->entries()) decisions.emplace_back(supervise::to_json(entry));
  }
  if (!fault.empty())
    decisions.push_back({{"seq", decisions_recorded(home, directory) + 1},
                         {"at", format_time(now_ms())},
                         {"decision", "lost"},
                         {"by", "bot-bottle"},
                         {"reason", "the bottle's journal cannot be read, decisions may be missing: " + fault}});
  record_decisions(home, directory, {{"decisions", std::move(decisions)}});
}

}  // namespace bot_bottle::launch
