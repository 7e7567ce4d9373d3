// One call from the host, as a class; and the one place where exceptions of a plugin end.
#pragma once

#include <poll.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <string_view>

#include "bot_bottle/sdk/error.hpp"
#include "bot_bottle/sdk/json.hpp"

// Plugins of this repository may let core/base's Failure fly: its kind, message and hint arrive like those of
// sdk::Error. Defined by the repository's own build alone, never by looking for the file: it may be a stranger's.
#ifdef BB_SDK_KNOWS_FAILURE
#include "core/base/error.hpp"
#endif

namespace bot_bottle::sdk {

inline bb_str to_bb(std::string_view text) {
  return bb_str{text.data(), text.size()};
}
inline std::string_view view(bb_str text) {
  return text.size == 0 ? std::string_view{} : std::string_view(text.data, text.size);
}

namespace detail {

/// The bytes that both sides know, zero for the rest: an absent function is a null function. No other code of the SDK
/// touches a table of the host.
template <typename Table>
Table local_copy(const void* theirs) {
  Table ours{};
  if (theirs == nullptr) return ours;
  std::uint32_t size = 0;
  std::memcpy(&size, theirs, sizeof size);
  std::memcpy(&ours, theirs, std::min<std::size_t>(size, sizeof ours));
  return ours;
}

}  // namespace detail

/// Valid until the function it was given to returns. Everything here may be used from any thread until then.
class Call {
 public:
  explicit Call(const bb_call* call) : raw_(call), table_(detail::local_copy<bb_call>(call)) {
    if (call == nullptr || table_.struct_size < offsetof(bb_call, cancel_fd) + sizeof(std::int32_t))
      table_.cancel_fd = -1;
  }

  /// Shows the operator what is being done.
  void progress(std::string_view what) const { progress(UINT32_MAX, what); }
  /// `permille`: 0 to 1000.
  void progress(std::uint32_t permille, std::string_view what) const {
    if (table_.progress != nullptr) table_.progress(raw_, permille, to_bb(what));
  }

  /// True once the operator or a deadline has ended this call: return within 5 seconds.
  [[nodiscard]] bool cancelled() const {
    if (table_.cancel_fd < 0) return false;
    pollfd entry{table_.cancel_fd, POLLIN, 0};
    return ::poll(&entry, 1, 0) > 0;
  }
  /// Throws Error(cancelled) if so: for loops.
  void check_cancelled() const {
    if (cancelled()) throw Error(Status::cancelled, "cancelled");
  }
  /// For a poll of one's own; borrowed; -1: this call cannot be cancelled.
  [[nodiscard]] int cancel_fd() const { return table_.cancel_fd; }

  /// For the C functions of the host.
  [[nodiscard]] const bb_call* raw() const { return raw_; }
  /// The thunks call it; a plugin throws Error.
  void fail(std::string_view message, std::string_view hint) const noexcept {
    if (table_.fail != nullptr) table_.fail(raw_, to_bb(message), to_bb(hint));
  }

