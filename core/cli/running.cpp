#include "core/cli/running.hpp"

#include "core/base/error.hpp"
#include "core/launch/control_client.hpp"
#include "core/state/directory.hpp"

namespace bot_bottle::cli {

json::object call_running(Context& context, const std::string& slug, const json::object& request,
                          std::chrono::milliseconds timeout, const std::string& next) {
  const state::Directory directory = state::Directory::open(context.home(), slug);
  try {
    return launch::control_call(directory.control_socket(), request, timeout);
  } catch (const Failure& failure) {
    if (failure.error().kind != ErrorKind::unavailable) throw;
    Error error = make_error(ErrorKind::failed_precondition, "the bottle '" + slug + "' does not run", next);
    error.details = failure.error().message;
    throw Failure(std::move(error));
  }
}

}  // namespace bot_bottle::cli
