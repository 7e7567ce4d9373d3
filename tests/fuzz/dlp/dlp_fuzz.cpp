// Bytes in any pieces: every cut gives the verdict of the whole; what is released is the beginning of what was written
// and holds nothing of what was found; clean text comes out whole; a scrubbed or redacted text holds no known secret.
// The first octets choose the cuts. "\x01" stands for a token, "\x02" for the secret, "\x03" for a password that is
// only known for one by what follows it (or by the end), "\x04" to "\x08" for the secret in disguises and "\x0e" for a
// half of it, so that a fuzzer can make finds.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/base/text.hpp"
#include "sidecar/dlp/rule_samples.hpp"
#include "sidecar/dlp/scanner.hpp"

using namespace bot_bottle;       // NOLINT(google-build-using-namespace)
using namespace bot_bottle::dlp;  // NOLINT(google-build-using-namespace)

namespace {

void must(bool condition) {
  if (!condition) std::abort();
}

struct Engine {
  std::shared_ptr<const Rules> rules = Rules::compile(BB_RULES_DIR).value();
  std::string secret = expand_sample("{{24:base64}}", 1).value();
  std::string token = expand_sample("ghp_{{36:alnum}}", 2).value();
  std::string password = expand_sample("password={{32:alnum}}", 3).value();
  std::shared_ptr<const KnownSecrets> secrets;
  Engine() {
    const KnownSecret one{"S", secret};
    secrets = KnownSecrets::create({&one, 1}).value();
    for (const char c : secret) {
      json += "\\u00" + hex_encode(std::string_view(&c, 1));
      percent += "%25" + hex_encode(std::string_view(&c, 1));
      pairs += hex_encode(std::string_view(&c, 1)) + ":";
    }
  }
  std::string json;
  std::string percent;
  std::string pairs;
};

const Engine& the_engine() {
  static const Engine engine;
  return engine;
}

}  // namespace

/// Before the first input: libFuzzer would count the seconds of compiling the rules as that input's.
extern "C" int LLVMFuzzerInitialize(int* /*count*/, char*** /*arguments*/) {
  the_engine();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Engine& engine = the_engine();
  if (size < 4 || size > 8192) return 0;
  const std::size_t step = 1 + data[0] % 64U;
  const std::size_t jump = data[1];
  std::string text;
  for (std::size_t i = 2; i < size; ++i) {
    if (data[i] == 1)
      text += engine.token;
    else if (data[i] == 2)
      text += engine.secret;
    else if (data[i] == 3)
      text += engine.password;
    else if (data[i] == 4)
      text += engine.json;
    else if (data[i] == 5)
      text += engine.percent;
    else if (data[i] == 6)
      text += base64_encode(engine.json);
    else if (data[i] == 7)
      text += engine.pairs;
    else if (data[i] == 8)
      text += hex_encode(base64_encode(engine.secret));
    else if (data[i] == 14)
      text += engine.secret.substr(0, 12);
    else
      text += static_cast<char>(data[i]);
  }
  const auto whole = scan(*engine.rules, *engine.secrets, {}, text);

  Stream stream(engine.rules, engine.secrets, {});
  Scrubber scrubber(engine.secrets);
  std::string released;
  std::string scrubbed;
  std::optional<Finding> found;
  for (std::size_t at = 0, count = step; at < text.size(); at += count, count = 1 + (count + jump) % (step * 4)) {
    const std::string_view part = std::string_view(text).substr(at, count);
    if (auto finding = stream.write(part, released)) found = finding;
    scrubber.write(part, scrubbed);
  }
  if (auto finding = stream.finish(released)) found = finding;
  scrubber.finish(scrubbed);

  // A stream reads the fields of a message as well; it finds the same however it is cut.
  Stream at_once(engine.rules, engine.secrets, {});
  std::string ignored;
  bool expected = at_once.write(text, ignored).has_value();
  expected = at_once.finish(ignored).has_value() || expected;
  must(found.has_value() == expected);
  must(expected || !whole);
  must(stream.work() <= 16 * text.size() + 1'000'000);
  must(text.starts_with(released));
  if (found)
    must(released.size() <= found->offset);
  else
    must(released == text && scrubbed == text);
  must(redact(*engine.rules, *engine.secrets, text).find(engine.secret) == std::string::npos);
  if (found)
    must(found->snippet.find(engine.secret) == std::string::npos &&
         found->snippet.find(engine.token) == std::string::npos);
  return 0;
}
