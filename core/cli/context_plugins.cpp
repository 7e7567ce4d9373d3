// How the command line answers the plugin host: trust questions, log lines, progress.
#include <fmt/format.h>

#include "bot_bottle/plugin.h"
#include "core/base/terminal_text.hpp"
#include "core/cli/context.hpp"
#include "core/cli/lazy.hpp"
#include "core/plugins/registry.hpp"

namespace bot_bottle::cli {

plugins::Registry& Context::registry() {
  if (lazy_->registry) return *lazy_->registry;
  plugins::HostOptions options;
  options.home = home();
  options.installation = installation();
  options.trust_all = trust_plugins || environment("BOT_BOTTLE_TRUST_PLUGINS") == "1";
  if (stdin_is_terminal()) {
    options.ask_trust = [this](const plugins::Description& plugin, const std::string& sha256) {
      note(fmt::format("plugin {} in {} has not been trusted yet", escape_untrusted(plugin.name),
                       escape_untrusted(plugin.directory.string())));
      note("  sha256 " + sha256);
      note("  it will run with your rights, outside any bottle");
      return confirm("Trust it?");
    };
  }
  options.on_log = [this](std::uint32_t level, const std::string& plugin, const std::string& text) {
    if (level >= BB_LOG_WARNING)
      warn(plugin + ": " + text);
    else if (level >= BB_LOG_INFO || output.debug)
      detail(escape_untrusted(plugin + ": " + text));
  };
  lazy_->registry = std::make_unique<plugins::Registry>(std::move(options));
  return *lazy_->registry;
}

}  // namespace bot_bottle::cli
