// The tools an agent is offered (spec 06): their descriptions, and what their arguments mean. Pure but for what it asks
// of the desk. Hostile input: every argument.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/json.hpp"
#include "sidecar/supervise/desk.hpp"

namespace bot_bottle::supervise {

/// What tools may say and do in this bottle.
struct ToolSettings {
  bool discloses = true;
  bool builds_images = false;
  json::object capabilities;  // of list-capabilities, besides the routes
};

/// The result of tools/list.
json::object tools_list();
bool is_tool(std::string_view name);

struct ToolReply {
  std::string text;
  bool is_error = false;
  json::object structured;  // shown to clients of revision 2025-06-18 and later
};
json::object to_result(const ToolReply& reply, std::string_view version);

/// What a call comes to: an answer at once, or something to ask the operator.
struct ToolQuestion {
  std::string kind;
  json::object change;
  std::string justification;
  json::object facts;
};
struct ToolOutcome {
  std::optional<ToolReply> reply;        // at once
  std::optional<ToolQuestion> question;  // else
  std::string bad_arguments;             // not empty: they do not have the tool's schema
};

/// Reads the arguments of a call that asks for something, without looking at the live state. `name` is a tool's.
ToolOutcome read_call(std::string_view name, const json::object& arguments);

/// The whole: also what needs no operator, what is allowed already and what this bottle cannot do.
ToolOutcome prepare_call(Desk& desk, const ToolSettings& settings, std::string_view name,
                         const json::object& arguments);

/// What the agent hears of a proposal that was settled.
ToolReply reply_of(const Proposal& proposal);

}  // namespace bot_bottle::supervise