 private:
  const bb_call* raw_;
  bb_call table_;
};

namespace detail {

/// Inside a catch block: tells the host why, and gives the status to return.
inline bb_status report_current_exception(const Call& call) noexcept {
  try {
    throw;
  } catch (const Error& error) {
    call.fail(error.message, error.hint);
    return error.status == Status::ok ? BB_INTERNAL : static_cast<bb_status>(error.status);
#ifdef BB_SDK_KNOWS_FAILURE
  } catch (const Failure& failure) {
    const bot_bottle::Error& error = failure.error();
    bb_status status = static_cast<bb_status>(error.kind) + 1;
    if (error.kind == ErrorKind::usage) status = BB_INVALID_ARGUMENT;
    if (error.kind == ErrorKind::refused) status = BB_PERMISSION_DENIED;
    try {
      call.fail(error.details.empty() ? error.message : error.message + "\n" + error.details, error.hint);
    } catch (...) {
      call.fail(error.message, error.hint);
    }
    return status;
#endif
  } catch (const std::bad_alloc&) {
    call.fail("out of memory", {});
    return BB_INTERNAL;
  } catch (const std::exception& error) {
    call.fail(error.what(), {});
    return BB_INTERNAL;
  } catch (...) {
    call.fail("the plugin threw something that is not an exception", {});
    return BB_INTERNAL;
  }
}

/// The boundary: every thunk's body runs in here.
template <typename Body>
bb_status guarded(const bb_call* raw, Body&& body) noexcept {
  const Call call(raw);
  try {
    body(call);
    return BB_OK;
  } catch (...) {
    return report_current_exception(call);
  }
}

inline void write_text(bb_writer out, std::string_view text) {
  const bb_status status = out.write(out.context, to_bb(text));
  if (status != BB_OK) throw Error(static_cast<Status>(status), "the host did not take the result");
}

template <typename T>
void write_document(bb_writer out, const T& document) {
  write_text(out, json::serialize(to_json(document)));
}

inline bb_status append_to_string(void* context, bb_str part) noexcept {
  try {
    static_cast<std::string*>(context)->append(view(part));
    return BB_OK;
  } catch (...) {
    return BB_INTERNAL;
  }
}

/// A call of the plugin's own, for a service: it inherits cancellation and progress, and keeps the reason of a failure.
class InnerCall {
 public:
  explicit InnerCall(const Call& outer) : outer_(outer) {
    call_.struct_size = sizeof call_;
    call_.cancel_fd = outer.cancel_fd();
    call_.host_data = this;
    call_.fail = [](const bb_call* call, bb_str message, bb_str hint) {
      auto* self = static_cast<InnerCall*>(call->host_data);
      try {
        self->message_ = view(message);
        self->hint_ = view(hint);
      } catch (...) {
        self->message_.clear();
      }
    };
    call_.progress = [](const bb_call* call, std::uint32_t permille, bb_str what) {
      static_cast<InnerCall*>(call->host_data)->outer_.progress(permille, view(what));
    };
  }
  InnerCall(const InnerCall&) = delete;
  InnerCall& operator=(const InnerCall&) = delete;

  [[nodiscard]] const bb_call* raw() const { return &call_; }
  void check(bb_status status, std::string_view what) const {
    if (status == BB_OK) return;
    throw Error(static_cast<Status>(status), message_.empty() ? std::string(what) + " failed" : message_, hint_);
  }

 private:
  const Call& outer_;
  bb_call call_{};
  std::string message_;
  std::string hint_;
};

/// Each byte that is not part of valid UTF-8 becomes U+FFFD: output of programs has to travel in JSON.
inline std::string to_valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const auto byte = [&](std::size_t index) { return static_cast<unsigned char>(text[index]); };
    const unsigned char first = byte(at);
    std::size_t length = first < 0x80                    ? 1
                         : first >= 0xc2 && first < 0xe0 ? 2
                         : first >= 0xe0 && first < 0xf0 ? 3
                         : first >= 0xf0 && first < 0xf5 ? 4
                                                         : 0;
    bool valid = length != 0 && at + length <= text.size();
    for (std::size_t next = 1; valid && next < length; ++next) valid = (byte(at + next) & 0xc0) == 0x80;
    if (valid && length == 3)
      valid = !(first == 0xe0 && byte(at + 1) < 0xa0) && !(first == 0xed && byte(at + 1) >= 0xa0);
    if (valid && length == 4)
      valid = !(first == 0xf0 && byte(at + 1) < 0x90) && !(first == 0xf4 && byte(at + 1) >= 0x90);
    if (valid) {
      out.append(text.substr(at, length));
      at += length;
    } else {
      out.append("\xef\xbf\xbd");
      at += 1;
    }
  }
  return out;
}

}  // namespace detail

}  // namespace bot_bottle::sdk
