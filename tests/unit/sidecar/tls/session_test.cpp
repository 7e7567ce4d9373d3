// The bottle's authority, its leaves and both contexts, handshaking with each other in memory.
#include "sidecar/tls/session.hpp"

#include <gtest/gtest.h>

#include <array>

#include "sidecar/tls/contexts.hpp"

namespace bot_bottle::tls {
namespace {

struct Pair {
  std::unique_ptr<Session> client;
  std::unique_ptr<Session> server;
};

/// Both ends run until one fails or both are done.
std::pair<Status, Status> shake(Pair& pair) {
  Status client = Status::want_more;
  Status server = Status::want_more;
  for (int round = 0; round < 6; ++round) {
    if (client == Status::want_more) client = pair.client->handshake();
    const std::string to_server = std::exchange(pair.client->output(), {});
    pair.server->feed(to_server);
    if (server == Status::want_more) server = pair.server->handshake();
    const std::string to_client = std::exchange(pair.server->output(), {});
    pair.client->feed(to_client);
    if (client == Status::ok && !to_client.empty()) {
      std::array<char, 16> buffer{};
      std::size_t size = 0;
      (void)pair.client->read(buffer, size);  // takes the tickets in
    }
    if (client == Status::want_more && !to_client.empty()) client = pair.client->handshake();
  }
  return {client, server};
}

class Tls : public testing::Test {
 protected:
  Pair between(const std::string& connected, const std::string& served) {
    Pair pair;
    pair.client = client->connect(connected, connected).value();
    pair.server = server->accept(authority->leaf_for(served).value(), served).value();
    return pair;
  }
  std::unique_ptr<Authority> authority = Authority::create("x-1").value();
  std::unique_ptr<ServerContext> server = ServerContext::create(ServerContext::NameCheck::on).value();
  std::unique_ptr<ClientContext> client = ClientContext::create(authority->pem()).value();
};

TEST_F(Tls, a_leaf_of_the_authority_is_trusted_for_its_host) {
  Pair pair = between("api.example.com", "api.example.com");
  EXPECT_EQ(shake(pair), std::make_pair(Status::ok, Status::ok)) << pair.client->error();
  EXPECT_EQ(pair.client->alpn(), "h2");
  ASSERT_EQ(pair.client->write("hello"), Status::ok);
  const std::string records = std::exchange(pair.client->output(), {});
  pair.server->feed(records);
  std::array<char, 100> buffer{};
  std::size_t size = 0;
  ASSERT_EQ(pair.server->read(buffer, size), Status::ok);
  EXPECT_EQ(std::string_view(buffer.data(), size), "hello");
  EXPECT_EQ(pair.server->read(buffer, size), Status::want_more);
}

TEST_F(Tls, A2_a_name_other_than_the_connects_ends_the_handshake) {
  Pair pair = between("evil.example.com", "api.example.com");
  const auto [ours, theirs] = shake(pair);
  EXPECT_EQ(theirs, Status::failed);
  EXPECT_NE(ours, Status::ok);
}

TEST_F(Tls, an_upstream_of_another_authority_is_refused) {
  auto rogue = Authority::create("rogue").value();
  Pair pair;
  pair.client = client->connect("api.example.com", "k").value();
  pair.server = server->accept(rogue->leaf_for("api.example.com").value(), "api.example.com").value();
  EXPECT_EQ(shake(pair).first, Status::failed);
  EXPECT_NE(pair.client->error().find("certificate"), std::string::npos) << pair.client->error();
}

TEST_F(Tls, a_second_connection_resumes_the_first) {
  Pair first = between("api.example.com", "api.example.com");
  ASSERT_EQ(shake(first).first, Status::ok);
  Pair second = between("api.example.com", "api.example.com");
  ASSERT_EQ(shake(second).first, Status::ok);
  EXPECT_EQ(SSL_session_reused(second.client->raw()), 1);
}

TEST_F(Tls, leaves_are_minted_once) {
  const Leaf one = authority->leaf_for("a.example.com").value();
  EXPECT_EQ(authority->leaf_for("a.example.com")->certificate, one.certificate);
  EXPECT_EQ(authority->minted(), 1U);
}

TEST_F(Tls, bad_trust_is_named) {
  EXPECT_FALSE(check_certificates("junk"));
  EXPECT_FALSE(check_certificates(""));
  EXPECT_FALSE(check_certificates("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
  EXPECT_FALSE(check_certificates(authority->pem() + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
  EXPECT_TRUE(check_certificates("# a comment\n" + authority->pem() + authority->pem()));
}

}  // namespace
}  // namespace bot_bottle::tls
