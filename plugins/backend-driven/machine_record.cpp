#include "plugins/backend-driven/machine_record.hpp"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::driven {
namespace {

namespace fs = std::filesystem;
constexpr const char* prefix = "bot-bottle-";
constexpr std::size_t hash_digits = 8;
constexpr std::size_t max_record = 65536;

std::string record_path(const std::string& state_dir) {
  return state_dir + "/backend/machine.json";
}

}  // namespace

std::string machine_name(const std::string& state_dir) {
  std::string slug;
  for (const char c : fs::path(state_dir).filename().string())
    if (c != '-' || (!slug.empty() && slug.back() != '-')) slug.push_back(c);  // no tool takes "--" everywhere
  while (!slug.empty() && slug.back() == '-') slug.pop_back();
  return prefix + slug + "-" + sha256_hex(state_dir).substr(0, hash_digits);
}

bool is_machine_name(const std::string& name) {
  if (!name.starts_with(prefix) || name.size() < std::string_view(prefix).size() + hash_digits + 2) return false;
  const std::string_view hash = std::string_view(name).substr(name.size() - hash_digits);
  return name[name.size() - hash_digits - 1] == '-' &&
         hash.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

void save_record(const std::string& state_dir, json::object record) {
  or_throw(make_directories(state_dir + "/backend", 0700));
  or_throw(write_file_atomic(record_path(state_dir), to_text(record), 0600));
}

std::optional<json::object> load_record(const std::string& state_dir) {
  const std::string path = record_path(state_dir);
  const auto unreadable = [&](const std::string& why) {
    return Failure({.kind = ErrorKind::failed_precondition,
                    .message = "the record of the machine " + machine_name(state_dir) +
                               " cannot be read, it may run: " + path + ": " + why,
                    .hint = "mend or delete " + path + "; then the machine is looked for by its name",
                    .details = {}});
  };
  const auto text = read_file(path, max_record);
  if (!text && text.error().kind == ErrorKind::not_found) return std::nullopt;
  if (!text) throw unreadable(text.error().message);
  auto record = parse_json_object(*text);
  if (!record) throw unreadable(record.error().message);
  return std::move(*record);
}

void forget_record(const std::string& state_dir) {
  ::unlink(record_path(state_dir).c_str());
}

std::vector<RecordedMachine> list_records(const std::string& state_root, const std::string& backend) {
  std::vector<RecordedMachine> found;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(state_root, code)) {
    if (!entry.is_directory(code) || entry.is_symlink(code)) continue;
    const std::string state_dir = entry.path().string();
    std::optional<json::object> record;
    try {
      record = load_record(state_dir);
    } catch (const Failure& failure) {
      // Whose it is, it does not say: whoever asks looks for the machine by its name.
      found.push_back({entry.path().filename().string(), state_dir, {}, failure.error().message});
      continue;
    }
    // The name is derived again: a record that was moved or forged names nothing of another's.
    if (!record || get_string(*record, "backend") != backend || get_string(*record, "name") != machine_name(state_dir))
      continue;
    found.push_back({entry.path().filename().string(), state_dir, std::move(*record), {}});
  }
  std::ranges::sort(found, {}, &RecordedMachine::slug);
  return found;
}

}  // namespace bot_bottle::driven
