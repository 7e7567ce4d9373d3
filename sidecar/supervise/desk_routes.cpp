// The standing routes, approvals in them, and grants that end by themselves.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/base/clock.hpp"
#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "core/policy/credential_reach.hpp"
#include "sidecar/supervise/desk.hpp"

namespace bot_bottle::supervise {
namespace {

using std::chrono::milliseconds;
constexpr const char* routes_file = "egress/routes.toml";
constexpr std::size_t max_edit_octets = std::size_t{256} << 10;
constexpr std::uint64_t longest_timer_ms = 3'600'000;
constexpr std::string_view routes_were_edited = "the routes were edited";

std::string text_of(const policy::Egress& egress) {
  policy::Egress shown;
  shown.routes = egress.routes;
  shown.hosts = egress.hosts;
  shown.log = egress.log;
  return policy::to_routes_toml(shown);
}

/// Trust, the way out and what is compiled at the start are the configuration's, whatever an edit says.
void keep_configured(policy::Egress& egress, const policy::Egress& configured) {
  egress.upstream_ca = configured.upstream_ca;
  egress.upstream_proxy = configured.upstream_proxy;
  egress.log = configured.log;
  egress.metrics = configured.metrics;
  egress.canaries = configured.canaries;
  egress.on_canary = configured.on_canary;
  egress.mcp_pin = configured.mcp_pin;
  egress.dlp_rules = configured.dlp_rules;
}

Result<policy::Egress> parse_document(const json::object& document) {
  policy::ParsedEgress parsed = policy::parse_egress(document);
  if (parsed.problems.empty()) return std::move(parsed.egress);
  Error error = make_error(ErrorKind::invalid_argument, "the routes have problems");
  for (const policy::Problem& problem : parsed.problems)
    error.message += fmt::format("; {}: {}", problem.path, problem.message);
  return fail(std::move(error));
}

json::object routes_document(const policy::Egress& egress) {
  const json::object all = policy::to_json(egress);
  return {{"routes", all.at("routes")}, {"hosts", all.at("hosts")}};
}

bool is_narrow(const Proposal& proposal) {
  return !proposal.narrow.empty();
}

}  // namespace

policy::Egress Desk::standing_with(const policy::Egress& base) const {
  policy::Egress standing = base;
  for (const std::string& id : approvals_) {
    const Proposal* proposal = parts_.journal.find(id);
    const auto route =
        proposal == nullptr ? fail(ErrorKind::not_found, id) : policy::parse_asked_route(proposal->change);
    if (!route) continue;
    // A host that the operator made a tunnel since has no matches to unite with.
    if (auto merged = policy::merge_route(standing, *route)) standing = std::move(*merged);
  }
  return standing;
}

/// Error: nothing has changed.
Result<void> Desk::use_standing(policy::Egress standing) {
  BB_TRY(auto table, policy::RouteTable::create(standing));
  std::vector<std::pair<std::shared_ptr<egress::Grant>, std::shared_ptr<const policy::RouteTable>>> tables;
  std::vector<std::string> over;
  for (const std::shared_ptr<egress::Grant>& grant : grants_) {
    const Proposal* proposal = parts_.journal.find(grant->id);
    const auto route = policy::parse_asked_route(proposal->change);
    auto merged = route ? policy::merge_route(standing, *route) : fail(ErrorKind::internal, "not a route");
    if (!merged) {
      over.push_back(grant->id);
      continue;
    }
    BB_TRY(auto with, policy::RouteTable::create(std::move(*merged)));
    tables.emplace_back(grant, std::move(with));
  }
  for (auto& [grant, with] : tables) grant->table = std::move(with);
  standing_ = std::move(standing);
  parts_.proxy.use_routes(std::move(table));
  for (const std::string& id : over) end_grant(id, "the host is a tunnel now");
  return {};
}

/// What an earlier life decided, in its order: approvals and edits make the standing routes.
Result<void> Desk::start(policy::Egress configured) {
  configured_ = std::move(configured);
  base_ = configured_;
  standing_ = configured_;
  const std::vector<Entry> entries = parts_.journal.entries();
  std::vector<std::string> narrow;  // approved for a while since the last edit
  std::set<std::string> ended;      // and before it: a crash may have come between the edit and their end
  for (const Entry& entry : entries) {
    const Proposal* proposal = parts_.journal.find(entry.proposal);
    if (entry.decision == "edit" && entry.kind == "routes") {
      BB_TRY(base_, parse_document(entry.edited).map_error(in("supervise/journal.jsonl: an edit of the routes")));
      keep_configured(base_, configured_);
      approvals_.clear();
      ended.insert(narrow.begin(), narrow.end());
      narrow.clear();
    } else if (entry.decision == "apply" && proposal != nullptr && is_narrow(*proposal)) {
      narrow.push_back(proposal->id);
    } else if (entry.decision == "apply" && proposal != nullptr && proposal->kind == egress_block &&
               !is_narrow(*proposal)) {
      approvals_.push_back(proposal->id);
    }
  }
  if (!approvals_.empty() || base_.routes.size() != configured_.routes.size() ||
      routes_document(base_) != routes_document(configured_))
    BB_CHECK(use_standing(standing_with(base_)));
  const std::vector<Proposal> all = parts_.journal.all();
  for (const Proposal& proposal : all) {
    if (proposal.state == State::applied && ended.contains(proposal.id))
      BB_CHECK(parts_.journal.expire(proposal.id, std::string(routes_were_edited), {}, {}));
    else
      BB_CHECK(restore(proposal));
  }
  refresh();
  return {};
}

Result<void> Desk::restore(const Proposal& proposal) {
  const bool approved = proposal.state == State::approved || proposal.state == State::modified;
  if (proposal.state == State::applied && proposal.kind == egress_block && is_narrow(proposal)) {
    if (proposal.narrow.contains("requests") || proposal.narrow.contains("bytes"))
      return parts_.journal.expire(proposal.id, "the sidecar started anew, and what was left is not known", {}, {});
    const auto route = policy::parse_asked_route(proposal.change);
    return route ? add_grant(proposal, *route) : Result<void>{};
  }
  // The gate finishes its own.
  if (!approved || proposal.kind == git_allow) return {};
  std::optional<std::string> fault;
  if (const auto applied = apply(proposal); !applied) fault = applied.error().message;
  return parts_.journal.settle(proposal.id, fault);
}

Result<void> Desk::apply_route(const Proposal& proposal) {
  BB_TRY(const policy::Route route, policy::parse_asked_route(proposal.change));
  if (is_narrow(proposal)) return add_grant(proposal, route);
  BB_TRY(policy::Egress merged, policy::merge_route(standing_, route));
  BB_CHECK(use_standing(std::move(merged)));
  approvals_.push_back(proposal.id);
  write_routes_file();
  return {};
}

Result<void> Desk::add_grant(const Proposal& proposal, const policy::Route& asked) {
  auto grant = std::make_shared<egress::Grant>();
  grant->id = proposal.id;
  BB_TRY(policy::Egress merged, policy::merge_route(standing_, asked));
  BB_TRY(grant->table, policy::RouteTable::create(std::move(merged)));
  if (get_bool(proposal.narrow, "once", false)) grant->requests = 1;
  if (proposal.narrow.contains("requests"))
    grant->requests = static_cast<std::uint64_t>(get_int(proposal.narrow, "requests", 1));
  if (proposal.narrow.contains("bytes"))
    grant->octets = static_cast<std::uint64_t>(get_int(proposal.narrow, "bytes", 1));
  if (proposal.narrow.contains("seconds")) {
    const std::int64_t end = proposal.answered_at_ms + get_int(proposal.narrow, "seconds", 1) * 1000;
    const std::int64_t left = std::max<std::int64_t>(0, end - now_ms());
    grant->until_ms = parts_.loop.now_ms() + static_cast<std::uint64_t>(left);
    grant->until_wall_ms = end;
  }
  grants_.push_back(std::move(grant));
  parts_.house.grants.set(grants_);
  end_due_grants();
  return {};
}

/// Called by egress in the middle of a request: only the journal is written now, the rest when the turn is over.
bool Desk::on_spent(egress::Grant& grant) {
  const Proposal* proposal = parts_.journal.find(grant.id);
  if (proposal == nullptr || proposal->state == State::expired) return proposal != nullptr;
  const auto route = policy::parse_asked_route(proposal->change);
  const std::string host = route ? route->host : std::string();
  const Diff diff = diff_of(egress_block, proposal->change);
  const auto written = parts_.journal.expire(grant.id, "used up", diff.after, diff.before);
  if (written) log("approval_expired", *parts_.journal.find(grant.id), "used up");
  grants_timer_.set(milliseconds(0));
  return written.has_value();
}

void Desk::end_grant(const std::string& id, std::string reason) {
  const auto found = std::ranges::find(grants_, id, &egress::Grant::id);
  if (found == grants_.end()) return;
  (*found)->spent = true;
  grants_.erase(found);
  parts_.house.grants.set(grants_);
  const Proposal* proposal = parts_.journal.find(id);
  if (proposal == nullptr || proposal->state != State::applied) return;
  const Diff diff = diff_of(egress_block, proposal->change);
  const std::string told = reason;
  if (parts_.journal.expire(id, std::move(reason), diff.after, diff.before))
    log("approval_expired", *parts_.journal.find(id), told);
}

/// Takes back what has ended, and sets the clock for what ends next. One whose application is not in the journal yet
/// (it lasts less than this turn) ends the next time.
void Desk::end_due_grants() {
  const std::uint64_t now = parts_.loop.now_ms();
  std::vector<std::string> over;
  std::uint64_t next = longest_timer_ms;
  for (const std::shared_ptr<egress::Grant>& grant : grants_) {
    const Proposal* proposal = parts_.journal.find(grant->id);
    const bool due =
        grant->until_ms && (now >= *grant->until_ms || (grant->until_wall_ms && now_ms() >= *grant->until_wall_ms));
    if (grant->spent || due) {
      if (proposal != nullptr && (proposal->state == State::approved || proposal->state == State::modified))
        next = 1;
      else
        over.push_back(grant->id);
    } else if (grant->until_ms) {
      next = std::min(next, *grant->until_ms - now);
    }
  }
  for (const std::string& id : over) end_grant(id, "its time is over");
  if (!grants_.empty()) grants_timer_.set(milliseconds(next));
}

/// For people and for a later reload; the journal is what counts.
void Desk::write_routes_file() const {
  const auto written = write_file_atomic(routes_file, text_of(standing_), 0644);
  if (written) return;
  egress::Event event;
  event.kind = "supervise";
  event.level = egress::Level::warn;
  event.event = "routes_file_not_written";
  const std::string reason = written.error().message;
  event.reason = reason;
  parts_.house.log.write(event);
}

json::object Desk::routes() const {
  const std::string text = text_of(standing_);
  json::array grants;
  for (const std::shared_ptr<egress::Grant>& grant : grants_) {
    const Proposal* proposal = parts_.journal.find(grant->id);
    json::object one{{"proposal", grant->id}, {"route", proposal->change}, {"narrow", proposal->narrow}};
    if (grant->requests) one["requests_left"] = *grant->requests;
    if (grant->octets) one["bytes_left"] = *grant->octets;
    grants.push_back(std::move(one));
  }
  return {{"text", text}, {"hash", sha256_hex(text)}, {"format", "toml"}, {"grants", std::move(grants)}};
}

/// Whoever edits routes sees hosts and paths; that a credential goes along is easily overlooked. So it has to be said.
Result<void> Desk::check_credentials(const policy::Egress& edited, CredentialReach reach) const {
  for (const policy::Route& route : edited.routes)
    if (route.auth && parts_.house.secrets.find(route.auth->token_ref) == nullptr &&
        std::ranges::none_of(standing_.routes, [&](const policy::Route& live) {
          return live.auth && live.auth->token_ref == route.auth->token_ref;
        }))
      return fail(ErrorKind::invalid_argument,
                  fmt::format("{}: this bottle has no secret named {}", route.host, route.auth->token_ref),
                  "secrets are given to a bottle at its start: name it in the manifest and start it again");
  if (reach == CredentialReach::may_grow) return {};
  const std::vector<std::string> lines = policy::credential_widening(standing_, edited);
  if (lines.empty()) return {};
  return fail(ErrorKind::refused, "a credential would reach further: " + join(lines, "; "),
              "bot-bottle routes edit SLUG --allow-credentials");
}

Result<json::object> Desk::set_routes(const json::object& arguments) {
  BB_TRY(const std::string hash, need_string(arguments, "hash"));
  const std::string before = text_of(standing_);
  if (hash != sha256_hex(before))
    return fail(ErrorKind::failed_precondition, "the routes have moved since you looked at them", "edit them again");
  policy::Egress edited;
  if (const json::object* document = find_object(arguments, "egress")) {
    BB_TRY(edited, parse_document(*document));
  } else {
    BB_TRY(const std::string text, need_string(arguments, "egress"));
    BB_TRY(edited, policy::parse_routes_toml(text));
  }
  keep_configured(edited, configured_);
  BB_CHECK(check_credentials(
      edited, get_bool(arguments, "credentials", false) ? CredentialReach::may_grow : CredentialReach::stays));
  json::object document = routes_document(edited);
  const std::string after = text_of(edited);
  if (before.size() > max_edit_octets || after.size() > max_edit_octets)
    return fail(ErrorKind::invalid_argument, "routes of more than 256 KiB cannot be edited here",
                "edit the bottle's manifest");
  // What does not compile must not be in the journal.
  BB_CHECK(policy::RouteTable::create(edited));
  BB_CHECK(
      parts_.journal.edit("routes", get_string(arguments, "by").substr(0, 256), std::move(document), before, after));
  base_ = edited;
  approvals_.clear();
  // The edit is the whole of what passes from now on: what was approved for a while ends with what was approved for
  // good.
  const std::vector<std::shared_ptr<egress::Grant>> ended = grants_;
  for (const std::shared_ptr<egress::Grant>& grant : ended) end_grant(grant->id, std::string(routes_were_edited));
  BB_CHECK(use_standing(std::move(edited)));
  write_routes_file();
  refresh();
  egress::Event event;
  event.kind = "supervise";
  event.event = "routes_edited";
  parts_.house.log.write(event);
  return routes();
}

Result<void> Desk::use_base(policy::Egress base) {
  keep_configured(base, configured_);
  // A file that somebody edited has no word that allows it.
  BB_CHECK(check_credentials(base, CredentialReach::stays));
  BB_CHECK(use_standing(standing_with(base)));
  base_ = std::move(base);
  refresh();
  return {};
}

/// Only what a pack itself lets through, and never with more than the pack says (spec 06).
bool Desk::is_automatic(const policy::Route& asked) const {
  // Where a credential would go along, a person decides: a pack was named for its routes, not for a secret.
  const auto live = std::ranges::find(standing_.routes, asked.host, &policy::Route::host);
  if (live != standing_.routes.end() && live->auth) return false;
  for (const policy::PackUse& use : parts_.automatic) {
    policy::Problems problems;
    for (const policy::Route& allowed : policy::expand_pack(use, "auto", problems))
      if (problems.empty() && policy::covers(allowed, asked)) return true;
  }
  return false;
}

}  // namespace bot_bottle::supervise
