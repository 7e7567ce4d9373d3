#define BOOST_DLL_USE_STD_FS
#include "core/plugins/library.hpp"

#include <bot_bottle/plugin.h>

#include <boost/dll/shared_library.hpp>
#include <list>
#include <string>

namespace bot_bottle::plugins {
namespace {

struct Open {
  UniqueFd fd;
  boost::dll::shared_library library;
};

/// Never destroyed, on purpose (see the header).
std::list<Open>& open_libraries() {
  static auto* const list = new std::list<Open>;
  return *list;
}

}  // namespace

const void* load_entry(CheckedLibrary library) {
#if defined(__linux__)
  const std::string path = "/proc/self/fd/" + std::to_string(library.fd.get());
#else
  const std::string path = library.path.string();
#endif
  Open& open = open_libraries().emplace_back();
  open.fd = std::move(library.fd);
  try {
    // The overload with an error_code loses the loader's reason; without rtld_now Boost.DLL would add lazy binding.
    open.library.load(path, boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local);
  } catch (const std::exception& error) {
    std::string reason = error.what();
    // The operator knows the file, not our descriptor.
    for (std::size_t at = reason.find(path); at != std::string::npos; at = reason.find(path))
      reason.replace(at, path.size(), library.path.string());
    // Boost wraps what dlopen(3) said: "…load() failed (dlerror system message: WHAT): Bad file descriptor".
    constexpr std::string_view before = "dlerror system message: ";
    if (const std::size_t begin = reason.find(before), end = reason.rfind("): ");
        begin != std::string::npos && end != std::string::npos && end > begin)
      reason = reason.substr(begin + before.size(), end - begin - before.size());
    // Not internal: a file that is no library is the one's who put it there, not a bug of ours.
    throw Failure(make_error(ErrorKind::failed_precondition, "cannot be opened: " + reason));
  }
  if (!open.library.has("bb_plugin_entry")) {
    throw Failure(make_error(ErrorKind::internal, "exports no bb_plugin_entry",
                             "end the plugin with BOT_BOTTLE_PLUGIN(…), or define the constant"));
  }
  return &open.library.get<const bb_plugin>("bb_plugin_entry");
}

}  // namespace bot_bottle::plugins
