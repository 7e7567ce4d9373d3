// The Java trust store's octets; that a JVM takes it is seen in tests/acceptance/clients_test.py.
#include "plugins/backend-local/java_trust.hpp"

#include <gtest/gtest.h>

#include <string>

#include "core/base/text.hpp"

namespace bot_bottle::backend_local {
namespace {

using namespace std::string_literals;

std::string pem(const std::string& octets) {
  return "-----BEGIN CERTIFICATE-----\n" + base64_encode(octets) + "\n-----END CERTIFICATE-----\n";
}

TEST(JavaTrust, a_store_is_magic_version_count_entries_and_a_seal) {
  const std::string store = java_trust_store("# a comment\n" + pem("der"));
  const std::string body = "\xfe\xed\xfe\xed\0\0\0\2\0\0\0\1\0\0\0\2\0\4ca-0\0\0\0\0\0\0\0\0\0\5X.509\0\0\0\3der"s;
  EXPECT_EQ(store.substr(0, body.size()), body);
  EXPECT_EQ(store.size(), body.size() + 20);
}

TEST(JavaTrust, the_seal_is_the_one_of_java) {
  // `keytool -list -storepass changeit` of OpenJDK 17 takes this store and refuses it with another last octet.
  EXPECT_EQ(hex_encode(java_trust_store("")), "feedfeed0000000200000000e2686e45fb43dfa4d992dd41ceb6b21c6330d792");
}

TEST(JavaTrust, what_is_no_certificate_is_left_out_and_the_rest_stays) {
  const std::string good = pem("good");
  EXPECT_EQ(java_trust_store("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n" + good),
            java_trust_store(good));
  EXPECT_EQ(java_trust_store(good + "-----BEGIN CERTIFICATE-----\nAAAA"), java_trust_store(good));
  EXPECT_EQ(java_trust_store("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n" + good),
            java_trust_store(good));
  EXPECT_NE(java_trust_store(good + pem("more")), java_trust_store(good));
}

}  // namespace
}  // namespace bot_bottle::backend_local
