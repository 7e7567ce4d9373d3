#include "sidecar/tls/session.hpp"

#include <openssl/x509_vfy.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace bot_bottle::tls {

/// A BIO that reads a view and appends to a string: OpenSSL's own memory BIOs copy once more and keep their size.
struct MemoryBio {
  static int read(BIO* bio, char* out, std::size_t size, std::size_t* count) {
    auto* session = static_cast<Session*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    *count = std::min(size, session->input_.size());
    if (*count == 0) {
      BIO_set_retry_read(bio);
      return 0;
    }
    std::memcpy(out, session->input_.data(), *count);
    session->input_.remove_prefix(*count);
    return 1;
  }
  static int write(BIO* bio, const char* bytes, std::size_t size, std::size_t* count) {
    auto* session = static_cast<Session*>(BIO_get_data(bio));
    session->output_.append(bytes, size);
    *count = size;
    return 1;
  }
  static long control(BIO* /*bio*/, int command, long /*number*/, void* /*pointer*/) {
    return command == BIO_CTRL_FLUSH ? 1 : 0;
  }
  static int create(BIO* bio) {
    BIO_set_init(bio, 1);
    return 1;
  }
  static const BIO_METHOD* method() {
    static const BIO_METHOD* const made = [] {
      BIO_METHOD* fresh = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "bot-bottle memory");
      if (fresh == nullptr) std::abort();
      BIO_meth_set_read_ex(fresh, read);
      BIO_meth_set_write_ex(fresh, write);
      BIO_meth_set_ctrl(fresh, control);
      BIO_meth_set_create(fresh, create);
      return fresh;
    }();
    return made;
  }
};

Session::Session(SslPtr ssl) : ssl_(std::move(ssl)) {
  BIO* bio = BIO_new(MemoryBio::method());
  if (bio == nullptr) std::abort();  // out of memory
  BIO_set_data(bio, this);
  SSL_set_bio(ssl_.get(), bio, bio);
}

Session::~Session() = default;

Status Session::status_of(int result) {
  const int kind = SSL_get_error(ssl_.get(), result);
  if (kind == SSL_ERROR_WANT_READ) return Status::want_more;
  if (kind == SSL_ERROR_ZERO_RETURN) return Status::closed;
  const long verdict = SSL_get_verify_result(ssl_.get());
  error_ = take_openssl_error();
  if (verdict != X509_V_OK) error_ += std::string(": ") + X509_verify_cert_error_string(verdict);
  return Status::failed;
}

Status Session::handshake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  return result == 1 ? Status::ok : status_of(result);
}

Status Session::read(std::span<char> buffer, std::size_t& size) {
  ERR_clear_error();
  const int result = SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &size);
  return result == 1 ? Status::ok : status_of(result);
}

Status Session::write(std::string_view bytes) {
  ERR_clear_error();
  std::size_t written = 0;
  const int result = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written);
  return result == 1 ? Status::ok : status_of(result);
}

void Session::shut() {
  ERR_clear_error();
  if (SSL_is_init_finished(ssl_.get()) == 1) SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

std::string_view Session::alpn() const {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

}  // namespace bot_bottle::tls
