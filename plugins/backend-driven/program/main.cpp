// bottle-driven: the processes of bottles whose backend drives a program. `attach`: the operator's end of one in the
// bottle; the request says with `tool`: {argv, env} what starts the relay. `keep`: see keeper.hpp.
#include <string_view>

#include "core/base/file.hpp"
#include "plugins/backend-driven/attachment.hpp"
#include "plugins/backend-driven/keeper.hpp"
#include "plugins/backend-driven/tool_channel.hpp"

namespace bot_bottle::driven {
namespace {

int attach() {
  return run_attach("bottle-driven", [](const json::object& request) -> std::unique_ptr<GuestChannel> {
    const json::object* given = find_object(request, "tool");
    std::vector<std::string> argv = given == nullptr ? std::vector<std::string>() : get_strings(*given, "argv");
    if (argv.empty()) throw sdk::Error(sdk::Status::invalid_argument, "BB_ATTACH_REQUEST is not a request");
    Tool::Environment env;
    if (const json::object* values = find_object(*given, "env"))
      for (const auto& [name, value] : *values)
        if (value.is_string()) env[std::string(name)] = std::string(value.as_string());
    const Tool tool(argv.front(), std::move(env));
    argv.erase(argv.begin());
    return std::make_unique<ToolChannel>(tool, argv);
  });
}

}  // namespace
}  // namespace bot_bottle::driven

int main(int argc, char** argv) {
  using namespace bot_bottle;
  const std::string_view verb = argc > 1 ? argv[1] : "";
  if (verb == "attach") return driven::attach();
  if (verb == "keep") {
    driven::KeepOptions options;
    for (int i = 2; i < argc; ++i) {
      const std::string_view option = argv[i];
      options.lifeline = options.lifeline || option == "--lifeline";
      options.config = options.config || option == "--config";
    }
    return driven::run_keep(options);
  }
  if (auto told = write_all(2, "bottle-driven is started by bot-bottle, not by hand\n"); !told) return 2;
  return 2;
}
