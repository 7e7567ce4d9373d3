// exec, attach and the copies of a bottle that is reached by a GuestChannel. Copies are archives through bottle-init
// with the agent's own rights: nothing of root's walks a tree that the agent shapes (CVE-2018-15664), and it works in
// every runtime.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bot_bottle/plugin.hpp"
#include "core/base/json.hpp"
#include "plugins/backend-driven/guest_channel.hpp"

namespace bot_bottle::driven {

/// A new relay in the bottle. Throws: failed_precondition when it does not run.
using OpenChannel = std::function<std::unique_ptr<GuestChannel>()>;

/// A bottle has one user. Throws unsupported.
void check_user(const sdk::Bottle& bottle, const sdk::ExecRequest& request);

/// backend.h, exec.
sdk::ExecResult exec_in_guest(const sdk::Call& call, const OpenChannel& open, const sdk::Bottle& bottle,
                              const sdk::ExecRequest& request, int stdin_fd);

/// The bot-bottle.exec/1 for an attach program ($BB_ATTACH_REQUEST); the backend adds how it gets there.
json::object attach_document(const sdk::Bottle& bottle, const sdk::ExecRequest& request);

/// backend.h, copy_in and copy_out. What comes out is hostile: it is unpacked into a directory of our own below
/// `state_dir` first, and copied from there by the rules.
void copy_into_guest(const sdk::Call& call, const OpenChannel& open, const sdk::CopyRequest& request);
void copy_out_of_guest(const sdk::Host& host, const sdk::Call& call, const OpenChannel& open,
                       const std::string& state_dir, const sdk::CopyRequest& request);

/// The content of the operator's directory into a directory of the bottle, as the agent's own. `skip_tree`: a directory
/// that is left out wherever it lies (our own home).
void copy_tree_into_guest(const sdk::Call& call, const OpenChannel& open, const std::string& source,
                          const std::string& guest_directory, const std::string& skip_tree);

/// An archive that we made, into a directory of the bottle.
void unpack_into_guest(const sdk::Call& call, const OpenChannel& open, std::string archive,
                       const std::string& guest_directory);

}  // namespace bot_bottle::driven
