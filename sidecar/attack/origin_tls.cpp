// See origin_tls.hpp.
#include "sidecar/attack/origin_tls.hpp"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <array>
#include <cstring>

#include "core/base/random.hpp"

namespace bot_bottle::attack {
namespace {

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
};
using Key = std::unique_ptr<EVP_PKEY, Free>;
using Certificate = std::unique_ptr<X509, Free>;

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  std::unique_ptr<X509_EXTENSION, Free> extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  if (extension) X509_add_ext(certificate, extension.get(), -1);
}

Certificate make_certificate(EVP_PKEY* key, const std::string& name, X509* issuer, EVP_PKEY* issuer_key,
                             const std::vector<std::pair<int, std::string>>& extensions) {
  Certificate out(X509_new());
  if (!out) return out;
  X509_set_version(out.get(), 2);
  std::array<unsigned char, 8> serial{};
  random_bytes(serial);
  std::uint64_t number = 0;
  std::memcpy(&number, serial.data(), serial.size());
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(out.get()), number >> 1);
  X509_gmtime_adj(X509_getm_notBefore(out.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(out.get()), 86400);
  X509_set_pubkey(out.get(), key);
  X509_NAME* subject = X509_get_subject_name(out.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1,
                             0);
  X509* parent = issuer != nullptr ? issuer : out.get();
  X509_set_issuer_name(out.get(), X509_get_subject_name(parent));
  for (const auto& [nid, value] : extensions) add_extension(out.get(), parent, nid, value);
  if (X509_sign(out.get(), issuer_key, EVP_sha256()) == 0) out.reset();
  return out;
}

int choose_http1(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in, unsigned in_size,
                 void*) {
  static const unsigned char protocols[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, protocols, sizeof protocols - 1, in, in_size) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

Result<OriginTls> create_origin_tls(const std::vector<std::string>& names) {
  Key ca_key(EVP_EC_gen("P-256"));
  Key key(EVP_EC_gen("P-256"));
  if (!ca_key || !key) return fail(ErrorKind::internal, "cannot make a key");
  Certificate ca = make_certificate(ca_key.get(), "bottle-attack origin CA", nullptr, ca_key.get(),
                                    {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                                     {NID_key_usage, "critical,keyCertSign,cRLSign"},
                                     {NID_subject_key_identifier, "hash"}});
  std::string alternatives;
  for (const std::string& name : names) alternatives += (alternatives.empty() ? "DNS:" : ",DNS:") + name;
  if (!ca || names.empty()) return fail(ErrorKind::internal, "cannot make a CA");
  Certificate leaf = make_certificate(key.get(), names.front(), ca.get(), ca_key.get(),
                                      {{NID_basic_constraints, "critical,CA:FALSE"},
                                       {NID_key_usage, "critical,digitalSignature"},
                                       {NID_ext_key_usage, "serverAuth"},
                                       {NID_subject_key_identifier, "hash"},
                                       {NID_authority_key_identifier, "keyid:always"},
                                       {NID_subject_alt_name, alternatives}});
  OriginTls out{std::unique_ptr<SSL_CTX, FreeSslContext>(SSL_CTX_new(TLS_server_method())), {}};
  if (!leaf || !out.context || SSL_CTX_use_certificate(out.context.get(), leaf.get()) != 1 ||
      SSL_CTX_use_PrivateKey(out.context.get(), key.get()) != 1)
    return fail(ErrorKind::internal, "cannot make a certificate");
  SSL_CTX_set_alpn_select_cb(out.context.get(), choose_http1, nullptr);
  std::unique_ptr<BIO, Free> bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), ca.get());
  char* text = nullptr;
  const long size = BIO_ctrl(bio.get(), BIO_CTRL_INFO, 0, &text);
  out.ca_pem.assign(text, static_cast<std::size_t>(size));
  return out;
}

}  // namespace bot_bottle::attack
