#include "core/plugins/call.hpp"

#include <bot_bottle/sdk/call.hpp>
#include <utility>

#include "core/base/text.hpp"

namespace bot_bottle::plugins {
namespace {

constexpr std::size_t max_message_bytes = std::size_t{16} << 10;

/// Bounded, valid UTF-8, no newline or full stop at the end.
std::string clean(bb_str text) {
  std::string_view trimmed = trim(view(text).substr(0, max_message_bytes));
  while (trimmed.ends_with('.') && !trimmed.ends_with("..")) trimmed.remove_suffix(1);
  return sdk::detail::to_valid_utf8(trimmed);
}

Error to_error(ErrorKind kind, bb_str message, bb_str hint) {
  Error error = make_error(kind, clean(message), clean(hint));
  if (const std::size_t newline = error.message.find('\n'); newline != std::string::npos) {
    error.details = error.message.substr(newline + 1);
    error.message.resize(newline);
  }
  return error;
}

}  // namespace

ErrorKind kind_of(bb_status status) {
  if (status <= BB_OK || status > BB_INTERNAL) return ErrorKind::internal;
  return static_cast<ErrorKind>(status - 1);
}

bb_status status_of(ErrorKind kind) {
  if (kind == ErrorKind::usage) return BB_INVALID_ARGUMENT;
  if (kind == ErrorKind::refused) return BB_PERMISSION_DENIED;
  return static_cast<bb_status>(kind) + 1;
}

bb_str to_bb(std::string_view text) {
  return bb_str{text.data(), text.size()};
}
std::string_view view(bb_str text) {
  return text.data == nullptr ? std::string_view() : std::string_view(text.data, text.size);
}

PluginCall::PluginCall(PluginHost& host, std::string what) : host_(host), what_(std::move(what)) {
  call_.struct_size = sizeof call_;
  call_.cancel_fd =
      host_.with_options([](const HostOptions* options) { return options == nullptr ? -1 : options->cancel_fd; });
  call_.host_data = this;
  call_.fail = fail_slot;
  call_.progress = progress_slot;
}

bb_writer PluginCall::writer() {
  return bb_writer{this, write_slot};
}

bool PluginCall::is_ours(const bb_call* call) {
  return call != nullptr && call->fail == fail_slot;
}

void PluginCall::note(const bb_call* call, const Error& error) {
  auto& self = *static_cast<PluginCall*>(call->host_data);
  const std::lock_guard lock(self.mutex_);
  self.noted_ = true;
  self.note_ = error;
}

void PluginCall::fail_slot(const bb_call* call, bb_str message, bb_str hint) {
  auto& self = *static_cast<PluginCall*>(call->host_data);
  const std::lock_guard lock(self.mutex_);
  ++self.failures_;
  self.failure_ = to_error(ErrorKind::internal, message, hint);
}

void PluginCall::progress_slot(const bb_call* call, std::uint32_t permille, bb_str what) {
  auto& self = *static_cast<PluginCall*>(call->host_data);
  self.host_.progress(permille > 1000 ? UINT32_MAX : permille, clean(what));
}

bb_status PluginCall::write_slot(void* context, bb_str part) {
  auto& self = *static_cast<PluginCall*>(context);
  if (self.overflowed_ || part.size > max_result_bytes - self.result_.size()) {
    self.overflowed_ = true;
    return BB_INVALID_ARGUMENT;
  }
  self.result_.append(view(part));
  return BB_OK;
}

Error PluginCall::within(Error error) const {
  return std::move(error).within(what_);
}

void PluginCall::thrown(const std::exception_ptr& exception) {
  std::string text = "something that is not an exception";
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& error) {
    text = std::string("\"") + error.what() + "\"";
  } catch (...) {  // the text above says it
  }
  host_.misbehaving(what_ + " threw " + text + " across the boundary");
  throw Failure(within(make_error(ErrorKind::internal, "the plugin threw " + text, "report this to its author")));
}

void PluginCall::finish(bb_status status) {
  const std::lock_guard lock(mutex_);
  if (status < BB_OK || status > BB_INTERNAL)
    host_.misbehaving(what_ + " returned the unknown status " + std::to_string(status));
  if (failures_ > 1) host_.misbehaving(what_ + " called fail " + std::to_string(failures_) + " times");
  if (overflowed_) {
    throw Failure(within(make_error(ErrorKind::internal,
                                    "the plugin wrote more than " + std::to_string(max_result_bytes >> 20) + " MiB",
                                    "report this to its author")));
  }
  if (status == BB_OK) {
    if (failures_ > 0) host_.misbehaving(what_ + " called fail (\"" + failure_.message + "\") and returned BB_OK");
    return;
  }
  Error error = failure_;
  if (failures_ == 0 && noted_) {
    error = note_;
  } else if (failures_ == 0 || error.message.empty()) {
    if (status != BB_CANCELLED) host_.misbehaving(what_ + " failed without saying why");
    error.message = status == BB_CANCELLED
                        ? "cancelled"
                        : "the plugin gave no reason (" + std::string(name_of(kind_of(status))) + ")";
  }
  error.kind = kind_of(status);
  throw Failure(within(std::move(error)));
}

json::object PluginCall::document(std::string_view schema) {
  auto parsed = parse_json_object(result_, max_result_bytes);
  std::string problem;
  if (!parsed) {
    problem = parsed.error().message;
  } else if (const std::string said = get_string(*parsed, "schema"); said != schema) {
    problem = said.empty() ? "it has no \"schema\"" : "it is " + said;
  } else {
    return std::move(*parsed);
  }
  host_.misbehaving(what_ + " wrote a bad document: " + problem);
  throw Failure(
      within(make_error(ErrorKind::internal, "the plugin's document is not " + std::string(schema) + ": " + problem,
                        "report this to its author")));
}

}  // namespace bot_bottle::plugins
