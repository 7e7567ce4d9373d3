// gRPC bodies: messages leave complete, secrets do not, and an answer keeps its framing.
#include "sidecar/egress/grpc_guard.hpp"

#include <gtest/gtest.h>
#include <zlib.h>

#include <vector>

namespace bot_bottle::egress {
namespace {

constexpr std::string_view token = "tok-9f8e7d6c5b4a39281706";

std::string message(std::string_view text, char flags = 0) {
  std::string out(1, flags);
  for (const unsigned shift : {24U, 16U, 8U, 0U}) out.push_back(static_cast<char>((text.size() >> shift) & 0xffU));
  return out.append(text);
}

std::string gzip(std::string_view text) {
  std::string out(text.size() + 200, '\0');
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string input(text);
  stream.next_in = reinterpret_cast<Bytef*>(input.data());
  stream.avail_in = static_cast<uInt>(input.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

class GrpcGuardTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    rules = dlp::Rules::compile(BB_SOURCE_DIR "/core/policy/rules").value();
    secrets = dlp::KnownSecrets::create(std::vector<dlp::KnownSecret>{{"TOKEN", token}}).value();
  }
  static std::shared_ptr<const dlp::Rules> rules;
  static std::shared_ptr<const dlp::KnownSecrets> secrets;

  static std::string send(std::string_view body, std::size_t piece, std::optional<Coding> coding = std::nullopt,
                          policy::OnUnscannable unscannable = policy::OnUnscannable::block) {
    GrpcGuard guard(rules, secrets, {}, coding, unscannable);
    std::string out;
    for (std::size_t at = 0; at < body.size(); at += piece) {
      if (guard.write(body.substr(at, piece), out)) return out + "BLOCKED";
    }
    return guard.finish(out) ? out + "BLOCKED" : out;
  }
};
std::shared_ptr<const dlp::Rules> GrpcGuardTest::rules;
std::shared_ptr<const dlp::KnownSecrets> GrpcGuardTest::secrets;

TEST_F(GrpcGuardTest, each_message_leaves_when_it_is_complete) {
  GrpcGuard guard(rules, secrets, {}, std::nullopt, policy::OnUnscannable::block);
  std::string out;
  const std::string one = message("one");
  ASSERT_FALSE(guard.write(one, out));
  EXPECT_EQ(out, one);
  ASSERT_FALSE(guard.write(message(""), out));
  ASSERT_FALSE(guard.write(message("two").substr(0, 7), out));
  ASSERT_FALSE(guard.write(message("two").substr(7), out));
  EXPECT_EQ(out, one + message("") + message("two"));
  const std::string all = out + message(std::string(100'000, 'l')) + message("cut off").substr(0, 9);
  for (const std::size_t piece : {1U, 3U, 1000U, 200'000U}) EXPECT_EQ(send(all, piece), all) << piece;
}

TEST_F(GrpcGuardTest, a_secret_is_stopped_in_a_message_across_messages_and_compressed) {
  const std::string split = message("tok-9f8e7d6c") + message("5b4a39281706");
  const std::string packed = message(gzip("the token is " + std::string(token)), 1);
  for (const std::size_t piece : {1U, 3U, 7U, 1000U}) {
    EXPECT_TRUE(send(message("x" + std::string(token)), piece).ends_with("BLOCKED"));
    EXPECT_TRUE(send(message("x" + std::string(token)).substr(0, 5 + 1 + token.size()), piece).ends_with("BLOCKED"));
    EXPECT_TRUE(send(split, piece).ends_with("BLOCKED"));
    EXPECT_TRUE(send(packed, piece, Coding::gzip).ends_with("BLOCKED"));
    EXPECT_EQ(send(packed, piece, Coding::gzip).find(packed), std::string::npos);
  }
  const std::string clean = message(gzip("nothing here"), 1);
  EXPECT_EQ(send(clean, 4, Coding::gzip), clean);
}

TEST_F(GrpcGuardTest, what_cannot_be_read_follows_on_unscannable) {
  const std::string strange = message("snappy", 1);
  EXPECT_EQ(send(strange, 100), "BLOCKED");
  EXPECT_EQ(send(message("flags", 7), 100), "BLOCKED");
  EXPECT_EQ(send(strange, 100, std::nullopt, policy::OnUnscannable::pass), strange);
}

TEST_F(GrpcGuardTest, an_answer_is_scrubbed_and_keeps_its_framing) {
  const std::string body = message("a") + message("you are " + std::string(token) + "!") + message("z");
  for (const std::size_t piece : {1U, 5U, 1000U}) {
    GrpcScrubber scrubber(secrets, policy::OnUnscannable::block);
    std::string out;
    for (std::size_t at = 0; at < body.size(); at += piece) ASSERT_TRUE(scrubber.write(body.substr(at, piece), out));
    scrubber.finish(out);
    EXPECT_EQ(out.size(), body.size()) << piece;
    EXPECT_EQ(out.find(token), std::string::npos);
    EXPECT_TRUE(out.ends_with(message("z")));
    EXPECT_EQ(scrubber.replaced(), 1U);
  }
  GrpcScrubber strict(secrets, policy::OnUnscannable::block);
  std::string out;
  EXPECT_FALSE(strict.write(message("packed", 1), out));
}

TEST_F(GrpcGuardTest, only_its_own_content_types_are_grpc) {
  const auto says = [](const char* type) {
    http::Fields fields;
    fields.add("content-type", type);
    return is_grpc(fields);
  };
  for (const char* type : {"application/grpc", "application/grpc+proto", "Application/gRPC; charset=x"})
    EXPECT_TRUE(says(type)) << type;
  for (const char* type : {"application/grpc-web", "application/json", "application/grpcx", ""})
    EXPECT_FALSE(says(type)) << type;
}

}  // namespace
}  // namespace bot_bottle::egress
