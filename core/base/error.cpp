#include "core/base/error.hpp"

#include <array>
#include <cerrno>
#include <cstring>

namespace bot_bottle {

std::string_view name_of(ErrorKind kind) {
  static constexpr std::array<std::string_view, 12> names{
      "cancelled",   "invalid_argument",    "not_found", "already_exists", "unsupported", "permission_denied",
      "unavailable", "failed_precondition", "timeout",   "internal",       "usage",       "refused"};
  return names.at(static_cast<std::size_t>(kind));
}

int exit_code_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::usage:
      return 2;
    case ErrorKind::refused:
      return 3;
    case ErrorKind::unavailable:
      return 4;
    default:
      return 1;
  }
}

Error Error::within(std::string_view context) && {
  message = std::string(context) + ": " + message;
  return std::move(*this);
}

Error make_error(ErrorKind kind, std::string message, std::string hint) {
  return Error{.kind = kind, .message = std::move(message), .hint = std::move(hint), .details = {}};
}

namespace {

/// What a person can do about it; most numbers say nothing of the kind.
std::string_view hint_of_errno(int number) {
  switch (number) {
    case ENOSPC:
    case EDQUOT:
      return "make room on that file system, then do it again";
    case EACCES:
    case EPERM:
      return "see who owns it and who may write there: ls -ld";
    case EROFS:
      return "that file system is mounted read-only: use another place (--home DIR, --cwd DIR)";
    case EMFILE:
      return "raise the limit of open files: ulimit -n 4096";
    default:
      return {};
  }
}

}  // namespace

Error error_from_errno(std::string_view what, int number) {
  ErrorKind kind = ErrorKind::internal;
  switch (number) {
    case ENOENT:
    case ESRCH:
      kind = ErrorKind::not_found;
      break;
    case EEXIST:
      kind = ErrorKind::already_exists;
      break;
    case EACCES:
    case EPERM:
    case EROFS:
      kind = ErrorKind::permission_denied;
      break;
    case ECANCELED:
      kind = ErrorKind::cancelled;
      break;
    case ETIMEDOUT:
      kind = ErrorKind::timeout;
      break;
    case ECONNREFUSED:
      kind = ErrorKind::unavailable;
      break;
    case ENOSPC:
    case EDQUOT:
    case ENOTDIR:
    case EISDIR:
    case ELOOP:
      kind = ErrorKind::failed_precondition;
      break;
    default:
      break;
  }
  return make_error(kind, std::string(what) + ": " + std::strerror(number), std::string(hint_of_errno(number)));
}

}  // namespace bot_bottle
