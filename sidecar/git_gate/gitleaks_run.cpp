#include "sidecar/git_gate/gitleaks_run.hpp"

#include <fmt/format.h>

#include <utility>

#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "sidecar/git_gate/upstream.hpp"

namespace bot_bottle::git_gate {
namespace {

constexpr std::chrono::minutes scan_time{10};
constexpr std::size_t max_report = std::size_t{64} << 20;
constexpr int found_code = 99;  // told apart from its own failures, which are 1

}  // namespace

Result<std::vector<PushFinding>> parse_gitleaks_report(std::string_view text) {
  std::vector<PushFinding> findings;
  boost::system::error_code code;
  const json::value document = json::parse(trim(text), code);
  const json::array* list = code ? nullptr : document.if_array();
  if (list == nullptr) return fail(ErrorKind::internal, "the report of gitleaks cannot be read");
  for (const json::value& one : *list) {
    const json::object* object = one.if_object();
    if (object == nullptr) return fail(ErrorKind::internal, "the report of gitleaks cannot be read");
    PushFinding finding;
    finding.rule = get_string(*object, "RuleID");
    finding.commit = get_string(*object, "Commit");
    finding.file = get_string(*object, "File");
    finding.line = static_cast<std::uint64_t>(std::max<std::int64_t>(get_int(*object, "StartLine", 1), 1));
    finding.encoding = "plain";
    finding.snippet = "found by gitleaks";  // its own words may hold the secret
    if (finding.rule.empty() || !is_oid(finding.commit))
      return fail(ErrorKind::internal, "the report of gitleaks cannot be read");
    findings.push_back(std::move(finding));
  }
  return findings;
}

Result<std::vector<PushFinding>> run_gitleaks(const Workshop& workshop, const std::vector<std::string>& tips,
                                              Workshop::Environment environment, int cancel_fd) {
  if (tips.empty()) return std::vector<PushFinding>();
  const policy::GitRepo& repo = workshop.repo();
  std::string range;
  for (const std::string& tip : tips) range += tip + " ";
  ProcessRequest request = workshop.request({}, std::move(environment));
  request.argv = {workshop.gitleaks(),
                  "git",
                  "--no-banner",
                  "--no-color",
                  "--log-level=error",
                  "--redact=100",
                  "--report-format=json",
                  "--report-path=-",
                  fmt::format("--exit-code={}", found_code),
                  "--log-opts=" + range + "--not --all"};
  // Its default is the other way round: an agent would spare its own lines.
  if (!repo.scan.honour_inline_allow) request.argv.emplace_back("--ignore-gitleaks-allow");
  if (!repo.scan.rules.empty()) request.argv.push_back("--config=" + workshop.gitleaks_config().string());
  request.argv.push_back(workshop.mirror().string());
  request.timeout = scan_time;
  request.cancel_fd = cancel_fd;
  request.max_output = max_report;
  BB_TRY(const ProcessResult result, run_process(request));
  if ((result.code != 0 && result.code != found_code) || result.truncated)
    return fail(ErrorKind::internal, "gitleaks did not come to an end: " + last_words(result.err));
  BB_TRY(std::vector<PushFinding> findings, parse_gitleaks_report(result.out));
  if (result.code == found_code && findings.empty())
    return fail(ErrorKind::internal, "gitleaks found something and does not say what");
  return findings;
}

}  // namespace bot_bottle::git_gate
