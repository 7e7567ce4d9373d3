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

namespace bot_bottle::dlp {
namespace {

constexpr std::size_t max_rule_file_octets = std::size_t{1} << 20;
constexpr std::size_t max_rules = 5000;
constexpr std::size_t max_pooled = 64;

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

std::string hash_of(const std::vector<RuleFile>& files) {
  std::string all;
  for (const RuleFile& file : files) all += fmt::format("{}\n{}\n{}\n", file.name, file.text.size(), file.text);
  return sha256_hex(all);
}

std::unique_ptr<RE2> make_regex(const std::string& pattern) {
  RE2::Options options(RE2::Quiet);
  options.set_encoding(RE2::Options::EncodingLatin1);  // octets, as Hyperscan sees them
  options.set_max_mem(std::int64_t{8} << 20);
  return std::make_unique<RE2>(pattern, options);
}

Result<std::size_t> width_of(const RuleText& rule) {
  hs_expr_info_t* info = nullptr;
  hs_compile_error_t* error = nullptr;
  if (hs_expression_info(rule.regex.c_str(), 0, &info, &error) != HS_SUCCESS) {
    const std::string message = error != nullptr ? error->message : "unknown";
    hs_free_compile_error(error);
    return fail(ErrorKind::invalid_argument, fmt::format("rule '{}': {}", rule.id, message));
  }
  const unsigned width = info->max_width;
  const unsigned shortest = info->min_width;
  std::free(info);  // NOLINT: the library allocates with malloc
  if (width > max_match_octets)
    return fail(ErrorKind::invalid_argument,
                fmt::format("rule '{}': its match is not bounded by {} octets", rule.id, max_match_octets),
                "write {20,100} instead of {20,}, or match only what proves the credential");
  if (shortest == 0)
    return fail(ErrorKind::invalid_argument, fmt::format("rule '{}': it matches nothing at all", rule.id));
  return width;
}

Result<DatabasePtr> build(const std::vector<Rule>& rules, unsigned mode) {
  std::vector<const char*> expressions;
  std::vector<unsigned> ids;
  for (const Rule& rule : rules) {
    ids.push_back(static_cast<unsigned>(expressions.size()));
    expressions.push_back(rule.text.prefilter.empty() ? rule.text.regex.c_str() : rule.text.prefilter.c_str());
  }
  // No HS_FLAG_SINGLEMATCH: a match that an allow list spares must not use up the one that follows it.
  const std::vector<unsigned> flags(rules.size(), 0);
  hs_database_t* database = nullptr;
  hs_compile_error_t* error = nullptr;
  if (hs_compile_multi(expressions.data(), flags.data(), ids.data(), static_cast<unsigned>(ids.size()), mode, nullptr,
                       &database, &error) != HS_SUCCESS) {
    const std::string id =
        error != nullptr && error->expression >= 0 ? rules[static_cast<std::size_t>(error->expression)].text.id : "all";
    const std::string message = error != nullptr ? error->message : "unknown";
    hs_free_compile_error(error);
    return fail(ErrorKind::invalid_argument, fmt::format("rule '{}': {}", id, message));
  }
  return DatabasePtr(database);
}

Result<std::unique_ptr<Rules::State>> compile_files(const std::vector<RuleFile>& files) {
  auto state = std::make_unique<Rules::State>();
  std::set<std::string> ids;
  for (const RuleFile& file : files) {
    BB_TRY(std::vector<RuleText> texts, parse_rules(file.text).map_error(in(file.name)));
    for (RuleText& text : texts) {
      if (!ids.insert(text.id).second)
        return fail(ErrorKind::invalid_argument, fmt::format("{}: rule '{}' is there twice", file.name, text.id));
      Rule rule;
      BB_TRY(rule.width, width_of(text).map_error(in(file.name)));
      rule.text = std::move(text);
      BB_CHECK(rule.compile().map_error(in(file.name)));
      state->longest = std::max(state->longest, rule.width);
      state->rules.push_back(std::move(rule));
    }
  }
  if (state->rules.empty() || state->rules.size() > max_rules)
    return fail(ErrorKind::invalid_argument,
                fmt::format("{} rules: between 1 and {} are accepted", state->rules.size(), max_rules));
  BB_TRY(state->block, build(state->rules, HS_MODE_BLOCK));
  BB_TRY(state->stream, build(state->rules, HS_MODE_STREAM));
  state->source_hash = hash_of(files);
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
    compiled.regex = make_regex("(" + text.regex + ")\\z");
    compiled.groups = compiled.regex->ok() ? compiled.regex->NumberOfCapturingGroups() : 0;
    if (!compiled.regex->ok()) fault = compiled.regex->error();
    for (const std::string& pattern : text.allow_regexes) {
      compiled.allow.push_back(make_regex(pattern));
      if (!compiled.allow.back()->ok()) fault = compiled.allow.back()->error();
    }
  });
  if (!fault.empty()) return fail(ErrorKind::invalid_argument, fmt::format("rule '{}': {}", text.id, fault));
  if (static_cast<int>(text.secret_group) >= compiled.groups)
    return fail(ErrorKind::invalid_argument, fmt::format("rule '{}': has no group {}", text.id, text.secret_group));
  return {};
}

