// The bottle's certificate authority: made here, used here, gone with this process (spec 04, Certificates).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/base/result.hpp"
#include "sidecar/tls/openssl_ptr.hpp"

namespace bot_bottle::tls {

/// A leaf and the key it is for; borrowed from the authority, valid while it lives.
struct Leaf {
  X509* certificate = nullptr;
  EVP_PKEY* key = nullptr;
};

/// ECDSA P-256 throughout (an RSA-2048 leaf costs half again as much per handshake). CA:true, pathlen:0, keyCertSign
/// and cRLSign, SKI; valid from a day ago for a year and a day. Leaves: SAN = host, SKI, AKI, serverAuth, the same key
/// for all (it signs for one bottle's own proxy only), the same validity.
class Authority {
 public:
  static Result<std::unique_ptr<Authority>> create(std::string_view slug);

  /// The CA's certificate, for the agent's trust store.
  [[nodiscard]] const std::string& pem() const { return pem_; }
  /// Minted at the first call and kept. `host` was normalised and is allowed by a route, which bounds their number.
  Result<Leaf> leaf_for(const std::string& host);
  [[nodiscard]] std::size_t minted() const { return leaves_.size(); }

 private:
  Authority() = default;
  KeyPtr key_;
  KeyPtr leaf_key_;
  CertificatePtr certificate_;
  std::string pem_;
  std::unordered_map<std::string, CertificatePtr> leaves_;
};

}  // namespace bot_bottle::tls
