// What a connection's request means: the rules of the Streamable HTTP transport, and MCP's methods.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/base/text.hpp"
#include "sidecar/supervise/connection.hpp"
#include "sidecar/supervise/stateless.hpp"

#ifndef BB_VERSION
#define BB_VERSION "0"
#endif

namespace bot_bottle::supervise {
namespace {

constexpr std::string_view json_type = "application/json";
constexpr std::string_view event_type = "text/event-stream";
constexpr std::string_view instructions =
    "This program runs in a bottle: only listed requests leave it. When one is blocked that the task needs, call "
    "egress-block with its host, paths and methods, and wait: a human answers. When a push is rejected for something "
    "that is no secret, call git-allow. For missing programs call capability-block. Ask a human with ask-operator.";

/// Names under which the server is reached; a page that made its own name point here (DNS rebinding) has another one.
bool is_our_name(std::string_view host) {
  static constexpr std::array<std::string_view, 3> names{"supervise", "127.0.0.1", "localhost"};
  const std::size_t colon = host.rfind(':');
  if (colon != std::string_view::npos && host.substr(colon) != ":9100") return false;
  return std::ranges::find(names, to_lower(host.substr(0, colon))) != names.end();
}

bool is_our_origin(std::string_view origin) {
  constexpr std::string_view scheme = "http://";
  return origin.starts_with(scheme) && is_our_name(origin.substr(scheme.size()));
}

json::object server_info() {
  return {{"name", "bot-bottle-supervise"}, {"version", BB_VERSION}};
}

/// The tools depend on nothing but this version of the program, yet nobody gains by keeping them.
json::object cacheable(json::object result) {
  result["ttlMs"] = 0;
  result["cacheScope"] = "private";
  return result;
}

bool is_token(const json::value& token) {
  return token.is_int64() || token.is_uint64() || (token.is_string() && token.as_string().size() <= 256);
}

}  // namespace

std::string_view Connection::version() const {
  return version_;
}

/// What the head alone decides, before a body is read.
bool Connection::check_head() {
  const auto refused = [this](int status, std::string_view message, std::string_view name = {},
                              std::string_view value = {}) {
    refuse(status, RpcCode::refused, message, name, value);
    return false;
  };
  const std::string_view path = std::string_view(head().target).substr(0, head().target.find('?'));
  const auto host = head().fields.find("host");
  // On the address wire the sidecar has a name of its own, too; the agent is told "supervise" alone.
  if (host && !is_our_name(*host)) return refused(403, "Forbidden: this is http://supervise:9100/mcp");
  if (const auto origin = head().fields.find("origin"); origin && !is_our_origin(*origin))
    return refused(403, "Forbidden: Origin is another one");
  if (path != "/mcp") return refused(404, "Not Found: the server is at /mcp");
  if (head().method != "POST" && head().method != "GET" && head().method != "DELETE")
    return refused(405, "Method Not Allowed", "allow", "GET, POST, DELETE");
  if (head().fields.has("content-encoding")) return refused(415, "Unsupported Media Type: the body is taken as it is");
  const std::string_view accept = head().fields.find("accept").value_or("");
  if (head().method == "POST") {
    if (!accepts(accept, json_type) || !accepts(accept, event_type))
      return refused(406, "Not Acceptable: accept both application/json and text/event-stream");
    const std::string_view type = head().fields.find("content-type").value_or("");
    if (to_lower(trim(type.substr(0, type.find(';')))) != json_type)
      return refused(415, "Unsupported Media Type: the body is application/json");
  } else if (head().method == "GET" && !accepts(accept, event_type)) {
    return refused(406, "Not Acceptable: accept text/event-stream");
  }
  // That of a POST may be of a revision whose body says more.
  if (const auto given = head().fields.find("mcp-protocol-version");
      given && head().method != "POST" && !is_known_version(*given))
    return *given == stateless_version ? refused(405, "Method Not Allowed", "allow", "POST")
                                       : refused(400, "Bad Request: unsupported MCP-Protocol-Version");
  return true;
}

/// The session that the request names. False: it was refused.
bool Connection::find_session() {
  const auto id = head().fields.find("mcp-session-id");
  if (!id) {
    refuse(400, RpcCode::refused, "Bad Request: Mcp-Session-Id is missing");
    return false;
  }
  Session* session = server_.sessions().find(*id);
  if (session == nullptr) {
    refuse(404, RpcCode::session_not_found, "Session not found");
    return false;
  }
  session->used_ms = server_.loop().now_ms();
  session_ = std::string(*id);
  version_ = session->version;
  return true;
}

void Connection::on_get() {
  if (!find_session()) return;
  Session* session = server_.sessions().find(session_);
  if (session->streams > 0) {
    refuse(409, RpcCode::refused, "Conflict: this session has a stream already");
    return;
  }
  ++session->streams;
  counted_stream_ = true;
  begin_events();
  send_piece(": open\n\n");
}

void Connection::on_delete() {
  if (!find_session()) return;
  const std::string ended = session_;
  session_.clear();
  server_.sessions().end(ended);
  server_.cut_off(ended);
  answer(204, {}, {});
}

void Connection::on_post() {
  // Without a session there is one message that is understood: initialize, which batches cannot hold.
  const bool named = head().fields.has("mcp-session-id");
  Batches batches = Batches::refused;
  if (const auto id = head().fields.find("mcp-session-id"))
    if (const Session* session = server_.sessions().find(*id); session != nullptr && has_batches(session->version))
      batches = Batches::accepted;
  const RpcReading reading = read_rpc(body_, batches);
  if (reading.problem) {
    refuse(400, reading.problem->code, reading.problem->message);
    return;
  }
  const std::vector<RpcMessage>& messages = reading.payload.messages;
  if (!reading.payload.is_batch && is_stateless(head().fields, messages.front())) {
    on_stateless(messages.front());
    return;
  }
  if (const auto given = head().fields.find("mcp-protocol-version"); given && !is_known_version(*given)) {
    refuse(400, RpcCode::refused, "Bad Request: unsupported MCP-Protocol-Version");
    return;
  }
  const bool begins = messages.front().method == "initialize";
  if ((!begins || named) && !find_session()) return;
  for (const RpcMessage& message : messages) {
    handle(message);
    if (state() != State::answering) return;
  }
  answer_post(reading.payload.is_batch);
}

/// What was said at once; the rest as it comes.
void Connection::answer_post(bool is_batch) {
  if (waiting_.empty() && replies_.empty()) {
    answer(202, {}, {});
  } else if (waiting_.empty()) {
    json::value body = replies_.front();
    if (is_batch) body = json::array(replies_.begin(), replies_.end());
    answer(200, json_type, json::serialize(body));
  } else {
    begin_events();
    for (const json::object& reply : replies_) send_event(reply);
    for (Waiting& waiting : waiting_) send_progress(waiting);
  }
}

/// Revision 2026-07-28: one message, whole in itself. Closing the stream is how its client gives up; what it asked
/// stays asked.
void Connection::on_stateless(const RpcMessage& message) {
  version_ = stateless_version;
  if (message.kind == RpcMessage::Kind::notification) {
    answer(202, {}, {});  // there is none that means anything to us
    return;
  }
  if (message.kind != RpcMessage::Kind::request) {
    refuse(400, RpcCode::invalid_request, "Invalid Request: responses are not sent to a server");
    return;
  }
  if (auto refusal = check_stateless(head().fields, message)) {
    answer(400, json_type,
           json::serialize(rpc_error(message.id, refusal->code, refusal->message, std::move(refusal->data))));
    return;
  }
  if (message.method == "server/discover") {
    json::array supported{json::value(stateless_version)};
    for (const std::string_view one : session_versions()) supported.emplace_back(one);
    replies_.push_back(result_for(message.id, cacheable({{"supportedVersions", std::move(supported)},
                                                         {"capabilities", {{"tools", json::object{}}}},
                                                         {"instructions", instructions}})));
  } else if (message.method == "tools/list") {
    replies_.push_back(message.params.contains("cursor")
                           ? rpc_error(message.id, RpcCode::invalid_params, "Invalid params: there is one page")
                           : result_for(message.id, cacheable(tools_list())));
  } else if (message.method == "tools/call") {
    if (auto reply = call_tool(message)) replies_.push_back(std::move(*reply));
  } else if (message.method == "subscriptions/listen") {
    // Nothing here ever changes its list, so nothing of what is asked for is agreed to.
    begin_events();
    send_event(
        {{"jsonrpc", "2.0"},
         {"method", "notifications/subscriptions/acknowledged"},
         {"params",
          {{"_meta", {{"io.modelcontextprotocol/subscriptionId", message.id}}}, {"notifications", json::object{}}}}});
    return;
  } else {
    answer(404, json_type, json::serialize(rpc_error(message.id, RpcCode::method_not_found, "Method not found")));
    return;
  }
  answer_post(false);
}

json::object Connection::result_for(const json::value& id, json::object result) const {
  if (version_ == stateless_version) {
    result["resultType"] = "complete";
    result["_meta"] = {{"io.modelcontextprotocol/serverInfo", server_info()}};
  }
  return rpc_result(id, std::move(result));
}

void Connection::handle(const RpcMessage& message) {
  switch (message.kind) {
    case RpcMessage::Kind::invalid:
      replies_.push_back(rpc_error(nullptr, RpcCode::invalid_request, "Invalid Request"));
      return;
    case RpcMessage::Kind::response:  // we ask for nothing
      return;
    case RpcMessage::Kind::notification:
      on_notification(message);
      return;
    case RpcMessage::Kind::request:
      break;
  }
  if (message.bad_params) {
    replies_.push_back(rpc_error(message.id, RpcCode::invalid_params, "Invalid params: not an object"));
  } else if (message.method == "initialize") {
    replies_.push_back(initialize(message));
  } else if (message.method == "ping") {
    replies_.push_back(rpc_result(message.id, {}));
  } else if (message.method == "tools/list") {
    if (message.params.contains("cursor"))
      replies_.push_back(rpc_error(message.id, RpcCode::invalid_params, "Invalid params: there is one page"));
    else
      replies_.push_back(rpc_result(message.id, tools_list()));
  } else if (message.method == "tools/call") {
    if (auto reply = call_tool(message)) replies_.push_back(std::move(*reply));
  } else {
    replies_.push_back(rpc_error(message.id, RpcCode::method_not_found, "Method not found"));
  }
}

json::object Connection::initialize(const RpcMessage& message) {
  const json::value* asked = message.params.if_contains("protocolVersion");
  if (asked == nullptr || !asked->is_string() || find_object(message.params, "capabilities") == nullptr ||
      find_object(message.params, "clientInfo") == nullptr)
    return rpc_error(message.id, RpcCode::invalid_params,
                     "Invalid params: protocolVersion, capabilities and clientInfo are needed");
  const std::string_view wanted = asked->as_string();
  const std::string spoken(is_known_version(wanted) ? wanted : session_versions().front());
  new_session_ = server_.sessions().create(spoken, server_.loop().now_ms());
  if (new_session_.empty()) return rpc_error(message.id, RpcCode::refused, "too many sessions are in use");
  return rpc_result(message.id, {{"protocolVersion", spoken},
                                 {"capabilities", {{"tools", {{"listChanged", false}}}}},
                                 {"serverInfo", server_info()},
                                 {"instructions", instructions}});
}

/// The answer, or nothing when it is the operator's: then it waits.
std::optional<json::object> Connection::call_tool(const RpcMessage& message) {
  const json::value& id = message.id;
  const json::value* name = message.params.if_contains("name");
  if (name == nullptr || !name->is_string())
    return rpc_error(id, RpcCode::invalid_params, "Invalid params: 'name' is missing");
  if (!is_tool(name->as_string())) return rpc_error(id, RpcCode::invalid_params, "Unknown tool");
  const json::value* given = message.params.if_contains("arguments");
  if (given != nullptr && !given->is_object())
    return rpc_error(id, RpcCode::invalid_params, "Invalid params: 'arguments' is not an object");
  json::value token;
  if (const json::object* meta = find_object(message.params, "_meta"))
    if (const json::value* asked = meta->if_contains("progressToken")) token = *asked;
  if (!token.is_null() && !is_token(token))
    return rpc_error(id, RpcCode::invalid_params, "Invalid params: a progressToken is a string or an integer");
  const bool twice = std::ranges::any_of(waiting_, [&](const Waiting& other) { return other.id == id; });
  // Ids are one session's; who has none may share them with another.
  if (twice || (!session_.empty() && server_.is_under_way(session_, id)))
    return rpc_error(id, RpcCode::invalid_request, "Invalid Request: a call with this id is under way");

  ToolOutcome outcome = prepare_call(server_.desk(), server_.settings(), name->as_string(),
                                     given == nullptr ? json::object{} : given->as_object());
  if (!outcome.bad_arguments.empty()) {
    // Revision 2025-11-25: the model should see it and mend it.
    if (version() < "2025-11-25")
      return rpc_error(id, RpcCode::invalid_params, "Invalid params: " + outcome.bad_arguments);
    outcome.reply = ToolReply{outcome.bad_arguments, true, {}};
  }
  if (outcome.reply) return result_for(id, to_result(*outcome.reply, version()));
  ToolQuestion& question = *outcome.question;
  const auto proposal = server_.desk().ask(question.kind, std::move(question.change), std::move(question.justification),
                                           std::move(question.facts));
  if (!proposal) return result_for(id, to_result(ToolReply{proposal.error().message, true, {}}, version()));
  if (proposal->state != supervise::State::pending) {
    server_.desk().tell(proposal->id);
    return result_for(id, to_result(reply_of(*proposal), version()));
  }
  waiting_.push_back({id, token, proposal->id, server_.loop().now_ms(), 0});
  if (Session* session = server_.sessions().find(session_)) ++session->calls;
  server_.desk().attach(proposal->id, this);
  return std::nullopt;
}

void Connection::on_notification(const RpcMessage& message) {
  if (message.method != "notifications/cancelled") return;
  if (const json::value* request = message.params.if_contains("requestId")) server_.cancel(session_, *request);
}

void Connection::send_progress(Waiting& waiting) {
  if (waiting.progress_token.is_null()) return;
  json::object params{{"progressToken", waiting.progress_token}, {"progress", ++waiting.told}};
  if (version() >= "2025-03-26")
    params["message"] = fmt::format("waiting for the operator: bot-bottle supervise approve {} ({} s)",
                                    waiting.proposal, (server_.loop().now_ms() - waiting.since_ms) / 1000);
  send_event({{"jsonrpc", "2.0"}, {"method", "notifications/progress"}, {"params", std::move(params)}});
}

void Connection::on_answer(const Proposal& proposal) {
  if (!is_streaming()) return;
  const auto done = [&](const Waiting& waiting) { return waiting.proposal == proposal.id; };
  std::size_t answered = 0;
  for (const Waiting& waiting : waiting_) {
    if (!done(waiting)) continue;
    send_event(result_for(waiting.id, to_result(reply_of(proposal), version())));
    if (!is_streaming()) return;  // gone: the same call made again hears it
    ++answered;
  }
  std::erase_if(waiting_, done);
  if (Session* session = server_.sessions().find(session_)) session->calls -= std::min(session->calls, answered);
  if (answered > 0) server_.desk().tell(proposal.id);
  if (waiting_.empty()) end_stream();
}

/// The client wants no answer any more; what it asked stays asked.
void Connection::cancel(std::string_view session, const json::value& request) {
  if (!is_streaming() || session_ != session || counted_stream_) return;
  const std::size_t gone = std::erase_if(waiting_, [&](const Waiting& waiting) { return waiting.id == request; });
  if (gone == 0) return;
  if (Session* found = server_.sessions().find(session_)) found->calls -= std::min(found->calls, gone);
  server_.desk().detach(this);
  for (const Waiting& waiting : waiting_) server_.desk().attach(waiting.proposal, this);
  if (waiting_.empty()) end_stream();
}

bool Connection::is_waiting_for(std::string_view session, const json::value& request) const {
  return session_ == session && is_streaming() &&
         std::ranges::any_of(waiting_, [&](const Waiting& waiting) { return waiting.id == request; });
}

}  // namespace bot_bottle::supervise