bool Rule::confirm(std::string_view window, Located& located) const {
  const std::size_t longest_begin = window.size() - std::min(window.size(), width);
  located = {longest_begin, window.size(), longest_begin};
  if (!compile()) return true;
  if (!text.prefilter.empty() && !text.keywords.empty()) {
    // Cheap, so that a text full of what the prefilter looks for does not make RE2 run at each octet.
    if (std::ranges::none_of(text.keywords,
                             [&](const std::string& word) { return window.find(word) != std::string_view::npos; }))
      return false;
  }
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
  const re2::StringPiece target = text.allow_on_match ? groups[1] : secret;
  return std::ranges::none_of(compiled.allow,
                              [&](const auto& allow) { return allow->ok() && RE2::PartialMatch(target, *allow); });
}

Rules::State::~State() {
  for (hs_stream_t* pooled : streams_) hs_close_stream(pooled, nullptr, nullptr, nullptr);
}

Result<void> Rules::State::prepare() {
  hs_scratch_t* scratch = nullptr;  // the second call replaces what the first one gave when that is too small
  if (hs_alloc_scratch(block.get(), &scratch) != HS_SUCCESS || hs_alloc_scratch(stream.get(), &scratch) != HS_SUCCESS)
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

std::size_t Rules::count() const {
  return state_->rules.size();
}

Result<std::shared_ptr<const Rules>> Rules::compile(const std::filesystem::path& directory) {
  BB_TRY(const std::vector<RuleFile> files, read_files(directory));
  BB_TRY(auto state, compile_files(files));
  return std::make_shared<const Rules>(std::move(state));
}

Result<std::shared_ptr<const Rules>> Rules::load(const std::filesystem::path& directory,
                                                 const std::filesystem::path& database) {
  BB_TRY(const std::vector<RuleFile> files, read_files(directory));
  // Who may write the file decides what is never found: a file that others can write is not used.
  struct stat status {};
  if (::stat(database.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
      (status.st_mode & (S_IWGRP | S_IWOTH)) == 0) {
    if (const auto bytes = read_file(database, std::size_t{256} << 20)) {
      if (auto state = unserialise(*bytes, hash_of(files)); state != nullptr && state->prepare())
        return std::make_shared<const Rules>(std::move(state));
    }
  }
  BB_TRY(auto state, compile_files(files));
  return std::make_shared<const Rules>(std::move(state));
}

Result<void> Rules::save(const std::filesystem::path& database) const {
  BB_TRY(const std::string bytes, serialise(*state_));
  return write_file_atomic(database, bytes, 0644);
}

}  // namespace bot_bottle::dlp
