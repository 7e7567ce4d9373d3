// Bodies are released unchanged when they are clean, and no octet that carries a secret is, in whatever coding and
// however cut (attacks A12, A15, L).
#include "sidecar/egress/body_guard.hpp"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <filesystem>
#include <random>

namespace bot_bottle::egress {
namespace {

constexpr std::string_view secret = "known-secret-value-0042";

std::string deflate_with(std::string_view text, int window_bits) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(text.size() + 1000, '\0');
  std::string input(text);
  stream.next_in = reinterpret_cast<Bytef*>(input.data());
  stream.avail_in = static_cast<uInt>(input.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(std::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

std::string from_hex(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); i += 2)
    out.push_back(static_cast<char>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  return out;
}

struct Scan {
  std::optional<BodyGuard::Block> block;
  std::string released;
};

class BodyGuards : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    rules_ = dlp::Rules::compile(std::filesystem::path(BB_SOURCE_DIR) / "core/policy/rules").value();
    const dlp::KnownSecret known{"S", secret};
    secrets_ = dlp::KnownSecrets::create({&known, 1}).value();
  }
  static void TearDownTestSuite() {
    rules_.reset();
    secrets_.reset();
  }
  /// `cut` gives the size of each next piece.
  template <typename Cut>
  static Scan scan(std::string_view body, std::optional<Coding> coding, Cut&& cut,
                   policy::OnUnscannable on_unscannable = policy::OnUnscannable::block) {
    BodyGuard guard(rules_, secrets_, {}, coding, on_unscannable);
    Scan out;
    while (!body.empty() && !out.block) {
      const std::size_t size = std::min(body.size(), std::max<std::size_t>(1, static_cast<std::size_t>(cut())));
      out.block = guard.write(body.substr(0, size), out.released);
      body.remove_prefix(size);
    }
    if (!out.block) out.block = guard.finish(out.released);
    return out;
  }
  static std::shared_ptr<const dlp::Rules> rules_;
  static std::shared_ptr<const dlp::KnownSecrets> secrets_;
};
std::shared_ptr<const dlp::Rules> BodyGuards::rules_;
std::shared_ptr<const dlp::KnownSecrets> BodyGuards::secrets_;

std::string text_with(std::string_view middle) {
  std::mt19937 random(7);
  std::string text;
  for (int i = 0; i < 3000; ++i) text += "word" + std::to_string(random() % 1000) + " ";
  text += middle;
  for (int i = 0; i < 3000; ++i) text += "more" + std::to_string(random() % 1000) + " ";
  return text;
}

struct Coded {
  std::string name;
  std::optional<Coding> coding;
  std::string body;
};

std::vector<Coded> codings_of(const std::string& text) {
  return {
      {"plain", std::nullopt, text},
      {"gzip", Coding::gzip, deflate_with(text, 31)},
      {"zlib", Coding::deflate, deflate_with(text, 15)},
      {"raw deflate", Coding::deflate, deflate_with(text, -15)},
      {"zstd", Coding::zstd, zstd(text)},
      {"gzip unsaid", std::nullopt, deflate_with(text, 31)},
      {"zstd unsaid", std::nullopt, zstd(text)},
      {"two gzip members", Coding::gzip, deflate_with(text.substr(0, 9000), 31) + deflate_with(text.substr(9000), 31)},
      {"two zstd frames", Coding::zstd, zstd(text.substr(0, 9000)) + zstd(text.substr(9000))}};
}

TEST_F(BodyGuards, A15_clean_bodies_are_released_as_they_came) {
  std::mt19937 random(1);
  for (const Coded& coded : codings_of(text_with("nothing"))) {
    for (const std::size_t longest : {std::size_t{1}, std::size_t{40}, std::size_t{5000}, std::size_t{1} << 20}) {
      const Scan out =
          scan(coded.body, coded.coding, [&] { return longest == 1 ? std::size_t{1} : random() % longest; });
      ASSERT_FALSE(out.block) << coded.name << " " << out.block->unscannable;
      ASSERT_EQ(out.released, coded.body) << coded.name;
    }
  }
}

TEST_F(BodyGuards, A12_A15_a_secret_is_found_in_every_coding_and_cut_and_its_octets_stay) {
  std::mt19937 random(2);
  for (const Coded& coded : codings_of(text_with(secret))) {
    for (int round = 0; round < 20; ++round) {
      const std::size_t longest = 1 + random() % 3000;
      const Scan out = scan(coded.body, coded.coding, [&] { return random() % longest; });
      ASSERT_TRUE(out.block && out.block->finding) << coded.name;
      EXPECT_EQ(out.released.find(secret.substr(0, 6)), std::string::npos);
      if (coded.name == "plain") continue;
      // What left cannot be decoded up to the secret: decode it as far as it goes.
      struct Collect : ContentDecoder::Sink {
        std::string text;
        bool on_decoded(std::string_view bytes) override {
          text.append(bytes);
          return true;
        }
      } seen;
      ContentDecoder decoder(coded.coding ? *coded.coding : *sniff_coding(coded.body));
      decoder.write(out.released, seen);
      EXPECT_EQ(seen.text.find(secret.substr(0, 8)), std::string::npos) << coded.name;
    }
  }
}

TEST_F(BodyGuards, A15_brotli_is_read) {
  const std::string body =
      from_hex("13ff0000444f96ead77dfb4c8c8814016cc00171a4e93af1e47073cdf6d5fb7b6ce3ea0fa9d8a16fb8782885e33aa84903");
  for (std::size_t step = 1; step < body.size(); ++step) {
    const Scan out = scan(body, Coding::brotli, [step] { return step; });
    ASSERT_TRUE(out.block && out.block->finding) << step;
    EXPECT_TRUE(out.block->decoded);
  }
  const std::string clean = from_hex("0b028068656c6c6f03");
  EXPECT_EQ(scan(clean, Coding::brotli, [] { return 1; }).released, clean);
  EXPECT_TRUE(scan(clean + "x", Coding::brotli, [] { return 1; }).block);
}

TEST_F(BodyGuards, A15_what_is_not_its_coding_is_blocked_or_passed_as_the_route_says) {
  const std::string whole = deflate_with("hello hello hello", 31);
  for (const std::string& body :
       {std::string("not gzip at all"), whole.substr(0, whole.size() - 4), whole + "junk", std::string("\x1f")}) {
    const Scan blocked = scan(body, Coding::gzip, [] { return 3; });
    ASSERT_TRUE(blocked.block) << body;
    EXPECT_FALSE(blocked.block->finding);
    const Scan passed = scan(
        body, Coding::gzip, [] { return 3; }, policy::OnUnscannable::pass);
    EXPECT_FALSE(passed.block);
    EXPECT_EQ(passed.released, body);
  }
  // Passing what cannot be decoded does not pass what can be read.
  EXPECT_TRUE(scan(
                  "x" + std::string(secret), Coding::gzip, [] { return 3; }, policy::OnUnscannable::pass)
                  .block);
}

TEST_F(BodyGuards, L_bombs_are_not_scannable) {
  const std::string bomb = deflate_with(std::string(std::size_t{48} << 20, '\0'), 31);
  const Scan out = scan(bomb, Coding::gzip, [] { return 4096; });
  ASSERT_TRUE(out.block);
  EXPECT_FALSE(out.block->finding);
  EXPECT_LT(out.released.size(), bomb.size());
}

// Without Content-Encoding the coding is a guess: a body that makes the guess fail late must not become unread.
TEST_F(BodyGuards, A15_a_guessed_coding_that_is_made_to_fail_is_not_scannable) {
  const std::string nulls(std::size_t{5} << 20, '\0');
  for (const std::size_t piece : {std::size_t{1} << 20, std::size_t{777}}) {
    const Scan bomb = scan(deflate_with(nulls + std::string(secret), 31), std::nullopt, [&] { return piece; });
    EXPECT_TRUE(bomb.block) << piece;
    const Scan within =
        scan("text before " + deflate_with(nulls + std::string(secret), 31), std::nullopt, [&] { return piece; });
    EXPECT_TRUE(within.block) << piece;
  }
  const Scan garbage = scan(deflate_with("short " + std::string(secret), 31) + "!", std::nullopt, [] { return 4096; });
  EXPECT_TRUE(garbage.block && garbage.block->finding);
  // A wrong guess costs nothing.
  const std::string text = "\x1f\x8b\x08 is how gzip begins, and this is a text about it";
  EXPECT_FALSE(scan(text, std::nullopt, [] { return 4096; }).block);
}

TEST_F(BodyGuards, A15_junk_that_begins_like_compressed_data_hides_nothing_behind_it) {
  std::string junk;
  for (int i = 0; i < 200; ++i) junk += "x^";
  for (const std::string& hidden : {deflate_with(secret, 31), deflate_with(secret, 15), zstd(secret)}) {
    for (const std::string& prefix : {std::string("x^x^x^x^"), junk}) {
      const Scan out = scan(prefix + hidden, std::nullopt, [] { return 65536; });
      EXPECT_TRUE(out.block) << prefix.size();
    }
  }
  // Headers without an end would keep every place taken.
  std::string endless;
  for (int i = 0; i < 40; ++i) endless += std::string("\x1f\x8b\x08\x08", 4) + "name";
  EXPECT_TRUE(scan("a" + endless + deflate_with(secret, 31), std::nullopt, [] { return 65536; }).block);
}

TEST_F(BodyGuards, fields_far_apart_are_joined_all_the_same) {
  std::string body = "{";
  for (std::size_t i = 0; i < secret.size(); i += 5) {
    if (i > 0) body += "," + std::string(std::size_t{120} << 10, ' ');
    body += "\"f" + std::to_string(i) + "\":\"" + std::string(secret.substr(i, 5)) + "\"";
  }
  EXPECT_TRUE(scan(body + "}", std::nullopt, [] { return 16384; }).block);
}

TEST_F(BodyGuards, short_bodies_are_released_whole) {
  for (const std::string& body :
       {std::string(), std::string("a"), std::string("abc"), std::string("\x1f\x8b"), std::string("\x28\xb5\x2f")}) {
    const Scan out = scan(body, std::nullopt, [] { return 1; });
    EXPECT_FALSE(out.block);
    EXPECT_EQ(out.released, body);
  }
}

}  // namespace
}  // namespace bot_bottle::egress
