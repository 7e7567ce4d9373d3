#include "sidecar/tls/authority.hpp"

#include <fmt/format.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <array>

#include "core/base/random.hpp"

namespace bot_bottle::tls {
namespace {

constexpr long day_s = 24L * 60 * 60;
constexpr std::size_t max_leaves = 1024;

tl::unexpected<Error> openssl_failed(std::string_view what) {
  return fail(ErrorKind::internal, fmt::format("{}: {}", what, take_openssl_error()));
}

/// 127 random bits: never negative, never zero (RFC 5280 §4.1.2.2).
bool set_serial(X509* certificate) {
  std::array<unsigned char, 16> bytes{};
  random_bytes(bytes);
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7f) | 0x40);
  BIGNUM* number = BN_bin2bn(bytes.data(), bytes.size(), nullptr);
  if (number == nullptr) return false;
  const bool done = BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nullptr;
  BN_free(number);
  return done;
}

bool add_extension(X509* certificate, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str());
  if (extension == nullptr) return false;
  const bool done = X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return done;
}

CertificatePtr begin_certificate(EVP_PKEY* key, const std::string& common_name) {
  CertificatePtr certificate(X509_new());
  if (!certificate || X509_set_version(certificate.get(), X509_VERSION_3) != 1 || !set_serial(certificate.get()))
    return {};
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -day_s);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 366 * day_s);
  X509_NAME* name = X509_get_subject_name(certificate.get());
  const auto* text = reinterpret_cast<const unsigned char*>(common_name.c_str());
  if (X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, text, -1, -1, 0) != 1) return {};
  if (X509_set_pubkey(certificate.get(), key) != 1) return {};
  return certificate;
}

}  // namespace

Result<std::unique_ptr<Authority>> Authority::create(std::string_view slug) {
  std::unique_ptr<Authority> authority(new Authority);  // the constructor is private
  authority->key_.reset(EVP_EC_gen("P-256"));
  authority->leaf_key_.reset(EVP_EC_gen("P-256"));
  if (!authority->key_ || !authority->leaf_key_) return openssl_failed("making the bottle's keys");
  // Two bottles of one slug must not have the same subject: a client that keeps both would mix them up.
  const std::string name = fmt::format("bot-bottle {} {}", slug.substr(0, 40), random_base36(8));
  authority->certificate_ = begin_certificate(authority->key_.get(), name);
  X509* certificate = authority->certificate_.get();
  if (certificate == nullptr || X509_set_issuer_name(certificate, X509_get_subject_name(certificate)) != 1 ||
      !add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !add_extension(certificate, certificate, NID_subject_key_identifier, "hash") ||
      X509_sign(certificate, authority->key_.get(), EVP_sha256()) == 0) {
    return openssl_failed("making the bottle's certificate authority");
  }
  const BioPtr memory(BIO_new(BIO_s_mem()));
  if (!memory || PEM_write_bio_X509(memory.get(), certificate) != 1) return openssl_failed("writing the certificate");
  char* text = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &text);
  authority->pem_.assign(text, static_cast<std::size_t>(size));
  return authority;
}

Result<Leaf> Authority::leaf_for(const std::string& host) {
  if (const auto found = leaves_.find(host); found != leaves_.end()) return Leaf{found->second.get(), leaf_key_.get()};
  // The common name is at most 64 octets (RFC 5280 ub-common-name); the SAN is what clients read.
  CertificatePtr leaf = begin_certificate(leaf_key_.get(), host.size() <= 64 ? host : "bot-bottle leaf");
  X509* ca = certificate_.get();
  if (!leaf || X509_set_issuer_name(leaf.get(), X509_get_subject_name(ca)) != 1 ||
      !add_extension(leaf.get(), ca, NID_basic_constraints, "critical,CA:FALSE") ||
      !add_extension(leaf.get(), ca, NID_key_usage, "critical,digitalSignature") ||
      !add_extension(leaf.get(), ca, NID_ext_key_usage, "serverAuth") ||
      !add_extension(leaf.get(), ca, NID_subject_alt_name, "DNS:" + host) ||
      !add_extension(leaf.get(), ca, NID_subject_key_identifier, "hash") ||
      !add_extension(leaf.get(), ca, NID_authority_key_identifier, "keyid:always") ||
      X509_sign(leaf.get(), key_.get(), EVP_sha256()) == 0) {
    return openssl_failed("minting a certificate");
  }
  // Sessions hold their own references, so old ones may go.
  if (leaves_.size() >= max_leaves) leaves_.clear();
  X509* raw = leaf.get();
  leaves_.emplace(host, std::move(leaf));
  return Leaf{raw, leaf_key_.get()};
}

}  // namespace bot_bottle::tls
