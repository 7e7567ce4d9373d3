// Certificates of the origin: its own CA and a leaf, made at start, kept in memory.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/result.hpp"

namespace bot_bottle::attack {

struct FreeSslContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

struct OriginTls {
  std::unique_ptr<SSL_CTX, FreeSslContext> context;  // server side, ALPN http/1.1
  std::string ca_pem;
};

/// ECDSA P-256, one day. `names` go into the leaf's subjectAltName.
Result<OriginTls> create_origin_tls(const std::vector<std::string>& names);

}  // namespace bot_bottle::attack
