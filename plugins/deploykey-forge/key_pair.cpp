#include "plugins/deploykey-forge/key_pair.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <array>
#include <bot_bottle/sdk/error.hpp>
#include <cstdint>
#include <memory>

namespace bot_bottle::deploy_key {
namespace {

constexpr std::size_t key_octets = 32;
constexpr std::size_t cipher_block = 8;  // of "none"
constexpr std::size_t pem_width = 70;

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

void put_number(std::string& out, std::uint32_t number) {
  for (int shift = 24; shift >= 0; shift -= 8)
    out += static_cast<char>((number >> static_cast<unsigned>(shift)) & 255U);
}
void put_text(std::string& out, std::string_view text) {
  put_number(out, static_cast<std::uint32_t>(text.size()));
  out += text;
}
void wipe(std::string& text) {
  OPENSSL_cleanse(text.data(), text.size());
}

std::string base64(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

}  // namespace

KeyPair::~KeyPair() {
  wipe(private_key);
}

KeyPair make_key_pair(const std::string& comment) {
  const std::unique_ptr<EVP_PKEY, FreeKey> key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  std::array<unsigned char, key_octets> seed{};
  std::array<unsigned char, key_octets> point{};
  std::array<unsigned char, 4> check{};
  std::size_t size = seed.size();
  const bool made = key && EVP_PKEY_get_raw_private_key(key.get(), seed.data(), &size) == 1 &&
                    EVP_PKEY_get_raw_public_key(key.get(), point.data(), &(size = point.size())) == 1 &&
                    RAND_bytes(check.data(), static_cast<int>(check.size())) == 1;
  if (!made) throw sdk::Error(sdk::Status::internal, "no key could be made (OpenSSL)");
  const std::string_view public_part(reinterpret_cast<const char*>(point.data()), point.size());

  std::string blob;
  put_text(blob, "ssh-ed25519");
  put_text(blob, public_part);

  // Reserved, so that growing leaves no copies of the seed behind.
  std::string secret;
  secret.reserve(512 + comment.size());
  for (int twice = 0; twice < 2; ++twice) secret.append(reinterpret_cast<const char*>(check.data()), check.size());
  put_text(secret, "ssh-ed25519");
  put_text(secret, public_part);
  put_number(secret, 2 * key_octets);
  secret.append(reinterpret_cast<const char*>(seed.data()), seed.size());
  secret.append(public_part);
  put_text(secret, comment);
  for (char pad = 1; secret.size() % cipher_block != 0; ++pad) secret += pad;
  OPENSSL_cleanse(seed.data(), seed.size());

  std::string whole;
  whole.reserve(1024 + 2 * comment.size());
  whole.append("openssh-key-v1\0", 15);
  put_text(whole, "none");
  put_text(whole, "none");
  put_text(whole, "");
  put_number(whole, 1);
  put_text(whole, blob);
  put_text(whole, secret);
  wipe(secret);
  std::string text = base64(whole);
  wipe(whole);

  KeyPair pair;
  pair.private_key.reserve(text.size() * 2 + 128);
  pair.private_key = "-----BEGIN OPENSSH PRIVATE KEY-----\n";
  for (std::size_t at = 0; at < text.size(); at += pem_width) pair.private_key.append(text, at, pem_width).append("\n");
  pair.private_key += "-----END OPENSSH PRIVATE KEY-----\n";
  wipe(text);
  pair.public_key = "ssh-ed25519 " + base64(blob) + " " + comment;
  std::array<unsigned char, 32> digest{};
  if (EVP_Digest(blob.data(), blob.size(), digest.data(), nullptr, EVP_sha256(), nullptr) != 1)
    throw sdk::Error(sdk::Status::internal, "no digest could be made (OpenSSL)");
  pair.fingerprint = "SHA256:" + base64({reinterpret_cast<const char*>(digest.data()), digest.size()});
  while (pair.fingerprint.ends_with('=')) pair.fingerprint.pop_back();
  return pair;
}

}  // namespace bot_bottle::deploy_key
