// What egress-load can be.
#pragma once

#include <cstdint>
#include <string>

namespace bot_bottle::load {

/// Where the proxy is and whom to ask through it.
struct Target {
  std::string socket;
  std::string ca_file;
  std::string host;
};

/// An origin on a free port of 127.0.0.1, which it prints; until standard input ends.
///   GET /n/X     200 "answer X"
///   GET /half/X  the half of an answer, and nothing more
///   POST         reads the body, 200 "received N"
///   GET /seen    200 {"octets": of all bodies so far, "tail": the last 2 KiB of them, in hex}
int origin(const std::string& certificate, const std::string& key);

/// `rate` requests a second over `connections`, each with an answer of its own, until standard input ends; then prints
/// {"sent", "right", "wrong", "lost", "first": the first answer that was wrong}.
int requests(const Target& target, unsigned connections, unsigned rate);

/// Opens `count` connections with one request each and keeps them; prints {"right": N}. For each line of standard
/// input one more request on each, and the same again.
int idle(const Target& target, unsigned count);

/// A body of `size` octets with `secret` in its last kilobyte; prints {"answer": "403 …", "sent": octets}.
int upload(const Target& target, std::uint64_t size, const std::string& secret, const std::string& framing,
           const std::string& protocol);

}  // namespace bot_bottle::load
