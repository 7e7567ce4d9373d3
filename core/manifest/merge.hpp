// `extends`: a child's raw document over its parent's, before any type is known, so that a new field cannot get lost.
// No hostile input: bottles come from the operator's home only.
#pragma once

#include "core/manifest/document.hpp"

namespace bot_bottle::manifest {

/// Maps merge key by key, the child wins; lists and scalars replace; an omitted key inherits. `git-gate.repos` merges
/// by repository and then by field, a field as a whole (so `key: {provider: gitea, …}` never mixes with the parent's
/// `path`); `git-gate.repos: {}` clears. `extends` itself is not inherited.
Node merge(Node parent, Node child);

}  // namespace bot_bottle::manifest
