// Reads the name out of a ClientHello that will not be intercepted (`tls: passthrough`). Hostile input: every byte.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bot_bottle::tls {

struct ClientHello {
  enum class Reading : std::uint8_t { complete, need_more, bad };
  Reading reading = Reading::need_more;
  std::string server_name;       // as sent; empty: none
  bool encrypted_hello = false;  // an encrypted_client_hello extension: the real name cannot be seen
};

/// `bytes` are the first octets of the connection: TLS records (RFC 8446 §5.1) with one ClientHello, which may be cut
/// over several records. At most 16 KiB are looked at. Everything but a well-formed ClientHello with at most one
/// host_name is bad.
ClientHello read_client_hello(std::string_view bytes);

}  // namespace bot_bottle::tls
