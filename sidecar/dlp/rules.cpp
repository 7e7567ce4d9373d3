// Rules: files → databases. Confirmation of matches by entropy and allow lists.
#include "sidecar/dlp/rules.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "sidecar/dlp/gitleaks.hpp"
#include "sidecar/dlp/injection.hpp"

namespace bot_bottle::dlp {
namespace {

constexpr std::size_t max_rule_file_octets = std::size_t{1} << 20;
constexpr std::size_t max_rules = 5000;
constexpr std::size_t max_pooled = 64;
constexpr std::size_t line_octets = 256;  // before a match, for allow lists that look at its line

struct RuleFile {
  std::string name;
  std::string text;
};

Result<std::vector<RuleFile>> read_files(const std::filesystem::path& directory) {
  std::error_code code;
  std::vector<std::filesystem::path> paths;
  for (std::filesystem::directory_iterator at(directory, code), end; !code && at != end; at.increment(code))
    if (at->path().extension() == ".toml") paths.push_back(at->path());
  if (code) return fail(error_from_errno("reading the DLP rules in " + directory.string(), code.value()));
  // Without rules nothing would be found: that is a broken installation, never an empty set (I3).
  if (paths.empty())
    return fail(ErrorKind::failed_precondition, "there are no DLP rules in " + directory.string(),
                "reinstall bot-bottle");
  std::ranges::sort(paths);
  std::vector<RuleFile> files;
  for (const auto& path : paths) {
    BB_TRY(std::string text, read_file(path, max_rule_file_octets));
    files.push_back({path.filename().string(), std::move(text)});
  }
  return files;
}

std::filesystem::path injection_directory(const std::filesystem::path& rules) {
  return rules.lexically_normal().parent_path() / "injection";
}

std::vector<std::filesystem::path> phrase_files(const std::filesystem::path& rules) {
  std::error_code code;
  std::vector<std::filesystem::path> paths;
  for (std::filesystem::directory_iterator at(injection_directory(rules), code), end; !code && at != end;
       at.increment(code))
    if (at->path().extension() == ".toml") paths.push_back(at->path());
  std::ranges::sort(paths);
  return paths;
}

std::string hash_of(const std::vector<RuleFile>& files, const OwnRules& own, const std::filesystem::path& directory) {
  std::string all;
  for (const RuleFile& file : files) all += fmt::format("{}\n{}\n{}\n", file.name, file.text.size(), file.text);
  if (!own.text.empty())
    all += fmt::format("own {}\n{}", own.used_for == OwnRules::For::files ? "files" : "streams", own.text);
  // The phrases are in the same database.
  for (const auto& path : phrase_files(directory))
    if (const auto text = read_file(path, max_rule_file_octets))
      all += fmt::format("injection/{}\n{}\n{}\n", path.filename().string(), text->size(), *text);
  return sha256_hex(all);
}

Result<std::size_t> width_of(const RuleText& rule) {
  std::size_t shortest = 0;
  BB_TRY(const std::optional<std::size_t> width,
         regex_width(rule.regex, shortest).map_error(in(fmt::format("rule '{}'", rule.id))));
  if (!width || *width > max_match_octets)
    return fail(ErrorKind::invalid_argument,
                fmt::format("rule '{}': its match is not bounded by {} octets", rule.id, max_match_octets),
                "write {20,100} instead of {20,}, or match only what proves the credential");
  if (shortest == 0)
    return fail(ErrorKind::invalid_argument, fmt::format("rule '{}': it matches nothing at all", rule.id));
  return *width;
}

/// What a person's file says of rules that are there: its own take the place of a shipped one of the same id, without a
/// regex they add to it.
Result<void> merge_own(const OwnRules& own, std::vector<RuleText>& rules) {
  BB_TRY(GitleaksFile file, parse_gitleaks(own.text, own.file));
  const auto find = [&](const std::string& id) { return std::ranges::find(rules, id, &RuleText::id); };
  std::vector<RuleText> added;
  for (RuleText& rule : file.rules) {
    const auto at = [&](std::string_view message) {
      return fail(ErrorKind::invalid_argument,
                  fmt::format("{}:{}: rule '{}': {}", own.file, rule.line, rule.id, message));
    };
    const auto shipped = find(rule.id);
    if (rule.regex.empty() && rule.path.empty()) {
      if (shipped == rules.end()) return at("has no 'regex', and no shipped rule has its name");
      std::ranges::move(rule.allow_lists, std::back_inserter(shipped->allow_lists));
      if (rule.entropy > 0) shipped->entropy = rule.entropy;
      continue;
    }
    if (rule.regex.empty() && own.used_for == OwnRules::For::streams) continue;  // only a path: nothing to see in bytes
    if (rule.regex.empty()) return at("a rule with a 'path' and no 'regex' is not supported");
    if (!rule.path.empty() && own.used_for == OwnRules::For::streams) continue;
    if (const auto width = width_of(rule); !width) return at(width.error().message);
    Rule probe;
    probe.text = rule;
    if (const auto compiled = probe.compile(); !compiled) return at(compiled.error().message);
    if (shipped != rules.end()) rules.erase(shipped);
    added.push_back(std::move(rule));
  }
  if (file.use_default) {
    std::erase_if(
        rules, [&](const RuleText& rule) { return std::ranges::find(file.disabled, rule.id) != file.disabled.end(); });
  }
  const auto allow = [&](std::vector<RuleText>& all) {
    for (RuleText& rule : all)
      for (const AllowList& list : file.allow)
        if (list.target_rules.empty() || std::ranges::find(list.target_rules, rule.id) != list.target_rules.end())
          rule.allow_lists.push_back(list);
  };
  if (file.use_default) allow(rules);
  allow(added);
  std::ranges::move(added, std::back_inserter(rules));
  return {};
}

Result<std::vector<RuleText>> all_rules(const std::vector<RuleFile>& files, const OwnRules& own) {
  std::set<std::string> ids;
  std::vector<RuleText> all;
  for (const RuleFile& file : files) {
    BB_TRY(std::vector<RuleText> texts, parse_rules(file.text).map_error(in(file.name)));
    for (RuleText& text : texts) {
      if (!ids.insert(text.id).second)
        return fail(ErrorKind::invalid_argument, fmt::format("{}: rule '{}' is there twice", file.name, text.id));
      all.push_back(std::move(text));
    }
  }
  if (!own.text.empty()) BB_CHECK(merge_own(own, all));
  return all;
}

Result<std::unique_ptr<Rules::State>> compile_files(const std::vector<RuleFile>& files, const OwnRules& own,
                                                    const std::filesystem::path& directory) {
  auto state = std::make_unique<Rules::State>();
  BB_TRY(std::vector<RuleText> all, all_rules(files, own));
  for (RuleText& text : all) {
    Rule rule;
    BB_TRY(rule.width, width_of(text));
    if (std::ranges::any_of(text.allow_lists, [](const auto& list) { return list.target == AllowList::Target::line; }))
      rule.width = std::min(max_match_octets, rule.width + line_octets);  // confirm() sees that much of the line
    rule.text = std::move(text);
    BB_CHECK(rule.compile());
    state->longest = std::max(state->longest, rule.width);
    state->rules.push_back(std::move(rule));
  }
  if (state->rules.empty() || state->rules.size() > max_rules)
    return fail(ErrorKind::invalid_argument,
                fmt::format("{} rules: between 1 and {} are accepted", state->rules.size(), max_rules));
  BB_CHECK(state->build());
  state->source_hash = hash_of(files, own, directory);
  if (!phrase_files(directory).empty()) {
    BB_TRY(state->injection, InjectionPhrases::compile(injection_directory(directory)));
  }
  BB_CHECK(state->prepare());
  return state;
}

}  // namespace

double shannon_entropy(std::string_view text) {
  if (text.empty()) return 0;
  std::array<std::size_t, 256> counts{};
  for (const char c : text) ++counts[static_cast<unsigned char>(c)];
  double bits = 0;
  for (const std::size_t count : counts) {
    if (count == 0) continue;
    const double share = static_cast<double>(count) / static_cast<double>(text.size());
    bits -= share * std::log2(share);
  }
  return bits;
}

Result<void> Rule::compile() const {
  std::string fault;
  std::call_once(*once, [&] {
    compiled.regex = make_octet_regex("(" + text.regex + ")\\z");
    compiled.groups = compiled.regex->ok() ? compiled.regex->NumberOfCapturingGroups() : 0;
    if (!compiled.regex->ok()) fault = compiled.regex->error();
    for (const std::string& pattern : text.allow_regexes) {
      compiled.allow.push_back(make_octet_regex(pattern));
      if (!compiled.allow.back()->ok()) fault = compiled.allow.back()->error();
    }
    if (!text.path.empty()) compiled.path = make_octet_regex(text.path);
    for (const AllowList& list : text.allow_lists) {
      if (auto made = CompiledAllowList::create(list))
        compiled.allow_lists.push_back(std::move(*made));
      else
        fault = made.error().message;
    }
  });
  if (!fault.empty()) return fail(ErrorKind::invalid_argument, fmt::format("rule '{}': {}", text.id, fault));
  if (static_cast<int>(text.secret_group) >= compiled.groups)
    return fail(ErrorKind::invalid_argument, fmt::format("rule '{}': has no group {}", text.id, text.secret_group));
  return {};
}

bool Rule::may_match(std::string_view window) const {
  if (text.prefilter.empty() || text.keywords.empty()) return true;
  return std::ranges::any_of(text.keywords,
                             [&](const std::string& word) { return window.find(word) != std::string_view::npos; });
}

bool Rule::confirm(std::string_view window, Located& located) const {
  const std::size_t longest_begin = window.size() - std::min(window.size(), width);
  located = {longest_begin, window.size(), longest_begin};
  if (!compile()) return true;
  if (!may_match(window)) return false;
  std::array<re2::StringPiece, 11> groups;
  const int count = std::min(compiled.groups + 1, static_cast<int>(groups.size()));
  const re2::StringPiece piece(window.data(), window.size());
  // Not reproducible: stays a finding (cannot happen but where the two engines differ), unless only a prefilter was
  // seen.
  if (!compiled.regex->ok()) return true;
  if (!compiled.regex->Match(piece, 0, window.size(), RE2::UNANCHORED, groups.data(), count))
    return text.prefilter.empty();
  // groups[1] is the whole rule; its own groups follow.
  re2::StringPiece secret = groups[1];
  if (text.secret_group > 0 && static_cast<int>(text.secret_group) + 1 < count) {
    secret = groups[text.secret_group + 1];
  } else if (count > 2 && !groups[2].empty()) {
    secret = groups[2];
  }
  if (secret.data() == nullptr) secret = groups[1];
  located.begin = static_cast<std::size_t>(secret.data() - window.data());
  located.end = located.begin + secret.size();
  located.match_begin = static_cast<std::size_t>(groups[1].data() - window.data());
  const std::string_view value(secret.data(), secret.size());
  if (text.entropy > 0 && shannon_entropy(value) <= text.entropy) return false;
  if (!text.allow_stopwords.empty()) {
    const std::string lower = to_lower(value);
    if (std::ranges::any_of(text.allow_stopwords,
                            [&](const std::string& word) { return lower.find(word) != std::string::npos; }))
      return false;
  }
  if (!compiled.allow_lists.empty()) {
    const std::string_view match(groups[1].data(), groups[1].size());
    const auto begin = static_cast<std::size_t>(match.data() - window.data());
    const std::size_t newline = begin == 0 ? std::string_view::npos : window.rfind('\n', begin - 1);
    const std::string_view line = window.substr(newline == std::string_view::npos ? 0 : newline + 1);
    if (std::ranges::any_of(compiled.allow_lists, [&](const auto& list) {
          return list.spares({value, match, line, {}});
        }))
      return false;
  }
  const re2::StringPiece target = text.allow_on_match ? groups[1] : secret;
  return std::ranges::none_of(compiled.allow,
                              [&](const auto& allow) { return allow->ok() && RE2::PartialMatch(target, *allow); });
}

bool Rule::spares_in_file(const MatchView& view) const {
  if (!compile()) return false;
  const re2::StringPiece path(view.path.data(), view.path.size());
  if (compiled.path && compiled.path->ok() && !RE2::PartialMatch(path, *compiled.path)) return true;
  return std::ranges::any_of(compiled.allow_lists, [&](const auto& list) { return list.spares(view); });
}

Rules::State::~State() {
  for (hs_stream_t* pooled : streams_) hs_close_stream(pooled, nullptr, nullptr, nullptr);
}

Result<void> Rules::State::prepare() {
  hs_scratch_t* scratch = nullptr;  // the second call replaces what the first one gave when that is too small
  for (const hs_database_t* database : {block.get(), stream.get(), unrelaxed.get()})
    if (database != nullptr && hs_alloc_scratch(database, &scratch) != HS_SUCCESS)
      return fail(ErrorKind::internal, "no memory for the DLP scanner");
  scratches_.emplace_back(scratch);
  return {};
}

ScratchPtr Rules::State::take_scratch() const {
  const std::lock_guard lock(mutex_);
  if (scratches_.size() > 1) {
    ScratchPtr scratch = std::move(scratches_.back());
    scratches_.pop_back();
    return scratch;
  }
  hs_scratch_t* clone = nullptr;  // the first one stays as the model
  return hs_clone_scratch(scratches_.front().get(), &clone) == HS_SUCCESS ? ScratchPtr(clone) : nullptr;
}

void Rules::State::give_back(ScratchPtr scratch) const {
  if (!scratch) return;
  const std::lock_guard lock(mutex_);
  if (scratches_.size() < max_pooled) scratches_.push_back(std::move(scratch));
}

hs_stream_t* Rules::State::take_stream() const {
  {
    const std::lock_guard lock(mutex_);
    if (!streams_.empty()) {
      hs_stream_t* pooled = streams_.back();
      streams_.pop_back();
      return pooled;
    }
  }
  hs_stream_t* opened = nullptr;
  return hs_open_stream(stream.get(), 0, &opened) == HS_SUCCESS ? opened : nullptr;
}

void Rules::State::give_back(hs_stream_t* used) const {
  if (used == nullptr) return;
  hs_reset_stream(used, 0, nullptr, nullptr, nullptr);
  {
    const std::lock_guard lock(mutex_);
    if (streams_.size() < max_pooled) {
      streams_.push_back(used);
      return;
    }
  }
  hs_close_stream(used, nullptr, nullptr, nullptr);
}

Rules::Rules(std::unique_ptr<State> state) : state_(std::move(state)) {}
Rules::~Rules() = default;

std::shared_ptr<const InjectionPhrases> Rules::injection() const {
  return state_->injection;
}

std::size_t Rules::count() const {
  return state_->rules.size();
}

Rules::Source Rules::source() const {
  return state_->source;
}

Result<std::shared_ptr<const Rules>> Rules::compile(const std::filesystem::path& directory, const OwnRules& own) {
  BB_TRY(const std::vector<RuleFile> files, read_files(directory));
  BB_TRY(auto state, compile_files(files, own, directory));
  return std::make_shared<const Rules>(std::move(state));
}

Result<std::shared_ptr<const Rules>> Rules::load(const std::filesystem::path& directory,
                                                 const std::filesystem::path& database, const OwnRules& own) {
  BB_TRY(const std::vector<RuleFile> files, read_files(directory));
  // Who may write the file decides what is never found: a file that others can write is not used.
  struct stat status {};
  if (::stat(database.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
      (status.st_mode & (S_IWGRP | S_IWOTH)) == 0) {
    if (const auto bytes = read_file(database, std::size_t{256} << 20)) {
      if (auto state = unserialise(*bytes, hash_of(files, own, directory)); state != nullptr && state->prepare()) {
        state->source = Source::database;
        return std::make_shared<const Rules>(std::move(state));
      }
    }
  }
  BB_TRY(auto state, compile_files(files, own, directory));
  return std::make_shared<const Rules>(std::move(state));
}

Result<std::vector<std::string>> check_own_rules(const std::filesystem::path& directory, const OwnRules& own) {
  BB_TRY(GitleaksFile file, parse_gitleaks(own.text, own.file));
  BB_TRY(const std::vector<RuleFile> files, read_files(directory));
  BB_TRY(const std::vector<RuleText> rules, all_rules(files, own));
  return std::move(file.notes);
}

Result<void> Rules::save(const std::filesystem::path& database) const {
  BB_TRY(const std::string bytes, serialise(*state_));
  return write_file_atomic(database, bytes, 0644);
}

}  // namespace bot_bottle::dlp
