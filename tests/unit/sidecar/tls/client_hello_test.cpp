// Our own reader of ClientHellos, against hellos that OpenSSL writes.
#include "sidecar/tls/client_hello.hpp"

#include <gtest/gtest.h>

#include "sidecar/tls/contexts.hpp"

namespace bot_bottle::tls {
namespace {

std::string hello_for(const std::string& host) {
  auto context = ClientContext::create("").value();
  auto session = context->connect(host, host).value();
  EXPECT_EQ(session->handshake(), Status::want_more);
  return session->output();
}

TEST(ClientHello, reads_the_name_and_asks_for_more_until_it_is_whole) {
  const std::string hello = hello_for("api.example.com");
  const ClientHello whole = read_client_hello(hello);
  ASSERT_EQ(whole.reading, ClientHello::Reading::complete);
  EXPECT_EQ(whole.server_name, "api.example.com");
  EXPECT_FALSE(whole.encrypted_hello);
  for (std::size_t size = 0; size < hello.size(); ++size)
    ASSERT_EQ(read_client_hello(std::string_view(hello).substr(0, size)).reading, ClientHello::Reading::need_more)
        << size;
}

TEST(ClientHello, A2_reads_a_hello_cut_over_records) {
  const std::string hello = hello_for("api.example.com");
  const std::string body = hello.substr(5);
  for (std::size_t cut = 1; cut < body.size(); cut += 13) {
    std::string text;
    for (const std::string& part : {body.substr(0, cut), body.substr(cut)}) {
      text += std::string("\x16\x03\x01", 3) + static_cast<char>(part.size() >> 8) +
              static_cast<char>(part.size() & 0xff) + part;
    }
    const ClientHello read = read_client_hello(text);
    ASSERT_EQ(read.reading, ClientHello::Reading::complete) << cut;
    ASSERT_EQ(read.server_name, "api.example.com");
  }
}

TEST(ClientHello, refuses_everything_else) {
  std::string hello = hello_for("api.example.com");
  EXPECT_EQ(read_client_hello("GET / HTTP/1.1\r\n").reading, ClientHello::Reading::bad);
  EXPECT_EQ(read_client_hello(hello + "x").reading,
            ClientHello::Reading::complete);  // a begun record is the next message
  hello[5] = 2;                               // a ServerHello
  EXPECT_EQ(read_client_hello(hello).reading, ClientHello::Reading::bad);
  EXPECT_EQ(read_client_hello(std::string("\x16\x03\x01\x00\x00", 5)).reading, ClientHello::Reading::bad);
  EXPECT_EQ(read_client_hello(std::string("\x16\x02\x01\x00\x05hello", 10)).reading, ClientHello::Reading::bad);
}

TEST(ClientHello, every_changed_octet_leaves_it_readable_or_refused) {
  const std::string hello = hello_for("api.example.com");
  for (std::size_t at = 0; at < hello.size(); ++at) {
    for (const int change : {0x01, 0x80, 0xff}) {
      std::string changed = hello;
      changed[at] = static_cast<char>(changed[at] ^ change);
      const ClientHello read = read_client_hello(changed);
      if (read.reading == ClientHello::Reading::complete) {
        EXPECT_LT(read.server_name.size(), 64U);
      }
    }
  }
}

}  // namespace
}  // namespace bot_bottle::tls
