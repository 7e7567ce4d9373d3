// session.json: what entering a bottle again needs (attach, exec, stop), so that no plugin or manifest is asked twice.
// It holds the guest's environment, which has no secret of the bottle (refuse_secrets), but may have answers of the
// operator: 0600.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "core/launch/call_limit.hpp"
#include "core/plan/plan.hpp"
#include "core/plugins/registry.hpp"
#include "core/state/directory.hpp"

namespace bot_bottle::launch {

struct SessionFile {
  std::vector<std::string> argv;
  std::vector<std::string> resume_argv;
  std::map<std::string, std::string> env;
  std::string workspace;
  std::string user = "agent";
  std::string guest_home;
  std::string title;
  std::string color;
  std::vector<std::string> transcript_paths;  // in the guest
  std::vector<std::string> secret_names;
  bool has_history = false;  // resumed or forked: a first attach goes on with the conversation
};

SessionFile make_session_file(const plan::Plan& plan, const std::map<std::string, std::string>& env);
void write_session_file(const state::Directory& directory, const SessionFile& session);
/// failed_precondition when the bottle never came that far.
SessionFile read_session_file(const state::Directory& directory);

/// Copies the transcripts out to transcript/, for a minute at most: the agent can hold a copy up, and must not keep its
/// bottle from being stopped. A path that is not there is no fault; others, and what was not ready in time, are
/// warnings.
void collect_transcripts(plugins::Backend& backend, const json::object& bottle, const SessionFile& session,
                         const state::Directory& directory, const std::function<void(std::string_view)>& warn,
                         const Cancelling& cancelling);

}  // namespace bot_bottle::launch
