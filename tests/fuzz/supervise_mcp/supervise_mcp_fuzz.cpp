// Any octets as the body of a POST to the supervise server: a problem or messages, never both; what is answered is one
// JSON document without a line end; what a tool would ask of the operator is bounded, in one spelling, and can be
// shown.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "core/base/terminal_text.hpp"
#include "core/policy/asked_route.hpp"
#include "core/supervise/recipe.hpp"
#include "sidecar/supervise/rpc.hpp"
#include "sidecar/supervise/stateless.hpp"
#include "sidecar/supervise/tools.hpp"

using namespace bot_bottle;             // NOLINT(google-build-using-namespace)
using namespace bot_bottle::supervise;  // NOLINT(google-build-using-namespace)

namespace {

constexpr std::size_t most_octets = std::size_t{128} << 10;

void must(bool condition) {
  if (!condition) std::abort();
}

void check_call(const RpcMessage& message) {
  const json::object* arguments = find_object(message.params, "arguments");
  if (arguments == nullptr) return;
  for (const char* tool : {"egress-block", "capability-block", "git-allow", "ask-operator", "list-capabilities"}) {
    const ToolOutcome outcome = read_call(tool, *arguments);
    must(outcome.bad_arguments.empty() || !outcome.question);
    if (!outcome.question) continue;
    const ToolQuestion& question = *outcome.question;
    must(json::serialize(question.change).size() + question.justification.size() < 2 * most_octets);
    must(escape_untrusted_lines(question.justification, most_octets) == question.justification);
    if (question.kind == egress_block) {
      const auto route = policy::parse_asked_route(question.change);
      must(route.has_value() && policy::asked_json(*route) == question.change);
      must(!route->auth && route->tls == policy::Tls::intercept && !route->plain);
      policy::Egress live;
      const auto merged = policy::merge_route(live, *route);
      must(merged.has_value() && merged->routes.size() == 1 && policy::covers(merged->routes[0], *route));
      const auto again = policy::merge_route(*merged, *route);
      must(again.has_value() && policy::to_json(*again) == policy::to_json(*merged));
    } else if (question.kind == capability_block) {
      const auto recipe = parse_recipe(question.change);
      must(recipe.has_value() && *recipe == question.change);
    }
  }
}

/// Fields that mirror the message are taken or refused for the body's sake; the octets as a name are that name or none.
void check_stateless_head(const RpcMessage& message, const std::string& octets) {
  http::Fields fields;
  fields.add("mcp-protocol-version", stateless_version);
  fields.add("mcp-method", message.method);
  fields.add("mcp-name", get_string(message.params, "name"));
  must(is_stateless(fields, message));
  if (const auto refusal = check_stateless(fields, message))
    must(!json::serialize(rpc_error(message.id, refusal->code, refusal->message, refusal->data)).empty());
  if (const auto name = decode_mirrored(octets)) must(name->size() <= octets.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string body(size, '\0');
  for (std::size_t i = 0; i < size; ++i) body[i] = static_cast<char>(data[i]);
  for (const Batches batches : {Batches::refused, Batches::accepted}) {
    const RpcReading reading = read_rpc(body, batches);
    if (reading.problem) {
      must(!reading.problem->message.empty());
      continue;
    }
    must(!reading.payload.messages.empty() && reading.payload.messages.size() <= max_rpc_messages);
    for (const RpcMessage& message : reading.payload.messages) {
      const std::string reply = json::serialize(rpc_error(message.id, RpcCode::method_not_found, message.method));
      must(reply.find('\n') == std::string::npos && parse_json(reply).has_value());
      must(message.kind != RpcMessage::Kind::request || !message.id.is_null());
      check_call(message);
      check_stateless_head(message, body);
    }
  }
  static_cast<void>(accepts(body, "text/event-stream"));
  return 0;
}
