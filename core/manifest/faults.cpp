#include "core/manifest/faults.hpp"

#include <algorithm>
#include <set>
#include <tuple>

#include "core/base/error.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::manifest {

std::string to_text(const Fault& fault) {
  std::string text;
  if (!fault.place.file.empty()) {
    text += fault.place.file.string();
    if (fault.place.line > 0) text += ":" + std::to_string(fault.place.line) + ":" + std::to_string(fault.place.column);
    text += ": ";
  }
  if (fault.severity == Fault::Severity::warning) text += "warning: ";
  if (!fault.key_path.empty()) text += fault.key_path + ": ";
  text += fault.message;
  if (!fault.hint.empty()) text += "\n  " + fault.hint;
  return text;
}

json::object to_json(const Fault& fault) {
  return json::object{{"file", fault.place.file.string()},
                      {"line", fault.place.line},
                      {"column", fault.place.column},
                      {"key", fault.key_path},
                      {"message", fault.message},
                      {"hint", fault.hint},
                      {"severity", fault.severity == Fault::Severity::error ? "error" : "warning"}};
}

void Faults::error(Place place, std::string key_path, std::string message, std::string hint) {
  add(Fault{.place = std::move(place),
            .key_path = std::move(key_path),
            .message = std::move(message),
            .hint = std::move(hint),
            .severity = Fault::Severity::error});
}

void Faults::warning(Place place, std::string key_path, std::string message, std::string hint) {
  add(Fault{.place = std::move(place),
            .key_path = std::move(key_path),
            .message = std::move(message),
            .hint = std::move(hint),
            .severity = Fault::Severity::warning});
}

void Faults::add(Fault fault) {
  if (fault.severity == Fault::Severity::error) ++errors_;
  if (faults_.size() >= max_faults) {
    ++left_out_;
    return;
  }
  faults_.push_back(std::move(fault));
}

std::vector<Fault> Faults::take() {
  std::vector<std::filesystem::path> files;
  const auto rank = [&files](const std::filesystem::path& file) {
    const auto found = std::ranges::find(files, file);
    if (found != files.end()) return found - files.begin();
    files.push_back(file);
    return static_cast<std::ptrdiff_t>(files.size()) - 1;
  };
  for (const Fault& fault : faults_) rank(fault.place.file);
  std::ranges::stable_sort(faults_, [&rank](const Fault& a, const Fault& b) {
    return std::tuple(rank(a.place.file), a.place.line, a.place.column) <
           std::tuple(rank(b.place.file), b.place.line, b.place.column);
  });
  std::vector<Fault> out;
  std::set<std::string> seen;
  for (Fault& fault : faults_)
    if (seen.insert(to_text(fault)).second) out.push_back(std::move(fault));
  if (left_out_ > 0)
    out.push_back(Fault{.place = {},
                        .key_path = {},
                        .message = "and " + std::to_string(left_out_) + " more",
                        .hint = {},
                        .severity = errors_ > 0 ? Fault::Severity::error : Fault::Severity::warning});
  faults_.clear();
  errors_ = 0;
  left_out_ = 0;
  return out;
}

std::string shown(std::string_view text) {
  return escape_untrusted(text, 60);
}
std::string in_quotes(std::string_view text) {
  return "'" + shown(text) + "'";
}

std::string join_path(std::string_view path, std::string_view key) {
  return path.empty() ? shown(key) : std::string(path) + "." + shown(key);
}

std::string index_path(std::string_view path, std::size_t index) {
  return std::string(path) + "[" + std::to_string(index) + "]";
}

std::string suggestion(std::string_view word, std::span<const std::string> candidates, std::string_view label) {
  if (candidates.empty()) return {};
  if (const auto near = nearest(word, candidates)) return "did you mean '" + *near + "'?";
  constexpr std::size_t most = 40;
  std::string hint = std::string(label) + ": " + join(candidates.first(std::min(candidates.size(), most)), ", ");
  if (candidates.size() > most) hint += ", …";
  return hint;
}

void throw_faults(std::string_view what, const std::vector<Fault>& faults) {
  Error error;
  error.kind = ErrorKind::invalid_argument;
  std::size_t count = 0;
  for (const Fault& fault : faults) {
    if (fault.severity != Fault::Severity::error) continue;
    ++count;
    if (!error.details.empty()) error.details += "\n";
    error.details += to_text(fault);
  }
  error.message = std::string(what) + " has " + std::to_string(count) + (count == 1 ? " fault" : " faults");
  error.hint = "correct the file; 'bot-bottle config check' lists the faults of every file";
  throw Failure(std::move(error));
}

}  // namespace bot_bottle::manifest
