// A new ed25519 key in OpenSSH's own form (PROTOCOL.key of OpenSSH), so that no file and no ssh-keygen is needed.
#pragma once

#include <string>

namespace bot_bottle::deploy_key {

/// Wipes the private key at its end.
struct KeyPair {
  KeyPair() = default;
  KeyPair(const KeyPair&) = delete;
  KeyPair& operator=(const KeyPair&) = delete;
  KeyPair(KeyPair&& other) noexcept = default;
  KeyPair& operator=(KeyPair&& other) noexcept = default;
  ~KeyPair();

  std::string private_key;  // PEM
  std::string public_key;   // "ssh-ed25519 AAAA… comment"
  std::string fingerprint;  // "SHA256:…", as ssh-keygen -l prints it
};

/// Throws sdk::Error when there is no randomness or memory.
KeyPair make_key_pair(const std::string& comment);

}  // namespace bot_bottle::deploy_key
