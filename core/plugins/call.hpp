// One call across the boundary: cancellation, progress, the reason of a failure, the capped and checked result.
// Hostile input: what a plugin writes and says (it relays text of agents). Guarded by tests/abi (Misbehaviour.*).
#pragma once

#include <bot_bottle/plugin.h>

#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include "core/base/json.hpp"
#include "core/plugins/host.hpp"

namespace bot_bottle::plugins {

ErrorKind kind_of(bb_status status);
bb_status status_of(ErrorKind kind);
bb_str to_bb(std::string_view text);
std::string_view view(bb_str text);

/// The bytes a plugin may write for one result.
inline constexpr std::size_t max_result_bytes = max_document_bytes;

class PluginCall {
 public:
  /// `what` names it in messages: "backend local: launch".
  PluginCall(PluginHost& host, std::string what);
  PluginCall(const PluginCall&) = delete;
  PluginCall& operator=(const PluginCall&) = delete;

  [[nodiscard]] const bb_call* raw() const { return &call_; }
  [[nodiscard]] bb_writer writer();

  /// Runs the plugin's function: the boundary. Whatever it throws or returns becomes nothing or a Failure.
  template <typename Slot>
  void run(Slot&& slot) {
    bb_status status = BB_INTERNAL;
    try {
      status = slot(raw());
    } catch (...) {  // a C++ plugin without the SDK: its exception stops here (tests/abi: bad_throws)
      thrown(std::current_exception());
    }
    finish(status);
  }

  [[nodiscard]] const std::string& text() const { return result_; }
  /// What was written, as an object tagged `schema`. Failure (internal) with the plugin's name otherwise.
  [[nodiscard]] json::object document(std::string_view schema);

  /// True when `call` is one that the host made: a service that fails leaves a note in it, so that a plugin may pass
  /// its own call on and still recover from the failure.
  static bool is_ours(const bb_call* call);
  static void note(const bb_call* call, const Error& error);

 private:
  static void fail_slot(const bb_call* call, bb_str message, bb_str hint);
  static void progress_slot(const bb_call* call, std::uint32_t permille, bb_str what);
  static bb_status write_slot(void* context, bb_str part);
  void finish(bb_status status);
  [[noreturn]] void thrown(const std::exception_ptr& exception);
  [[nodiscard]] Error within(Error error) const;

  PluginHost& host_;
  std::string what_;
  bb_call call_{};
  std::string result_;
  bool overflowed_ = false;
  std::mutex mutex_;  // fail and progress may come from any thread
  int failures_ = 0;
  Error failure_;
  bool noted_ = false;
  Error note_;
};

}  // namespace bot_bottle::plugins
