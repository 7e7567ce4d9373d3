// Bytes in any pieces: every cut gives the verdict of the whole; what is released is the beginning of what was written
// and holds nothing of what was found; clean text comes out whole; a scrubbed or redacted text holds no known secret.
// The first octets choose the cuts. "\x01" stands for a token, "\x02" for the secret, "\x03" for a password that is
// only known for one by what follows it (or by the end), so that a fuzzer can make finds.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

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
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Engine engine;
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

  must(found.has_value() == whole.has_value());
  must(text.starts_with(released));
  if (found)
    must(released.size() <= found->offset);
  else
    must(released == text && scrubbed == text);
  const Detectors known{.token_patterns = false, .known_secrets = true};
  must(scrubbed.find(engine.secret) == std::string::npos);
  must(!scan(*engine.rules, *engine.secrets, known, redact(*engine.rules, *engine.secrets, text)) ||
       text.find('%') != std::string::npos);
  if (found)
    must(found->snippet.find(engine.secret) == std::string::npos &&
         found->snippet.find(engine.token) == std::string::npos);
  return 0;
}
