#include "sidecar/supervise/rpc.hpp"

#include <algorithm>
#include <array>

#include "core/base/text.hpp"
#include "sidecar/http/fields.hpp"

namespace bot_bottle::supervise {
namespace {

constexpr std::size_t max_id_octets = 256;
constexpr std::size_t max_method_octets = 256;
constexpr std::array<std::string_view, 4> versions{"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"};

bool is_id(const json::value& id) {
  return id.is_int64() || id.is_uint64() || (id.is_string() && id.as_string().size() <= max_id_octets);
}

RpcMessage read_message(const json::value& value) {
  RpcMessage message;
  const json::object* object = value.if_object();
  if (object == nullptr || get_string(*object, "jsonrpc") != "2.0") return message;
  const json::value* id = object->if_contains("id");
  if (id != nullptr && !is_id(*id)) return message;
  if (const json::value* method = object->if_contains("method")) {
    if (!method->is_string() || method->as_string().empty() || method->as_string().size() > max_method_octets)
      return message;
    message.method = std::string(method->as_string());
    if (id != nullptr) message.id = *id;
    message.kind = id != nullptr ? RpcMessage::Kind::request : RpcMessage::Kind::notification;
    if (const json::value* params = object->if_contains("params")) {
      if (const json::object* given = params->if_object())
        message.params = *given;
      else
        message.bad_params = true;
    }
    return message;
  }
  if (id == nullptr || object->contains("result") == object->contains("error")) return message;
  message.id = *id;
  message.kind = RpcMessage::Kind::response;
  return message;
}

RpcReading problem(RpcCode code, std::string message) {
  RpcReading reading;
  reading.problem = RpcProblem{code, std::move(message)};
  return reading;
}

}  // namespace

RpcReading read_rpc(std::string_view body, Batches batches) {
  const auto document = parse_json(body, max_rpc_octets);
  if (!document) return problem(RpcCode::parse_error, "Parse error: " + document.error().message);
  RpcReading reading;
  if (const json::array* list = document->if_array()) {
    if (batches == Batches::refused)
      return problem(RpcCode::invalid_request, "Invalid Request: batches are of revision 2025-03-26 alone");
    if (list->empty() || list->size() > max_rpc_messages)
      return problem(RpcCode::invalid_request, "Invalid Request: a batch has 1 to 32 messages");
    reading.payload.is_batch = true;
    for (const json::value& entry : *list) {
      reading.payload.messages.push_back(read_message(entry));
      // It would change under the rest of the batch what the rest means.
      if (reading.payload.messages.back().method == "initialize")
        return problem(RpcCode::invalid_request, "Invalid Request: initialize cannot be part of a batch");
    }
    return reading;
  }
  reading.payload.messages.push_back(read_message(*document));
  if (reading.payload.messages.front().kind == RpcMessage::Kind::invalid)
    return problem(RpcCode::invalid_request, "Invalid Request");
  return reading;
}

json::object rpc_result(const json::value& id, json::object result) {
  return {{"jsonrpc", "2.0"}, {"id", id}, {"result", std::move(result)}};
}

json::object rpc_error(const json::value& id, RpcCode code, std::string_view message, json::object data) {
  json::object error{{"code", static_cast<std::int32_t>(code)}, {"message", message}};
  if (!data.empty()) error["data"] = std::move(data);
  return {{"jsonrpc", "2.0"}, {"id", id}, {"error", std::move(error)}};
}

std::span<const std::string_view> session_versions() {
  return versions;
}

bool is_known_version(std::string_view version) {
  return std::ranges::find(versions, version) != versions.end();
}

bool accepts(std::string_view accept, std::string_view type) {
  const std::string_view family = type.substr(0, type.find('/'));
  bool accepted = false;
  http::each_member(accept, [&](std::string_view member) {
    const std::size_t semicolon = member.find(';');
    const std::string range = to_lower(trim(member.substr(0, semicolon)));
    if (range != type && range != "*/*" && range != std::string(family) + "/*") return;
    bool refused = false;
    if (semicolon != std::string_view::npos) {
      for (const std::string_view parameter : split(member.substr(semicolon + 1), ';')) {
        const std::string text = to_lower(trim(parameter));
        refused = refused || text == "q=0" || text == "q=0.0" || text == "q=0.00" || text == "q=0.000";
      }
    }
    accepted = accepted || !refused;
  });
  return accepted;
}

}  // namespace bot_bottle::supervise
