#include "sidecar/tls/contexts.hpp"

#include <fmt/format.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <array>
#include <filesystem>

#include "core/base/paths.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::tls {
namespace {

constexpr std::size_t max_sessions = 256;
constexpr unsigned char alpn_http1[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
constexpr unsigned char alpn_both[] = {2, 'h', '2', 8, 'h', 't', 't', 'p', '/', '1', '.', '1'};  // in order

/// What a session carries for the callbacks: the host name, owned by the SSL object.
int host_index() {
  static const int index = SSL_get_ex_new_index(
      0, nullptr, nullptr, nullptr,
      [](void*, void* text, CRYPTO_EX_DATA*, int, long, void*) { delete static_cast<std::string*>(text); });
  return index;
}

int context_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

int select_alpn(SSL* /*ssl*/, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                unsigned offered_size, void* /*argument*/) {
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, alpn_both, sizeof alpn_both, offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;  // it speaks only what we do not: better no connection than a guess
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

int check_name(SSL* ssl, int* alert, void* /*argument*/) {
  const char* asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (asked == nullptr) return SSL_TLSEXT_ERR_NOACK;
  const auto* host = static_cast<const std::string*>(SSL_get_ex_data(ssl, host_index()));
  if (host != nullptr && equals_ignoring_case(asked, *host)) return SSL_TLSEXT_ERR_OK;
  *alert = SSL_AD_UNRECOGNIZED_NAME;
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

// The macros of ssl.h for these two hold casts that our warnings refuse.
void set_name_callback(SSL_CTX* context) {
  SSL_CTX_callback_ctrl(context, SSL_CTRL_SET_TLSEXT_SERVERNAME_CB, reinterpret_cast<void (*)()>(check_name));
}
bool set_server_name(SSL* ssl, std::string host) {
  return SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, host.data()) == 1;
}

Result<ContextPtr> make_context(const SSL_METHOD* method) {
  ContextPtr context(SSL_CTX_new(method));
  if (!context) return fail(ErrorKind::internal, "TLS context: " + take_openssl_error());
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set1_groups_list(context.get(), "X25519:P-256:P-384");
  return context;
}

/// Debian's and most systems' hashed directory is read certificate by certificate when one is needed; the bundle file
/// (some 140 certificates, 20 ms and a megabyte) only where there is no such directory.
void trust_the_system(SSL_CTX* context) {
  const std::string directory = environment(X509_get_default_cert_dir_env()).value_or(X509_get_default_cert_dir());
  std::error_code error;
  bool hashed = false;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (entry.path().extension() == ".0") {
      hashed = true;
      break;
    }
  }
  const bool file_named = environment(X509_get_default_cert_file_env()).has_value();
  if (hashed && !file_named) {
    SSL_CTX_load_verify_dir(context, directory.c_str());
  } else {
    SSL_CTX_set_default_verify_paths(context);
  }
}

/// Calls `visit` for each certificate of the text.
template <typename Visit>
Result<void> each_certificate(const std::string& pem, Visit&& visit) {
  const BioPtr memory(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (!memory) return fail(ErrorKind::internal, "out of memory");
  std::size_t count = 0;
  while (true) {
    const CertificatePtr certificate(PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr));
    if (!certificate) {
      const unsigned long code = ERR_peek_last_error();
      ERR_clear_error();
      const bool at_end = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
      if (at_end && count > 0) return {};
      return fail(ErrorKind::invalid_argument, "upstream_ca holds no readable PEM certificate",
                  "give a file with one or more BEGIN CERTIFICATE blocks");
    }
    ++count;
    visit(certificate.get());
  }
}

}  // namespace

Result<void> check_certificates(const std::string& pem) {
  return each_certificate(pem, [](X509* /*certificate*/) {});
}

Result<std::unique_ptr<ServerContext>> ServerContext::create(NameCheck names) {
  BB_TRY(ContextPtr context, make_context(TLS_server_method()));
  SSL_CTX_set_options(context.get(), SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  // Tickets only: a cache would keep sessions of clients that are gone. One ticket a handshake is what clients use.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context.get(), 1);
  SSL_CTX_set_alpn_select_cb(context.get(), select_alpn, nullptr);
  if (names == NameCheck::on) set_name_callback(context.get());
  return std::unique_ptr<ServerContext>(new ServerContext(std::move(context)));
}

Result<std::unique_ptr<Session>> ServerContext::accept(const Leaf& leaf, const std::string& host) {
  SslPtr ssl(SSL_new(context_.get()));
  if (!ssl) return fail(ErrorKind::internal, "TLS: " + take_openssl_error());
  SSL_set_accept_state(ssl.get());
  // A ticket is good for the host it was issued for only: the id context is part of it.
  std::array<unsigned char, SHA256_DIGEST_LENGTH> id{};
  SHA256(reinterpret_cast<const unsigned char*>(host.data()), host.size(), id.data());
  if (SSL_use_certificate(ssl.get(), leaf.certificate) != 1 || SSL_use_PrivateKey(ssl.get(), leaf.key) != 1 ||
      SSL_set_session_id_context(ssl.get(), id.data(), id.size()) != 1 ||
      SSL_set_ex_data(ssl.get(), host_index(), std::make_unique<std::string>(host).release()) != 1) {
    return fail(ErrorKind::internal, "TLS: " + take_openssl_error());
  }
  return std::make_unique<Session>(std::move(ssl));
}

ClientContext::ClientContext(ContextPtr context) : context_(std::move(context)) {
  SSL_CTX_set_ex_data(context_.get(), context_index(), this);
  SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context_.get(), keep_session);
}

ClientContext::~ClientContext() = default;

Result<std::unique_ptr<ClientContext>> ClientContext::create(const std::string& extra_ca) {
  BB_TRY(ContextPtr context, make_context(TLS_client_method()));
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  trust_the_system(context.get());
  if (!extra_ca.empty()) {
    X509_STORE* store = SSL_CTX_get_cert_store(context.get());
    BB_CHECK(each_certificate(extra_ca, [store](X509* certificate) { X509_STORE_add_cert(store, certificate); }));
  }
  if (SSL_CTX_set_alpn_protos(context.get(), alpn_both, sizeof alpn_both) != 0)
    return fail(ErrorKind::internal, "TLS: " + take_openssl_error());
  ERR_clear_error();
  return std::unique_ptr<ClientContext>(new ClientContext(std::move(context)));
}

int ClientContext::keep_session(SSL* ssl, SSL_SESSION* session) {
  auto* self = static_cast<ClientContext*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), context_index()));
  const auto* key = static_cast<const std::string*>(SSL_get_ex_data(ssl, host_index()));
  if (self == nullptr || key == nullptr) return 0;
  if (self->sessions_.size() >= max_sessions) self->sessions_.clear();
  self->sessions_[*key].reset(session);
  return 1;  // the reference is ours now
}

