// What the gate answers: git's smart HTTP (gitprotocol-http), and a clear no to everything else. Hostile input:
// targets, fields and bodies.
#pragma once

#include <memory>

#include "sidecar/git_gate/client.hpp"
#include "sidecar/http1/head.hpp"

namespace bot_bottle::git_gate {

class Gate;
class Repository;

enum class Service : std::uint8_t { upload_pack, receive_pack };

/// Null when the request was refused (the client was told).
std::unique_ptr<Exchange> make_exchange(Gate& gate, Client& client, const http1::RequestHead& head);

/// GET info/refs, and POST git-upload-pack.
std::unique_ptr<Exchange> make_refs_exchange(Gate& gate, Client& client, Repository& repository, Service service,
                                             std::string protocol);
std::unique_ptr<Exchange> make_fetch_exchange(Gate& gate, Client& client, Repository& repository, std::string protocol);
/// POST git-receive-pack.
std::unique_ptr<Exchange> make_receive_exchange(Gate& gate, Client& client, Repository& repository);

}  // namespace bot_bottle::git_gate
