// What a plugin throws to fail a call. The thunks turn it into a status and `bb_call::fail`; nothing crosses the
// boundary.
#pragma once

#include <exception>
#include <string>
#include <utility>

#include "bot_bottle/plugin.h"

namespace bot_bottle::sdk {

/// The status codes of plugin.h as a type; their comments there say what the host does with each.
enum class Status : bb_status {
  ok = BB_OK,
  cancelled = BB_CANCELLED,
  invalid_argument = BB_INVALID_ARGUMENT,
  not_found = BB_NOT_FOUND,
  already_exists = BB_ALREADY_EXISTS,
  unsupported = BB_UNSUPPORTED,
  permission_denied = BB_PERMISSION_DENIED,
  unavailable = BB_UNAVAILABLE,
  failed_precondition = BB_FAILED_PRECONDITION,
  timeout = BB_TIMEOUT,
  internal = BB_INTERNAL,
};

/// `message`: what failed, on which input. `hint`: what the operator should do. No full stop or newline at their ends,
/// and never a secret. Status::ok is taken for internal.
class Error : public std::exception {
 public:
  Error(Status error_status, std::string error_message, std::string error_hint = {})
      : status(error_status), message(std::move(error_message)), hint(std::move(error_hint)) {}
  [[nodiscard]] const char* what() const noexcept override { return message.c_str(); }

  Status status;
  std::string message;
  std::string hint;
};

}  // namespace bot_bottle::sdk
