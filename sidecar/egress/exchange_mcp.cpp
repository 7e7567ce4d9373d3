// MCP and A2A in an exchange: what is recognised, and what is done about it.
#include <fmt/format.h>

#include "sidecar/egress/exchange.hpp"

namespace bot_bottle::egress {
namespace {

constexpr std::size_t max_shown = 8;  // of the tools that changed, in one event

using mcp::AnswerUnits;
using Size = AnswerUnits::Size;

/// Of a text that is too large only the beginning is here: where that is nothing but space, anything may follow.
bool begins_like_json(std::string_view text, Size size) {
  constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos ? text[first] == '{' || text[first] == '[' : size == Size::too_large;
}

}  // namespace

/// Requests: by method and first octets. Costs nothing for others.
void Exchange::prepare_mcp() {
  if (request_.method != "POST" || websocket_ || request_.body.kind == BodyLength::Kind::none) return;
  if (is_grpc(*request_.fields) || request_.fields->has("content-encoding")) return;
  if (!house_.guards.is_on(Guard::dlp)) return;
  mcp_request_.emplace(house_.rules, sought_secrets(), detectors(), route_->on_unscannable);
}

Exchange::Objection Exchange::mcp_objection(McpRequestGuard::Block& block) const {
  if (!block.finding) {
    Refusal refusal = blocked("unscannable", std::move(block.unscannable));
    refusal.where = "body";
    return refusal;
  }
  Refusal refusal = blocked("secret_found", "the request holds a credential");
  refusal.rule = std::move(block.finding->rule);
  refusal.snippet = std::move(block.finding->snippet);
  refusal.where = block.where;
  return refusal;
}

/// Answers: those to a message that was recognised, a server's stream of events, agent cards.
void Exchange::prepare_mcp_answer(const ResponseStart& head) {
  const bool to_message = mcp_request_ && mcp_request_->is_message();
  const bool stream = request_.method == "GET" && is_event_stream(*head.fields);
  const bool card = request_.method == "GET" && mcp::is_agent_card_path(target_.path);
  if (!to_message && !stream && !card) return;
  mcp_answer_.emplace(head, [this, card](std::string_view text, mcp::AnswerUnits::Size size) {
    return judge_answer(text, size, card ? Speaks::card : Speaks::rpc);
  });
}

bool Exchange::judge_answer(std::string_view text, mcp::AnswerUnits::Size size, Speaks speaks) {
  if (!begins_like_json(text, size)) return true;
  const bool pin = routes_->egress().mcp_pin && speaks == Speaks::rpc;
  const auto document = size == mcp::AnswerUnits::Size::fits ? mcp::read(text) : std::nullopt;
  if (!document) {
    const bool large = size == mcp::AnswerUnits::Size::too_large;
    const std::string_view why = large ? "an answer of more than 1 MiB" : "an answer that is not clear JSON";
    // Closed where a list of tools may be in it: not in a large answer to another question.
    const bool asked = mcp_request_ && mcp_request_->asks_for_tools();
    if (pin && (asked || !large || mcp_answer_->is_events())) {
      refuse_answer("mcp_unreadable", std::string(why) + " cannot be compared with what was said before", {});
      return false;
    }
    if (!std::exchange(mcp_told_, true)) note_mcp(Level::warn, "mcp_unreadable", why, {});
    return !injects() || read_strings(text);
  }
  if (speaks == Speaks::card) return !injects() || read_strings(mcp::all_strings_of(*document).each);
  // The answer to a message is one, whatever it leaves out: not every client insists on `jsonrpc`.
  const bool is_message = !mcp::messages_of(*document).empty();
  if (!is_message && !(mcp_request_ && mcp_request_->is_message())) return true;
  for (const json::array* tools : mcp::tool_lists_of(*document))
    if (!compare_tools(*tools)) return false;
  return !injects() || read_strings((is_message ? mcp::strings_of(*document) : mcp::all_strings_of(*document)).each);
}

/// Where general reading is on, it reads this text too.
bool Exchange::injects() const {
  return route_->dlp.recognised_injection && !inbound_ && house_.rules->injection() != nullptr;
}

bool Exchange::read_strings(std::string_view strings) {
  dlp::InjectionStream stream(house_.rules->injection(), dlp::Folder::Quotes::speak);
  return act_on(stream.write(strings)) && act_on(stream.finish());
}

bool Exchange::compare_tools(const json::array& tools) {
  const bool pin = routes_->egress().mcp_pin;
  const std::string server = fmt::format("{}:{}{}", authority_.host, authority_.port, target_.path);
  const mcp::ToolBook::Remarks remarks = house_.tools.note(server, tools);
  std::string names;
  for (std::size_t i = 0; i < remarks.changed.size() && i < max_shown; ++i)
    names += (i == 0 ? "" : ", ") + remarks.changed[i];
  if (!names.empty()) {
    if (pin) {
      refuse_answer("mcp_tool_changed", "the server describes a tool otherwise than before", "tools " + names);
      return false;
    }
    note_mcp(Level::warn, "mcp_tool_changed", "described otherwise than before", "tools " + names);
  }
  if (!remarks.malformed && !remarks.full) return true;
  const std::string_view why = remarks.full ? "more tools than are remembered" : "a tool without a usable name";
  if (pin) {
    refuse_answer("mcp_unreadable", fmt::format("the server's list cannot be compared: {}", why), {});
    return false;
  }
  if (!std::exchange(mcp_told_, true)) note_mcp(Level::warn, "mcp_unreadable", why, {});
  return true;
}

void Exchange::refuse_answer(std::string reason, std::string message, std::string where) {
  Refusal refusal = blocked(std::move(reason), std::move(message));
  refusal.where = std::move(where);
  refuse(std::move(refusal));
}

void Exchange::note_mcp(Level level, std::string_view name, std::string_view reason, std::string_view where) {
  Event event;
  event.kind = "dlp";
  event.level = level;
  event.event = name;
  event.host = authority_.host;
  event.method = request_.method;
  event.path = target_.path;
  event.reason = reason;
  event.where = where;
  house_.log.write(event);
}

}  // namespace bot_bottle::egress
