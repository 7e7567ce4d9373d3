#include "sidecar/git_gate/upstream.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/text.hpp"

namespace bot_bottle::git_gate {
namespace {

using Outcome = ForwardedRef::Outcome;
constexpr std::chrono::seconds list_time{60};
constexpr std::chrono::minutes fetch_time{60};
constexpr std::chrono::minutes forward_time{15};
constexpr std::chrono::seconds local_time{60};
constexpr std::size_t max_refs_text = std::size_t{64} << 20;
constexpr std::size_t max_words = 1000;

bool is_mirrored(std::string_view name) {
  return name.starts_with("refs/heads/") || name.starts_with("refs/tags/") || name.starts_with("refs/notes/");
}

Error unreachable(const Workshop& workshop, std::string_view err) {
  const std::string words = last_words(err);
  if (words.find("mismatched algorithms") != std::string::npos || words.find("hash algorithm") != std::string::npos)
    return make_error(ErrorKind::unsupported, "the upstream has SHA-256 objects, which git-gate does not take",
                      "use a repository with SHA-1 object names");
  if (err.find("Host key verification failed") != std::string_view::npos ||
      err.find("HOST IDENTIFICATION HAS CHANGED") != std::string_view::npos)
    return make_error(ErrorKind::unavailable,
                      fmt::format("the host key of {} is not the pinned one", workshop.repo().upstream.host),
                      "if it was changed on purpose, the operator sets host_key in the bottle");
  return make_error(ErrorKind::unavailable,
                    fmt::format("the upstream {} did not answer: {}", workshop.repo().upstream.host,
                                words.empty() ? "no reason was given" : words));
}

Result<ProcessResult> run(const Workshop& workshop, const ProcessRequest& request) {
  auto result = run_process(request);
  // Ended by force: its locks would stop every later one.
  if (!result) workshop.sweep();
  return result;
}

Result<ProcessResult> run_upstream(const UpstreamCall& call, std::vector<std::string> arguments,
                                   std::chrono::milliseconds limit) {
  ProcessRequest request =
      call.workshop.request(std::move(arguments), call.workshop.upstream_environment(call.credentials));
  request.timeout = limit;
  request.cancel_fd = call.cancel_fd;
  request.max_output = max_refs_text;
  auto result = run(call.workshop, request);
  if (!result) {
    if (result.error().kind == ErrorKind::cancelled) return result;
    return fail(make_error(ErrorKind::unavailable,
                           fmt::format("the upstream {} did not answer in time", call.workshop.repo().upstream.host)));
  }
  if (result->code != 0 || result->truncated) return fail(unreachable(call.workshop, result->err));
  return result;
}

UpstreamState parse_listing(std::string_view text) {
  UpstreamState state;
  for (const std::string_view line : split(text, '\n')) {
    const std::size_t tab = line.find('\t');
    if (tab == std::string_view::npos) continue;
    const std::string_view value = line.substr(0, tab);
    const std::string_view name = line.substr(tab + 1);
    if (name == "HEAD" && value.starts_with("ref: refs/heads/")) {
      if (!check_ref_name(value.substr(5))) state.head = std::string(value.substr(5));
    } else if (is_mirrored(name) && !name.ends_with("^{}") && is_oid(value)) {
      state.refs.emplace(name, value);
    }
  }
  return state;
}

/// After a push without an answer: what does the upstream have?
void reconcile(const UpstreamCall& call, const std::vector<RefUpdate>& updates, Forwarded& forwarded) {
  // The client may have gone; this question is asked to its end all the same.
  const auto state = list_upstream({call.workshop, call.credentials, -1});
  if (!state) return;
  for (std::size_t i = 0; i < updates.size(); ++i) {
    ForwardedRef& ref = forwarded.refs[i];
    if (ref.outcome != Outcome::unknown) continue;
    const auto found = state->refs.find(updates[i].name);
    const std::string_view now = found == state->refs.end() ? zero_oid : std::string_view(found->second);
    if (now == updates[i].after) {
      ref.outcome = Outcome::taken;
    } else if (now == updates[i].before) {
      ref.outcome = Outcome::rejected;
      ref.reason = forwarded.fault;
    }
  }
}

}  // namespace

std::string last_words(std::string_view text) {
  std::vector<std::string> lines;
  for (std::string_view line : split(text, '\n')) {
    line = trim(line);
    for (const char* prefix : {"fatal: ", "error: ", "remote: ", "warning: "})
      if (line.starts_with(prefix)) line.remove_prefix(std::string_view(prefix).size());
    if (line.empty() || line.starts_with("hint:") || line.starts_with("@@@") ||
        line.starts_with("Please make sure you have the correct access") || line == "and the repository exists.")
      continue;
    lines.emplace_back(line);
  }
  std::string out = join(lines, "; ");
  if (out.size() > max_words) out.resize(max_words);
  return out;
}

Result<UpstreamState> list_upstream(const UpstreamCall& call) {
  BB_TRY(const ProcessResult result,
         run_upstream(call, {"ls-remote", "--symref", "--quiet", "--", call.workshop.repo().upstream.url}, list_time));
  for (const std::string_view line : split(result.out, '\n')) {
    const std::size_t tab = line.find('\t');
    if (tab == 64) return fail(unreachable(call.workshop, "mismatched algorithms"));
  }
  return parse_listing(result.out);
}

Result<Refs> read_mirror(const Workshop& workshop, int cancel_fd) {
  ProcessRequest request =
      workshop.request({"for-each-ref", "--format=%(objectname)%09%(refname)"}, workshop.local_environment());
  request.timeout = local_time;
  request.cancel_fd = cancel_fd;
  request.max_output = max_refs_text;
  BB_TRY(const ProcessResult result, run(workshop, request));
  if (result.code != 0 || result.truncated)
    return fail(ErrorKind::internal, "the mirror cannot be read: " + last_words(result.err));
  return parse_listing(result.out).refs;
}

Result<UpstreamState> refresh_mirror(const UpstreamCall& call, const Refs& known) {
  BB_TRY(UpstreamState state, list_upstream(call));
  if (state.refs != known) {
    // Refs are moved one by one after all objects are there; a reader sees old or new ones, all of them whole.
    const auto fetched = run_upstream(
        call,
        {"fetch", "--quiet", "--no-tags", "--prune", "--force", "--no-write-fetch-head", "--no-auto-maintenance",
         "--no-recurse-submodules", "--no-show-forced-updates", "--", call.workshop.repo().upstream.url,
         "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*", "+refs/notes/*:refs/notes/*"},
        fetch_time);
    if (!fetched) return fail(fetched.error());
    // What came may be newer than the list.
    BB_TRY(state.refs, read_mirror(call.workshop, call.cancel_fd));
  }
  if (!state.head.empty()) {
    ProcessRequest request =
        call.workshop.request({"symbolic-ref", "HEAD", state.head}, call.workshop.local_environment());
    request.timeout = local_time;
    BB_TRY(const ProcessResult result, run(call.workshop, request));
    if (result.code != 0)
      return fail(ErrorKind::internal, "the mirror's HEAD cannot be set: " + last_words(result.err));
  }
  return state;
}

void parse_push_report(std::string_view text, const std::vector<RefUpdate>& updates, Forwarded& into) {
  for (const std::string_view line : split(text, '\n')) {
    if (line.size() < 4 || line[1] != '\t') continue;
    const std::size_t tab = line.find('\t', 2);
    if (tab == std::string_view::npos) continue;
    const std::string_view pair = line.substr(2, tab - 2);
    const std::string_view target = pair.substr(pair.rfind(':') + 1);
    const auto found = std::ranges::find(updates, target, &RefUpdate::name);
    if (found == updates.end()) continue;
    ForwardedRef& ref = into.refs[static_cast<std::size_t>(found - updates.begin())];
    const std::string_view summary = line.substr(tab + 1);
    if (line[0] != '!') {
      ref.outcome = Outcome::taken;
      continue;
    }
    // "[remote failure] (remote failed to report status)": nobody knows yet.
    if (summary.starts_with("[remote failure]")) continue;
    ref.outcome = Outcome::rejected;
    const std::size_t open = summary.find('(');
    ref.reason = std::string(open == std::string_view::npos ? summary : summary.substr(open + 1));
    if (open != std::string_view::npos && ref.reason.ends_with(')')) ref.reason.pop_back();
    if (ref.reason == "stale info") ref.reason = "fetch first: the upstream has moved";
  }
}

Forwarded forward(const UpstreamCall& call, const std::vector<RefUpdate>& updates,
                  const Workshop::Environment& quarantine_environment) {
  Forwarded forwarded;
  forwarded.refs.resize(updates.size());
  std::vector<std::string> arguments{"push",        "--porcelain",      "--no-verify",
                                     "--no-signed", "--no-follow-tags", "--recurse-submodules=no"};
  // A server that cannot do it is only asked when there is something to keep together.
  if (updates.size() > 1) arguments.emplace_back("--atomic");
  for (const RefUpdate& update : updates)
    arguments.push_back(
        fmt::format("--force-with-lease={}:{}", update.name, update.creates() ? std::string() : update.before));
  arguments.emplace_back("--");
  arguments.push_back(call.workshop.repo().upstream.url);
  for (const RefUpdate& update : updates)
    arguments.push_back(fmt::format("{}:{}", update.deletes() ? std::string() : update.after, update.name));
  Workshop::Environment environment = call.workshop.upstream_environment(call.credentials);
  for (const auto& [name, value] : quarantine_environment) environment.try_emplace(name, value);
  ProcessRequest request = call.workshop.request(std::move(arguments), std::move(environment));
  request.timeout = forward_time;
  request.cancel_fd = call.cancel_fd;
  const auto result = run_process(request);
  if (result) {
    parse_push_report(result->out, updates, forwarded);
    for (std::string_view line : split(result->err, '\n')) {
      if (line.starts_with("remote: ")) forwarded.remote.emplace_back(trim(line.substr(8)));
    }
    if (result->code == 0)
      for (ForwardedRef& ref : forwarded.refs) ref.outcome = Outcome::taken;
    forwarded.fault = unreachable(call.workshop, result->err).message;
  } else {
    forwarded.fault = fmt::format("the upstream {} did not answer in time", call.workshop.repo().upstream.host);
  }
  const bool unknown =
      std::ranges::any_of(forwarded.refs, [](const ForwardedRef& ref) { return ref.outcome == Outcome::unknown; });
  if (unknown) reconcile(call, updates, forwarded);
  return forwarded;
}

}  // namespace bot_bottle::git_gate
