#include "sidecar/egress/mcp_guard.hpp"

#include <utility>

#include "core/base/text.hpp"

namespace bot_bottle::egress {
namespace {
constexpr std::string_view version_key = "jsonrpc";
}

bool is_event_stream(const http::Fields& fields) {
  return starts_with_ignoring_case(trim(fields.find("content-type").value_or("")), "text/event-stream");
}

std::size_t room_of_message(std::uint64_t open_exchanges) {
  constexpr std::uint64_t few = 128;
  constexpr std::size_t little = std::size_t{32} << 10;
  return open_exchanges <= few ? mcp::max_message_octets : little;
}

McpRequestGuard::McpRequestGuard(std::shared_ptr<const dlp::Rules> rules,
                                 std::shared_ptr<const dlp::KnownSecrets> secrets, dlp::Detectors detectors,
                                 policy::OnUnscannable on_unscannable)
    : rules_(std::move(rules)), secrets_(std::move(secrets)), detectors_(detectors), on_unscannable_(on_unscannable) {
  detectors_.fragments = nullptr;  // the body's own scan has counted them
  detectors_.financial = false;    // and has looked for these
}

/// Nothing when the body is none of ours: it only begins like one.
std::optional<McpRequestGuard::Block> McpRequestGuard::unreadable(std::string_view why) {
  if (!detectors_.token_patterns && !detectors_.known_secrets) return std::nullopt;
  if (raw_.find(version_key) == std::string::npos || on_unscannable_ == policy::OnUnscannable::pass)
    return std::nullopt;
  return Block{std::nullopt, std::string(why), {}};
}

std::optional<McpRequestGuard::Block> McpRequestGuard::write(std::string_view raw, std::string_view cleared,
                                                             std::string& out, std::size_t room) {
  if (state_ == State::passing) {
    out.append(cleared);
    return std::nullopt;
  }
  raw_.append(raw);
  cleared_.append(cleared);
  if (state_ == State::looking) {
    const mcp::Look look = mcp::first_look(raw_);
    if (look == mcp::Look::need_more) return std::nullopt;
    state_ = look == mcp::Look::message ? State::keeping : State::passing;
  }
  if (state_ == State::keeping) {
    if (raw_.size() <= room) return std::nullopt;
    if (auto block = unreadable(room < mcp::max_message_octets
                                    ? "too many requests are under way to keep so large a JSON-RPC message"
                                    : "a JSON-RPC message of more than 1 MiB cannot be read as one"))
      return block;
    state_ = State::passing;
  }
  out.append(std::exchange(cleared_, {}));
  raw_ = {};
  return std::nullopt;
}

std::optional<McpRequestGuard::Block> McpRequestGuard::finish(std::string_view cleared, std::string& out) {
  if (state_ != State::passing) {
    const auto document = mcp::first_look(raw_) != mcp::Look::other ? mcp::read(raw_) : std::nullopt;
    if (!document && state_ == State::keeping) {
      if (auto block = unreadable("a JSON-RPC message that two readers may read in two ways")) return block;
    }
    if (document && !mcp::messages_of(*document).empty()) {
      is_message_ = true;
      asks_for_tools_ = mcp::asks_for_tools(*document);
      if (auto block = scan(mcp::strings_of(*document))) return block;
    }
  }
  out.append(std::exchange(cleared_, {})).append(cleared);
  raw_ = {};
  state_ = State::passing;
  return std::nullopt;
}

std::optional<McpRequestGuard::Block> McpRequestGuard::scan(const mcp::Strings& strings) const {
  if (!detectors_.token_patterns && !detectors_.known_secrets) return std::nullopt;
  if (auto finding = dlp::scan(*rules_, *secrets_, detectors_, strings.each)) {
    std::string where(strings.where(static_cast<std::size_t>(finding->offset)));
    return Block{std::move(finding), {}, std::move(where)};
  }
  if (auto finding = dlp::scan(*rules_, *secrets_, detectors_, strings.joined)) {
    const std::string where(strings.where(0));
    finding->snippet.clear();  // what stands around it is the token again, in pieces
    return Block{std::move(finding), {}, "strings joined, " + where.substr(0, where.find(' '))};
  }
  return std::nullopt;
}

McpAnswerGuard::McpAnswerGuard(const ResponseStart& head, mcp::AnswerUnits::Judge judge)
    : kind_(is_event_stream(*head.fields) ? mcp::AnswerUnits::Kind::events : mcp::AnswerUnits::Kind::whole),
      units_(kind_, std::move(judge)) {}

bool McpAnswerGuard::hold(const ResponseStart& head) {
  if (kind_ == mcp::AnswerUnits::Kind::events) return false;  // somebody waits for the head alone
  held_ = head;
  fields_ = *head.fields;
  reason_ = head.reason;
  return true;
}

ResponseStart McpAnswerGuard::take_head() {
  ResponseStart head = *held_;
  held_.reset();
  head.fields = &fields_;
  head.reason = reason_;
  return head;
}

}  // namespace bot_bottle::egress
