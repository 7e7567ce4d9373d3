#include "sidecar/scan/report.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "sidecar/scan/file_scan.hpp"
#include "sidecar/scan/git_range.hpp"

namespace bot_bottle::scan {
namespace {

constexpr std::size_t max_rules_octets = std::size_t{1} << 20;
constexpr int failed = 2;

/// JSON is UTF-8; a path need not be.
std::string utf8(std::string_view text) {
  return is_valid_utf8(text) ? std::string(text) : escape_untrusted(text);
}

json::object to_json(const FileFinding& finding) {
  return {{"path", utf8(finding.path.string())},
          {"line", finding.line},
          {"column", finding.column},
          {"offset", finding.offset},
          {"rule", finding.rule},
          {"encoding", finding.encoding},
          {"snippet", escape_untrusted(finding.snippet)}};
}

Result<std::shared_ptr<const dlp::Rules>> load_rules(const Request& request) {
  BB_TRY(const dlp::OwnRules own, read_own_rules(request.own_rules, dlp::OwnRules::For::files));
  const std::filesystem::path rules = request.share / "rules";
  if (request.rules_database.empty()) return dlp::Rules::compile(rules, own);
  BB_TRY(auto loaded, dlp::Rules::load(rules, request.rules_database, own));
  // It does not fit (torn, another machine's): the next scan shall not compile again. What cannot be written stays.
  if (loaded->source() == dlp::Rules::Source::rule_files) (void)loaded->save(request.rules_database);
  return loaded;
}

}  // namespace

Result<dlp::OwnRules> read_own_rules(const std::filesystem::path& file, dlp::OwnRules::For used_for) {
  dlp::OwnRules own;
  own.used_for = used_for;
  own.file = file.string();
  if (file.empty()) return own;
  BB_TRY(own.text, read_file(file, max_rules_octets));
  // An empty file is not "no rules": it says so.
  if (trim(own.text).empty()) return fail(ErrorKind::invalid_argument, file.string() + ": the file is empty");
  return own;
}

int run(const Request& request) {
  const auto rules = load_rules(request);
  if (!rules) {
    fmt::print(stderr, "error: {}\n", escape_untrusted(rules.error().message));
    if (!rules.error().hint.empty()) fmt::print(stderr, "next: {}\n", escape_untrusted(rules.error().hint));
    return failed;
  }
  json::array findings;
  FileScan scan(*rules, [&](const FileFinding& finding) {
    if (request.form == Form::json)
      findings.emplace_back(to_json(finding));
    else
      fmt::print("{}:{}:{}: {}: {}\n", escape_untrusted(finding.path.string()), finding.line, finding.column,
                 finding.rule, escape_untrusted(finding.snippet));
  });
  if (request.git_range.empty()) {
    for (const auto& path : request.paths) scan.path(path);
  } else if (const auto read = scan_git_range(scan, request.paths.front(), request.git_range); !read) {
    scan.error(request.paths.front(), read.error().message);
  }
  const Totals& totals = scan.totals();
  for (const std::string& error : totals.errors) fmt::print(stderr, "error: {}\n", escape_untrusted(error));
  if (request.form == Form::json) {
    json::array errors;
    for (const std::string& error : totals.errors) errors.emplace_back(utf8(error));
    fmt::print("{}", to_pretty_text(json::object{{"schema", "bot-bottle.scan/1"},
                                                 {"findings", std::move(findings)},
                                                 {"files", totals.files},
                                                 {"bytes", totals.bytes},
                                                 {"skipped", totals.skipped},
                                                 {"errors", std::move(errors)}}));
  }
  const bool written = std::fflush(stdout) == 0;
  if (!written || !totals.errors.empty()) return failed;
  return totals.findings > 0 ? 1 : 0;
}

}  // namespace bot_bottle::scan
