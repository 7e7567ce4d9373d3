// What the demo believes: the suite's lines only as far as they say "blocked" or "escaped", and the host's own logs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/base/file.hpp"
#include "core/base/random.hpp"
#include "core/base/text.hpp"
#include "core/cli/demo_facts.hpp"

namespace bot_bottle::cli {
namespace {

namespace fs = std::filesystem;

class Demo : public ::testing::Test {
 protected:
  Demo() : root_(fs::temp_directory_path() / ("bb-demo-test-" + random_base36(8))) { fs::create_directories(root_); }
  ~Demo() override { fs::remove_all(root_); }

  static std::string request(const std::string& head, const std::string& body = "",
                             const std::string& sni = demo_origin) {
    return to_text(json::object{{"event", "request"},
                                {"sni", sni},
                                {"head", base64_encode(head)},
                                {"body", base64_encode(body)},
                                {"trailers", ""}}) +
           "\n";
  }
  /// "host.3" → verdict, after the demo read these logs.
  std::map<std::string, std::string> verdicts(const std::string& origin, const std::string& canary = "",
                                              const std::string& events = "{\"level\":\"block\"}\n") {
    for (const auto& [name, text] :
         {std::pair("origin", origin), std::pair("canary", canary), std::pair("events", events)})
      EXPECT_TRUE(write_file_fast(root_ / name, text));
    std::map<std::string, std::string> out;
    for (const AttackLine& line : ask_host(root_ / "origin", root_ / "canary", root_ / "events", secrets_))
      out[line.id] = line.verdict;
    return out;
  }
  std::string good() const {
    return request("GET / HTTP/1.1\r\nHost: origin.example.com\r\nAuthorization: Bearer " + secrets_.injected +
                   "\r\n\r\n");
  }

  const fs::path root_;
  const DemoSecrets secrets_{.injected = "demo-token-aaaabbbbccccdddd", .stolen = "demo-stolen-0123456789abcdef"};
};

TEST_F(Demo, a_clean_run_is_all_blocked) {
  for (const auto& [id, verdict] : verdicts(good())) EXPECT_EQ(verdict, "blocked") << id;
}

TEST_F(Demo, a_stolen_secret_at_the_origin_is_seen_in_every_plain_disguise) {
  const std::string& stolen = secrets_.stolen;
  for (const std::string& shape : {stolen, std::string(stolen.rbegin(), stolen.rend()), hex_encode(stolen),
                                   base64_encode(stolen), base64_encode("x" + stolen), base64_encode("xy" + stolen)}) {
    EXPECT_EQ(
        verdicts(good() + request("GET /?d=" + shape + " HTTP/1.1\r\nHost: origin.example.com\r\n\r\n"))["host.3"],
        "escaped")
        << shape;
    EXPECT_EQ(verdicts(good() + request("POST / HTTP/1.1\r\nHost: origin.example.com\r\n\r\n", "a=" + shape))["host.3"],
              "escaped")
        << shape;
  }
}

TEST_F(Demo, silence_proves_nothing) {
  EXPECT_EQ(verdicts("")["host.1"], "error");
  EXPECT_EQ(verdicts(good(), "", "")["host.7"], "error");
}

TEST_F(Demo, the_host_sees_strange_hosts_paths_credentials_and_contacts) {
  EXPECT_EQ(verdicts(good() + request("GET / HTTP/1.1\r\nHost: denied.example.com\r\n\r\n"))["host.4"], "escaped");
  EXPECT_EQ(verdicts(good() +
                     request("GET / HTTP/1.1\r\nHost: origin.example.com\r\n\r\n", "", "denied.example.com"))["host.4"],
            "escaped");
  EXPECT_EQ(verdicts(good() +
                     request("GET /private HTTP/1.1\r\nHost: guarded.example.com\r\n\r\n", "", demo_guarded))["host.5"],
            "escaped");
  EXPECT_EQ(
      verdicts(good() + request("GET / HTTP/1.1\r\nHost: plain.example.com\r\nX: " + secrets_.injected + "\r\n\r\n", "",
                                ""))["host.2"],
      "escaped");
  EXPECT_EQ(verdicts(good(), "{\"contact\":\"tcp 127.0.0.1:1\"}\n")["host.6"], "escaped");
}

TEST(AttackLine, only_the_known_words_are_believed) {
  EXPECT_EQ(parse_attack_line(R"({"id":"1.1","guard":"netns","verdict":"blocked"})")->verdict, "blocked");
  EXPECT_EQ(parse_attack_line(R"({"id":"1.1","guard":"netns","verdict":"fine"})")->verdict, "error");
  EXPECT_EQ(parse_attack_line(R"({"id":"1.1","guard":"netns"})")->verdict, "error");
  EXPECT_FALSE(parse_attack_line("blocked everything"));
  EXPECT_FALSE(parse_attack_line(R"({"verdict":"blocked"})"));
}

TEST(DemoBottle, holds_no_whole_secret) {
  const DemoSecrets secrets{.injected = "demo-token-aaaabbbbccccdddd", .stolen = "demo-stolen-0123456789abcdef"};
  DemoWorld world;
  world.attack = "/opt/bottle-attack";
  world.backend = "local";
  world.origin = {{"port", 4443}, {"plain_port", 8080}, {"ca_file", "/tmp/ca.pem"}};
  world.canary = {{"ports", {1234, 1235}}, {"udp_ports", {53}}, {"abstract", "x"}};
  const std::string text = demo_bottle_text(world, secrets);
  EXPECT_THAT(text, ::testing::Not(::testing::HasSubstr(secrets.injected)));
  EXPECT_THAT(text, ::testing::Not(::testing::HasSubstr(secrets.stolen)));
  EXPECT_THAT(text, ::testing::HasSubstr(sha256_hex(secrets.injected)));
}

}  // namespace
}  // namespace bot_bottle::cli
