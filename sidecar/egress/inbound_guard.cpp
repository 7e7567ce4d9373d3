#include "sidecar/egress/inbound_guard.hpp"

#include "core/base/text.hpp"

namespace bot_bottle::egress {
namespace {

constexpr std::size_t max_held = std::size_t{64} << 10;

std::string content_type(const ResponseStart& head) {
  std::string type;
  head.fields->each([&](const http::Field& field) {
    if (field.name == "content-type") type = to_lower(field.value);
  });
  return type;
}

dlp::Folder::Quotes quotes_of(const ResponseStart& head) {
  const std::string type = content_type(head);
  const bool structure = type.find("json") != std::string::npos || type.starts_with("text/event-stream");
  return structure ? dlp::Folder::Quotes::structure : dlp::Folder::Quotes::speak;
}

}  // namespace

InboundGuard::InboundGuard(std::shared_ptr<const dlp::InjectionPhrases> phrases, const ResponseStart& head)
    : stream_(std::move(phrases), quotes_of(head)) {
  if (head.body.kind == BodyLength::Kind::known && head.body.size <= max_held)
    patience_ = Patience::whole_body;
  else if (content_type(head).starts_with("text/event-stream"))
    patience_ = Patience::none;  // somebody waits for the head alone
}

bool InboundGuard::hold(const ResponseStart& head) {
  if (patience_ == Patience::none) return false;
  held_ = head;
  fields_ = *head.fields;
  reason_ = head.reason;
  return true;
}

bool InboundGuard::hold(std::string_view bytes) {
  if (!held_ || patience_ != Patience::whole_body || body_.size() + bytes.size() > max_held) return false;
  body_.append(bytes);
  return true;
}

ResponseStart InboundGuard::take_head() {
  ResponseStart head = *held_;
  held_.reset();
  head.fields = &fields_;
  head.reason = reason_;
  return head;
}

}  // namespace bot_bottle::egress
