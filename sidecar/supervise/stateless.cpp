#include "sidecar/supervise/stateless.hpp"

#include <algorithm>

#include "core/base/text.hpp"

namespace bot_bottle::supervise {
namespace {

constexpr std::string_view version_key = "io.modelcontextprotocol/protocolVersion";
constexpr std::string_view capabilities_key = "io.modelcontextprotocol/clientCapabilities";
constexpr std::string_view version_field = "mcp-protocol-version";
constexpr std::string_view method_field = "mcp-method";
constexpr std::string_view name_field = "mcp-name";
constexpr std::string_view encoded_begin = "=?base64?";
constexpr std::string_view encoded_end = "?=";
constexpr std::size_t max_shown_version = 32;

/// Revisions are dates, and compare as texts.
bool is_date(std::string_view text) {
  constexpr std::string_view form = "0000-00-00";
  return text.size() == form.size() && std::ranges::equal(text, form, [](char given, char wanted) {
           return wanted == '-' ? given == '-' : given >= '0' && given <= '9';
         });
}

StatelessRefusal mismatch(std::string_view text) {
  return {RpcCode::header_mismatch, "Header mismatch: " + std::string(text), {}};
}

/// The one value of a field. Nothing: it is missing, or there are two that could be read differently.
std::optional<std::string_view> only(const http::Fields& fields, std::string_view name) {
  std::optional<std::string_view> found;
  std::size_t count = 0;
  fields.each([&](const http::Field& field) {
    if (field.name != name) return;
    ++count;
    found = field.value;
  });
  return count == 1 ? found : std::nullopt;
}

}  // namespace

std::optional<std::string> decode_mirrored(std::string_view value) {
  if (!value.starts_with(encoded_begin) || !value.ends_with(encoded_end)) return std::string(value);
  if (value.size() < encoded_begin.size() + encoded_end.size()) return std::nullopt;
  value.remove_prefix(encoded_begin.size());
  value.remove_suffix(encoded_end.size());
  return base64_decode(value);
}

bool is_stateless(const http::Fields& fields, const RpcMessage& message) {
  if (const json::object* meta = find_object(message.params, "_meta"); meta != nullptr && meta->contains(version_key))
    return true;
  const std::string_view named = fields.find(version_field).value_or("");
  return is_date(named) && named >= stateless_version;
}

std::optional<StatelessRefusal> check_stateless(const http::Fields& fields, const RpcMessage& message) {
  const json::object* meta = message.bad_params ? nullptr : find_object(message.params, "_meta");
  const json::value* version = meta == nullptr ? nullptr : meta->if_contains(version_key);
  if (version == nullptr || !version->is_string() || find_object(*meta, capabilities_key) == nullptr)
    return StatelessRefusal{
        RpcCode::invalid_params,
        "Invalid params: _meta needs " + std::string(version_key) + " and " + std::string(capabilities_key),
        {}};
  const std::string_view spoken = version->as_string();
  const auto named = only(fields, version_field);
  if (!named || *named != spoken) return mismatch("MCP-Protocol-Version is missing, or is not the body's");
  if (spoken != stateless_version) {
    json::array supported{json::value(stateless_version)};
    for (const std::string_view one : session_versions()) supported.emplace_back(one);
    return StatelessRefusal{RpcCode::unsupported_version,
                            "Unsupported protocol version",
                            {{"supported", std::move(supported)}, {"requested", spoken.substr(0, max_shown_version)}}};
  }
  const auto method = only(fields, method_field);
  if (!method || *method != message.method) return mismatch("Mcp-Method is missing, or is not the body's");
  if (message.method == "tools/call") {
    const auto mirrored = only(fields, name_field);
    const auto name = mirrored ? decode_mirrored(*mirrored) : std::nullopt;
    if (!name || *name != get_string(message.params, "name"))
      return mismatch("Mcp-Name is missing, malformed, or is not the body's");
  }
  return std::nullopt;
}

}  // namespace bot_bottle::supervise
