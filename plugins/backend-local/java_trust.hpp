// A trust store for Java: a JVM reads neither PEM nor any variable that the other clients know.
#pragma once

#include <string>
#include <string_view>

namespace bot_bottle::backend_local {

/// The certificates of a PEM bundle as a JKS trust store (what Debian's ca-certificates-java writes too; every JDK
/// reads it without being told the type), sealed with the customary password "changeit". JKS and not PKCS12, because it
/// takes the certificates as they are: parsing 150 of them with OpenSSL would cost a launch 15 ms. What is not
/// base64 between BEGIN and END CERTIFICATE is left out.
std::string java_trust_store(std::string_view pem_bundle);

}  // namespace bot_bottle::backend_local
