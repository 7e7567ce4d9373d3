#include "sidecar/supervise/tools.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/supervise/recipe.hpp"

namespace bot_bottle::supervise {
namespace {

constexpr std::size_t max_justification = 2000;
constexpr std::size_t max_question = 4000;
constexpr std::size_t max_choice = 200;
constexpr std::size_t max_choices = 10;
constexpr std::size_t max_fingerprint = 1024;
constexpr std::size_t max_fingerprints = 100;
constexpr std::size_t max_route_octets = std::size_t{8} << 10;

ToolOutcome bad(std::string message) {
  ToolOutcome outcome;
  outcome.bad_arguments = std::move(message);
  return outcome;
}

ToolOutcome now(std::string text, bool is_error) {
  ToolOutcome outcome;
  outcome.reply = ToolReply{std::move(text), is_error, {}};
  return outcome;
}

/// Kept as it will be shown: with everything visible that could move a cursor or turn a line round (attack K).
std::string shown(std::string_view text) {
  return escape_untrusted_lines(text, 4 * max_question);
}

ToolOutcome refused(const Error& error) {
  return now(shown(error.message + (error.hint.empty() ? "" : " (" + error.hint + ")")), true);
}

/// Only known keys, so that a misspelt one is not passed over.
std::string unknown_key(const json::object& arguments, std::initializer_list<std::string_view> known) {
  for (const auto& member : arguments)
    if (std::ranges::find(known, std::string_view(member.key())) == known.end())
      return fmt::format("unknown argument '{}'", escape_untrusted(member.key(), 80));
  return {};
}

/// The text under `key`, or in `fault` what is wrong.
std::string need_text(const json::object& arguments, std::string_view key, std::size_t most, std::string& fault) {
  if (!fault.empty()) return {};
  const json::value* value = arguments.if_contains(key);
  if (value == nullptr || !value->is_string())
    fault = fmt::format("'{}' is missing or no text", key);
  else if (value->as_string().size() > most)
    fault = fmt::format("'{}' is longer than {} octets", key, most);
  else if (trim(value->as_string()).empty())
    fault = fmt::format("'{}' is empty", key);
  else
    return std::string(value->as_string());
  return {};
}

ToolOutcome ask(std::string_view kind, json::object change, std::string justification) {
  ToolOutcome outcome;
  outcome.question = ToolQuestion{std::string(kind), std::move(change), std::move(justification), {}};
  return outcome;
}

ToolOutcome read_egress_block(const json::object& arguments) {
  std::string fault = unknown_key(arguments, {"host", "matches", "git", "justification"});
  const std::string justification = need_text(arguments, "justification", max_justification, fault);
  static_cast<void>(need_text(arguments, "host", 512, fault));
  if (!fault.empty()) return bad(std::move(fault));
  json::object route = arguments;
  route.erase("justification");
  if (json::serialize(route).size() > max_route_octets)
    return now("the route is larger than 8 KiB: ask for what is needed now", true);
  const auto parsed = policy::parse_asked_route(route);
  if (!parsed) return refused(parsed.error());
  return ask(egress_block, policy::asked_json(*parsed), shown(justification));
}

ToolOutcome read_capability_block(const json::object& arguments) {
  std::string fault = unknown_key(arguments, {"dockerfile", "packages", "justification"});
  const std::string justification = need_text(arguments, "justification", max_justification, fault);
  if (!fault.empty()) return bad(std::move(fault));
  json::object recipe = arguments;
  recipe.erase("justification");
  auto parsed = parse_recipe(recipe);
  if (!parsed) return refused(parsed.error());
  return ask(capability_block, std::move(*parsed), shown(justification));
}

ToolOutcome read_git_allow(const json::object& arguments) {
  std::string fault = unknown_key(arguments, {"repo", "fingerprints", "justification"});
  const std::string justification = need_text(arguments, "justification", max_justification, fault);
  const std::string repo = need_text(arguments, "repo", 256, fault);
  const json::array* given = find_array(arguments, "fingerprints");
  const std::vector<std::string> fingerprints = get_strings(arguments, "fingerprints");
  if (fault.empty() &&
      (given == nullptr || given->empty() || given->size() > max_fingerprints || fingerprints.size() != given->size() ||
       std::ranges::any_of(fingerprints, [](const auto& f) { return f.size() > max_fingerprint; })))
    fault = fmt::format("'fingerprints' is a list of 1 to {} texts", max_fingerprints);
  if (!fault.empty()) return bad(std::move(fault));
  return ask(git_allow, {{"repo", repo}, {"fingerprints", to_array(fingerprints)}}, shown(justification));
}

ToolOutcome read_ask_operator(const json::object& arguments) {
  std::string fault = unknown_key(arguments, {"question", "choices"});
  const std::string question = need_text(arguments, "question", max_question, fault);
  const std::vector<std::string> choices = get_strings(arguments, "choices");
  if (fault.empty() && arguments.contains("choices")) {
    const json::array* given = find_array(arguments, "choices");
    if (given == nullptr || given->empty() || given->size() > max_choices || choices.size() != given->size())
      fault = fmt::format("'choices' is a list of 1 to {} texts", max_choices);
    for (const std::string& choice : choices)
      if (fault.empty() && (choice.size() > max_choice || trim(choice).empty()))
        fault = fmt::format("a choice is empty or longer than {} octets", max_choice);
  }
  if (!fault.empty()) return bad(std::move(fault));
  json::object change{{"question", shown(question)}};
  if (!choices.empty()) {
    json::array kept;
    for (const std::string& choice : choices) kept.emplace_back(escape_untrusted(choice, 4 * max_choice));
    change["choices"] = std::move(kept);
  }
  return ask(ask_operator, std::move(change), {});
}

ToolOutcome list_routes(const Desk& desk) {
  json::array routes;
  for (const policy::Route& route : desk.standing().routes) routes.push_back(policy::to_public_json(route));
  json::object answer{{"routes", std::move(routes)}};
  // What is granted for now is what the agent asked for: it may know.
  const json::object state = desk.routes();
  json::array grants;
  for (const json::value& grant : state.at("grants").as_array()) {
    json::object one = grant.as_object();
    one.erase("proposal");
    grants.push_back(std::move(one));
  }
  if (!grants.empty()) answer["for_now"] = std::move(grants);
  ToolOutcome outcome;
  outcome.reply = ToolReply{to_pretty_text(answer), false, answer};
  return outcome;
}

ToolOutcome list_capabilities(const Desk& desk, const ToolSettings& settings) {
  if (!settings.discloses) return now("this bottle does not disclose what it may do", true);
  json::object answer = settings.capabilities;
  json::array routes;
  for (const policy::Route& route : desk.standing().routes) routes.push_back(policy::to_public_json(route));
  answer["routes"] = std::move(routes);
  answer["images"] = settings.builds_images;
  ToolOutcome outcome;
  outcome.reply = ToolReply{to_pretty_text(answer), false, answer};
  return outcome;
}

/// Fingerprints are those of a push that was rejected; the gate's own proposal tells what they stand for.
ToolOutcome find_rejected(const Desk& desk, ToolOutcome outcome) {
  ToolQuestion& question = *outcome.question;
  std::vector<std::string> asked = get_strings(question.change, "fingerprints");
  std::ranges::sort(asked);
  asked.erase(std::unique(asked.begin(), asked.end()), asked.end());
  const std::string repo = get_string(question.change, "repo");
  std::vector<std::string> allowed;
  const Proposal* source = nullptr;
  for (const Proposal& proposal : desk.journal().all()) {
    if (proposal.kind != git_allow || get_string(proposal.change, "repo") != repo) continue;
    std::vector<std::string> known = get_strings(proposal.change, "fingerprints");
    if (proposal.state == State::applied) allowed.insert(allowed.end(), known.begin(), known.end());
    std::ranges::sort(known);
    if (!std::ranges::includes(known, asked)) continue;
    // One that waits for exactly this is the question itself.
    if (known == asked && proposal.state == State::pending) question.change = proposal.change;
    if (source == nullptr || proposal.state == State::pending) source = &proposal;
  }
  if (std::ranges::all_of(asked, [&](const auto& one) { return std::ranges::find(allowed, one) != allowed.end(); }))
    return now("allowed already: push again", false);
  if (source == nullptr)
    return now("no push of this bottle to that repository was rejected for these fingerprints: push first", true);
  question.facts = source->facts;
  return outcome;
}

ToolOutcome check_route(const Desk& desk, ToolOutcome outcome) {
  const auto route = policy::parse_asked_route(outcome.question->change);
  if (!route) return refused(route.error());
  const auto merged = policy::merge_route(desk.standing(), *route);
  if (!merged) return refused(merged.error());
  if (policy::live_route(*merged, route->host) == policy::live_route(desk.standing(), route->host))
    return now("allowed already: these requests pass", false);
  json::array facts;
  for (const auto& [label, text] : policy::widening_of(desk.standing(), *route))
    facts.push_back(json::object{{"label", label}, {"text", text}});
  outcome.question->facts = {{"facts", std::move(facts)}};
  return outcome;
}

std::string condition_of(const json::object& narrow) {
  if (get_bool(narrow, "once", false)) return ", for one request";
  if (narrow.contains("seconds")) return fmt::format(", for {} s", get_int(narrow, "seconds", 0));
  if (narrow.contains("requests")) return fmt::format(", for {} requests", get_int(narrow, "requests", 0));
  if (narrow.contains("bytes")) return fmt::format(", for {} octets sent", get_int(narrow, "bytes", 0));
  return {};
}

std::string approved_text(const Proposal& proposal) {
  std::string text = proposal.decision == "modify" ? "approved with changes" : "approved";
  if (proposal.kind == egress_block) {
    text += condition_of(proposal.narrow) + ": send the request again";
    if (proposal.decision == "modify") text += ". What passes is " + to_text(proposal.change);
  } else if (proposal.kind == git_allow) {
    text += ": push again";
  } else if (proposal.kind == capability_block) {
    text += ": this bottle is kept and stopped, and goes on with the new image";
  }
  return proposal.reason.empty() ? text : text + " (" + proposal.reason + ")";
}

}  // namespace

ToolOutcome read_call(std::string_view name, const json::object& arguments) {
  if (name == egress_block) return read_egress_block(arguments);
  if (name == capability_block) return read_capability_block(arguments);
  if (name == git_allow) return read_git_allow(arguments);
  if (name == ask_operator) return read_ask_operator(arguments);
  if (std::string fault = unknown_key(arguments, {}); !fault.empty()) return bad(std::move(fault));
  return {};
}

ToolOutcome prepare_call(Desk& desk, const ToolSettings& settings, std::string_view name,
                         const json::object& arguments) {
  ToolOutcome outcome = read_call(name, arguments);
  if (!outcome.bad_arguments.empty() || outcome.reply) return outcome;
  if (name == "list-egress-routes") return list_routes(desk);
  if (name == "list-capabilities") return list_capabilities(desk, settings);
  if (name == capability_block && !settings.builds_images)
    return now(
        "capability-block: this bottle's backend builds no images, so its programs are what they are "
        "(docker can: start the bottle with --backend docker)",
        true);
  if (name == git_allow) return find_rejected(desk, std::move(outcome));
  if (name == egress_block) return check_route(desk, std::move(outcome));
  return outcome;
}

ToolReply reply_of(const Proposal& proposal) {
  ToolReply reply;
  reply.structured = {{"proposal", proposal.id}, {"state", name_of(proposal.state)}, {"decision", proposal.decision}};
  switch (proposal.state) {
    case State::applied:
      reply.text = proposal.kind == ask_operator ? proposal.answer : approved_text(proposal);
      if (proposal.kind == ask_operator) reply.structured["answer"] = proposal.answer;
      break;
    case State::expired:
      reply.text = "approved, and over by now" + (proposal.reason.empty() ? "" : " (" + proposal.reason + ")");
      reply.is_error = true;
      break;
    default:
      reply.text = "rejected by the operator" + (proposal.reason.empty() ? "" : ": " + proposal.reason);
      reply.is_error = true;
      break;
  }
  if (!proposal.reason.empty()) reply.structured["reason"] = proposal.reason;
  // Claude Code 2.1.197 shows its model the structured part alone where there is one (supervise_test.py).
  reply.structured["message"] = reply.text;
  return reply;
}

json::object to_result(const ToolReply& reply, std::string_view version) {
  json::object result{{"content", json::array{json::object{{"type", "text"}, {"text", reply.text}}}},
                      {"isError", reply.is_error}};
  if (version >= "2025-06-18" && !reply.structured.empty()) result["structuredContent"] = reply.structured;
  return result;
}

}  // namespace bot_bottle::supervise