Result<std::unique_ptr<Session>> ClientContext::connect(const std::string& host, const std::string& resume_key,
                                                        Offer offer) {
  SslPtr ssl(SSL_new(context_.get()));
  if (!ssl) return fail(ErrorKind::internal, "TLS: " + take_openssl_error());
  SSL_set_connect_state(ssl.get());
  SSL_set_hostflags(ssl.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (SSL_set1_host(ssl.get(), host.c_str()) != 1 || !set_server_name(ssl.get(), host) ||
      SSL_set_ex_data(ssl.get(), host_index(), std::make_unique<std::string>(resume_key).release()) != 1) {
    return fail(ErrorKind::internal, "TLS: " + take_openssl_error());
  }
  if (offer == Offer::http1 && SSL_set_alpn_protos(ssl.get(), alpn_http1, sizeof alpn_http1) != 0)
    return fail(ErrorKind::internal, "TLS: " + take_openssl_error());
  if (const auto found = sessions_.find(resume_key); found != sessions_.end()) {
    SSL_set_session(ssl.get(), found->second.get());
    // A TLS 1.3 ticket used twice lets an observer link connections (RFC 8446 §C.4).
    if (SSL_SESSION_get_protocol_version(found->second.get()) == TLS1_3_VERSION) sessions_.erase(found);
  }
  return std::make_unique<Session>(std::move(ssl));
}

}  // namespace bot_bottle::tls
