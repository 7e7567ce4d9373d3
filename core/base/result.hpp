// Result<T>: the only file that names tl::expected. For code where failure is normal (hostile bytes).
#pragma once

#include <tl/expected.hpp>
#include <utility>

#include "core/base/error.hpp"

namespace bot_bottle {

/// A value or an Error; dropping one unread is a warning (tl::expected 1.0.0 alone is not nodiscard).
template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using Base = tl::expected<T, Error>;
  using Base::Base;
  // `map_error` returns the base: without this it would not convert back.
  Result(Base&& base) : Base(std::move(base)) {}                        // NOLINT(google-explicit-constructor)
  Result(Error error) : Base(tl::make_unexpected(std::move(error))) {}  // NOLINT(google-explicit-constructor)
};

/// `return fail(ErrorKind::not_found, "no such route")`.
inline tl::unexpected<Error> fail(ErrorKind kind, std::string message, std::string hint = {}) {
  return tl::make_unexpected(make_error(kind, std::move(message), std::move(hint)));
}
inline tl::unexpected<Error> fail(Error error) {
  return tl::make_unexpected(std::move(error));
}

/// The only bridge from Result code to code that unwinds.
template <typename T>
T or_throw(Result<T> result) {
  if (!result) throw Failure(std::move(result.error()));
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

}  // namespace bot_bottle

#define BB_JOIN_INNER(a, b) a##b
#define BB_JOIN(a, b) BB_JOIN_INNER(a, b)
/// BB_TRY(auto routes, parse_routes(text)); declares `routes` or returns the error.
#define BB_TRY(declaration, expression)                                                                         \
  auto BB_JOIN(bb_try_, __LINE__) = (expression);                                                               \
  if (!BB_JOIN(bb_try_, __LINE__)) return ::tl::make_unexpected(std::move(BB_JOIN(bb_try_, __LINE__)).error()); \
  declaration = std::move(*BB_JOIN(bb_try_, __LINE__))
/// BB_CHECK(write_all(fd, bytes)); returns the error, gives nothing.
#define BB_CHECK(expression)                                                                \
  do {                                                                                      \
    auto bb_check_result = (expression);                                                    \
    if (!bb_check_result) return ::tl::make_unexpected(std::move(bb_check_result).error()); \
  } while (false)
