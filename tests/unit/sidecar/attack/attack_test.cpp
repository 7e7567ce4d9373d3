// The attacker's own tools: a disguise that does not hold the secret, or a judge that takes a crash for a refusal,
// would make the escape suite green for nothing.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <regex>

#include "core/base/text.hpp"
#include "sidecar/attack/encode.hpp"
#include "sidecar/attack/http.hpp"
#include "sidecar/attack/probe.hpp"
#include "sidecar/attack/suite.hpp"

namespace bot_bottle::attack {
namespace {

const std::string secret = "Zq83kdLw92mfPx71bvNt";

std::string unpercent(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    out += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
    i += 2;
  }
  return out;
}

TEST(Disguises, hold_the_secret) {
  for (std::size_t shift = 0; shift < 3; ++shift)
    EXPECT_EQ(base64_decode(base64_at(secret, shift))->substr(shift), secret);
  EXPECT_EQ(unpercent(percent(secret)), secret);
  EXPECT_EQ(unpercent(unpercent(percent(secret, 2))), secret);
  EXPECT_NE(unpercent(percent(secret, 2)), secret);
  EXPECT_EQ(rot13(rot13(secret)), secret);
  EXPECT_NE(rot13(secret), secret);
  EXPECT_EQ(base32("foobar"), "MZXW6YTBOI======");  // RFC 4648 §10
  EXPECT_EQ(full_width("a"), "\xef\xbd\x81");
  EXPECT_EQ(unicode_tags("a"), "\xf3\xa0\x81\xa1");
  EXPECT_EQ(hex_with("ab", ":"), "61:62");
}

TEST(Disguises, compress_to_what_zlib_reads) {
  for (const Wrapper wrapper : {Wrapper::gzip, Wrapper::zlib}) {
    std::string packed = deflated(secret, wrapper);
    std::string out(100, '\0');
    z_stream stream{};
    ASSERT_EQ(inflateInit2(&stream, 15 + 32), Z_OK);
    stream.next_in = reinterpret_cast<Bytef*>(packed.data());
    stream.avail_in = static_cast<uInt>(packed.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
    EXPECT_EQ(out.substr(0, stream.total_out), secret);
    inflateEnd(&stream);
  }
  EXPECT_LT(gzip_of_zeros(std::size_t{8} << 20).size(), std::size_t{1} << 16);
}

TEST(Disguises, tokens_have_their_shapes_and_differ_each_time) {
  EXPECT_TRUE(std::regex_match(github_token(), std::regex("gh"
                                                          "p_[0-9A-Za-z]{36}")));
  EXPECT_TRUE(std::regex_match(aws_key_id(), std::regex("AK"
                                                        "IA[A-Z2-7]{16}")));
  EXPECT_TRUE(std::regex_match(slack_token(), std::regex("xo"
                                                         "xb-[0-9]{12}-[0-9]{12}-[0-9A-Za-z]{24}")));
  EXPECT_NE(github_token(), github_token());
}

Response response_of(int status, std::string body, std::vector<std::pair<std::string, std::string>> headers = {}) {
  Response out;
  out.status = status;
  out.body = std::move(body);
  out.headers = std::move(headers);
  return out;
}

const std::string refusal = R"({"error": "blocked", "by": "egress", "reason": "host_not_allowed"})";

TEST(Judge, only_the_documented_refusal_is_blocked) {
  const Context context;
  EXPECT_EQ(judge(context, response_of(403, refusal)).verdict, Verdict::blocked);
  EXPECT_EQ(judge(context, response_of(403, "go away")).verdict, Verdict::error);
  EXPECT_EQ(judge(context, response_of(502, "{}")).verdict, Verdict::error);
  EXPECT_EQ(judge(context, response_of(400, "{}")).verdict, Verdict::error);
  EXPECT_EQ(judge(context, response_of(400, "{}"), accept::bad_request).verdict, Verdict::blocked);
  EXPECT_EQ(judge(context, response_of(200, "")).verdict, Verdict::escaped);
  Response dead;
  dead.failure = "connecting to the proxy: Connection refused";
  EXPECT_EQ(judge(context, dead).verdict, Verdict::error);
}

TEST(Judge, whatever_the_origin_answers_is_an_escape) {
  const Context context;
  for (const int status : {200, 302, 400, 403, 500})
    EXPECT_EQ(judge(context, response_of(status, refusal, {{"x-attack-origin", "yes"}}), ~0U).verdict, Verdict::escaped)
        << status;
}

TEST(Judge, a_refusal_that_echoes_the_secret_is_no_pass) {
  Context context;
  context.stolen = secret;
  EXPECT_EQ(judge(context, response_of(403, refusal + secret)).verdict, Verdict::error);
}

TEST(Judge, an_unexpected_errno_proves_nothing) {
  errno = EPERM;
  EXPECT_EQ(judge_privileged(-1).verdict, Verdict::blocked);
  errno = EFAULT;
  EXPECT_EQ(judge_privileged(-1).verdict, Verdict::error);
  EXPECT_EQ(judge_privileged(0).verdict, Verdict::escaped);
}

Attempt attempt_of(std::function<Outcome(const Context&)> run) {
  return {"9.1", "", "", std::move(run), Needs::nothing, std::chrono::seconds(1)};
}

TEST(Suite, an_attempt_that_crashes_or_hangs_is_an_error) {
  const Context context;
  EXPECT_EQ(run_attempt(attempt_of([](const Context&) -> Outcome { ::_exit(0); }), context).verdict, Verdict::error);
  EXPECT_EQ(run_attempt(attempt_of([](const Context&) -> Outcome {
                          ::raise(SIGKILL);
                          return blocked("");
                        }),
                        context)
                .verdict,
            Verdict::error);
  EXPECT_EQ(run_attempt(attempt_of([](const Context&) -> Outcome {
                          for (;;) ::pause();
                        }),
                        context)
                .verdict,
            Verdict::error);
  EXPECT_EQ(run_attempt(attempt_of([](const Context&) -> Outcome {
                          ::raise(SIGSYS);
                          return escaped("");
                        }),
                        context)
                .verdict,
            Verdict::blocked);
  EXPECT_EQ(run_attempt(attempt_of([](const Context&) { return escaped("x"); }), context).verdict, Verdict::escaped);
}

TEST(Suite, selects_by_the_beginning_of_a_number_at_a_dot) {
  Context context;
  context.stolen = secret;
  for (const Attempt& attempt : select_attempts(context, {.only = {"1.2"}, .skip = {}, .resources = false}))
    EXPECT_TRUE(attempt.id.starts_with("1.2.")) << attempt.id;
  for (const Attempt& attempt : select_attempts(context, {.only = {}, .skip = {"3"}, .resources = false}))
    EXPECT_FALSE(attempt.id.starts_with("3.")) << attempt.id;
  EXPECT_TRUE(select_attempts(context, {.only = {"7"}, .skip = {}, .resources = false}).empty());
}

}  // namespace
}  // namespace bot_bottle::attack
