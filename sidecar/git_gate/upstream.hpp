// What is said to and heard from the upstream. Each function runs git to its end and blocks: for a Job's thread.
// Hostile input: the upstream's refs and words.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "sidecar/git_gate/ref_rules.hpp"
#include "sidecar/git_gate/workshop.hpp"

namespace bot_bottle::git_gate {

struct UpstreamState {
  Refs refs;         // branches, tags, notes
  std::string head;  // the branch that HEAD names, or empty
};

/// Borrowed by the functions below.
struct UpstreamCall {
  const Workshop& workshop;
  const Credentials& credentials;
  int cancel_fd = -1;
};

/// `git ls-remote`. Errors: unavailable with the upstream's or ssh's own words; unsupported for SHA-256.
Result<UpstreamState> list_upstream(const UpstreamCall& call);

/// Brings the mirror to what the upstream has now, HEAD included. `known` is what the mirror has: nothing is fetched
/// when they agree. On an error the mirror is as usable as before, and not fresh.
Result<UpstreamState> refresh_mirror(const UpstreamCall& call, const Refs& known);

/// The mirror's own refs.
Result<Refs> read_mirror(const Workshop& workshop, int cancel_fd);

/// How one ref came out of a push to the upstream.
struct ForwardedRef {
  enum class Outcome : std::uint8_t { taken, rejected, unknown };
  Outcome outcome = Outcome::unknown;
  std::string reason;  // the upstream's words
};

struct Forwarded {
  std::vector<ForwardedRef> refs;   // as `updates`
  std::vector<std::string> remote;  // what the upstream said beside ("remote: …"), a line each
  std::string fault;                // why something is unknown
  [[nodiscard]] bool all(ForwardedRef::Outcome outcome) const {
    for (const ForwardedRef& ref : refs)
      if (ref.outcome != outcome) return false;
    return true;
  }
};

/// Pushes all of `updates` or none. Each is bound to the value that was checked (a lease), so nothing that changed
/// meanwhile is overwritten. When the connection breaks, the upstream is asked what it has: `unknown` is left only
/// where it does not answer either.
Forwarded forward(const UpstreamCall& call, const std::vector<RefUpdate>& updates,
                  const Workshop::Environment& quarantine_environment);

/// "!\tref:ref\t[remote rejected] (hook declined)" and the like, of `git push --porcelain`; for tests, too.
void parse_push_report(std::string_view text, const std::vector<RefUpdate>& updates, Forwarded& into);

/// The last lines of what git wrote to standard error, without "fatal:" and the like, at most 1000 octets.
std::string last_words(std::string_view text);

}  // namespace bot_bottle::git_gate
