// What went wrong, in one value for the whole product. Called by every room; depends on nothing.
#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace bot_bottle {

/// Why something failed. The first ten mirror the plugin ABI's status codes (plugin.h); the comments
/// say what a caller may do and which exit code the CLI returns.
enum class ErrorKind : std::uint8_t {
  cancelled,            // the operator or a deadline ended it; exit 1
  invalid_argument,     // the input is wrong: fix it, a retry is useless; exit 1
  not_found,            // exit 1
  already_exists,       // exit 1
  unsupported,          // this build, plugin or kernel cannot; exit 1
  permission_denied,    // exit 1
  unavailable,          // a needed service or backend is absent: a retry may help; exit 4
  failed_precondition,  // fix something else first; exit 1
  timeout,              // exit 1
  internal,             // a bug of ours or of a plugin; exit 1
  usage,                // the command line is wrong; exit 2
  refused,              // policy or the operator said no; exit 3
};

/// The name as it appears in JSON ("invalid_argument").
std::string_view name_of(ErrorKind kind);
/// The exit code of spec 02.
int exit_code_of(ErrorKind kind);

/// `message`: what failed and on which input. `details`: indented lines below it (may be empty, may
/// hold several lines). `hint`: what the operator should do next. No trailing dot or newline.
/// The texts may carry hostile bytes: escape them (terminal_text.hpp) before a terminal sees them.
struct Error {
  ErrorKind kind = ErrorKind::internal;
  std::string message;
  std::string hint;
  std::string details;

  /// The same error with what was being done put before it: "reading routes: line 3: …".
  [[nodiscard]] Error within(std::string_view context) &&;
};

/// Shorthand for the common case.
Error make_error(ErrorKind kind, std::string message, std::string hint = {});
/// "<what>: <strerror(number)>"; ENOENT, EACCES, EEXIST and friends choose the kind.
Error error_from_errno(std::string_view what, int number);

/// `result.map_error(in("reading routes"))`.
inline auto in(std::string context) {
  return [context = std::move(context)](Error error) { return std::move(error).within(context); };
}

/// Thrown in core, plugins and CLI, where a failed step must unwind; caught only at the plugin call,
/// the SDK thunk and main. Never thrown in sidecar byte paths or core/policy (tests/gates).
class Failure : public std::exception {
 public:
  explicit Failure(Error error) : error_(std::move(error)) {}
  [[nodiscard]] const Error& error() const noexcept { return error_; }
  [[nodiscard]] const char* what() const noexcept override { return error_.message.c_str(); }

 private:
  Error error_;
};

}  // namespace bot_bottle
