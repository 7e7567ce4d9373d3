// git-gate's part of a launch: the typed repositories, the guest's git configuration, the private keys on their way to
// the sidecar's pipe. Called by core/launch. Throws Failure.
#pragma once

#include <string>
#include <vector>

#include "core/base/secret.hpp"
#include "core/plan/plan.hpp"
#include "core/policy/git_gate.hpp"

namespace bot_bottle::plan {

/// Who makes the key of a repository: "static" (a file of the operator's) or a deploy-key plugin.
struct GitKeySource {
  std::string repo;
  std::string url;
  std::string provider;
  std::string path;   // static
  std::string token;  // else: the host variable with the forge's token
  std::string api;    // the URL of the forge's API; empty: what follows from `url`
  std::string ca;     // egress.upstream_ca, a file; empty: the system's roots
  bool read_only = false;
};

/// One private key (OpenSSH PEM) for one repository.
struct GitKey {
  std::string repo;
  SecretBytes private_key;
};

/// The manifest's repositories as values; reads the files that `scan` names. Failure names the key.
policy::GitGate make_git_gate(const manifest::Manifest& manifest);
std::vector<GitKeySource> git_key_sources(const manifest::Manifest& manifest);
/// Reads a static key. Failure: not a private key, or one with a passphrase (nobody could be asked for it).
GitKey load_static_key(const GitKeySource& source);

/// ~/.gitconfig of the guest: who commits, and `insteadOf` for every spelling of every repository's URL. Nothing in it
/// is secret. Empty when there is nothing to say.
std::string make_guest_git_config(const manifest::Manifest& manifest);

}  // namespace bot_bottle::plan
