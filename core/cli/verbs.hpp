// One add_<verb> per verb of the command line (spec 02): declares its options on `app` and, in the CLI11 callback, sets
// `context.action`. Options must live as long as the action (a shared_ptr captured by both is the pattern here).
#pragma once

#include <string>
#include <vector>

#include "core/cli/context.hpp"

namespace CLI {
class App;
}

namespace bot_bottle::cli {

// Everyday.
void add_start(CLI::App& app, Context& context);
void add_run(CLI::App& app, Context& context);
void add_attach(CLI::App& app, Context& context);
void add_exec(CLI::App& app, Context& context);
void add_resume(CLI::App& app, Context& context);
void add_commit(CLI::App& app, Context& context);
void add_fork(CLI::App& app, Context& context);
void add_sync(CLI::App& app, Context& context);
void add_worktree(CLI::App& app, Context& context);
void add_cp(CLI::App& app, Context& context);
void add_unfreeze(CLI::App& app, Context& context);
void add_stop(CLI::App& app, Context& context);
void add_cleanup(CLI::App& app, Context& context);
void add_supervise(CLI::App& app, Context& context);
void add_routes(CLI::App& app, Context& context);
// Look.
void add_list(CLI::App& app, Context& context);
void add_info(CLI::App& app, Context& context);
void add_logs(CLI::App& app, Context& context);
void add_audit(CLI::App& app, Context& context);
void add_diff(CLI::App& app, Context& context);
void add_check(CLI::App& app, Context& context);
void add_scan(CLI::App& app, Context& context);
void add_doctor(CLI::App& app, Context& context);
void add_demo(CLI::App& app, Context& context);
// Configure.
void add_init(CLI::App& app, Context& context);
void add_config(CLI::App& app, Context& context);
void add_completion(CLI::App& app, Context& context);
// Plugins.
void add_plugin(CLI::App& app, Context& context);

/// `list active` (verb_list.cpp): what runs, on every available backend. `list` without a word is this.
int list_active(Context& context);

/// A verb below `app` in one of the groups of the overall help ("Everyday", "Look", "Configure", "Plugins"), with
/// global options accepted after it and `example` lines at the end of its --help.
CLI::App* add_verb(CLI::App& app, const std::string& name, const std::string& summary, const std::string& group,
                   const std::string& example);
/// `--json` on a verb that prints data.
void add_json_option(CLI::App& verb, Context& context);

}  // namespace bot_bottle::cli
