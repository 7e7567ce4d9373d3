#include "credentials.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>

namespace bot_bottle::provider_config {
namespace {

namespace json = sdk::json;

bool is_alnum(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0;
}

/// Of tokens; '/' and '.' separate, so that a path is judged name by name.
bool is_token_character(char c) {
  return is_alnum(c) || c == '_' || c == '-' || c == '+' || c == '=';
}

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

struct Shape {
  std::string_view prefix;
  std::size_t more;  // token characters that must follow
};
/// The prefixes that their makers document; the sidecar's own rules (core/policy/rules) know more of each.
constexpr std::array<Shape, 34> shapes{
    {{"sk-ant-", 8},      {"sk-proj-", 8}, {"sk-", 16},     {"sk_live_", 8}, {"rk_live_", 8}, {"sk_test_", 8},
     {"whsec_", 8},       {"ghp_", 16},    {"gho_", 16},    {"ghu_", 16},    {"ghs_", 16},    {"ghr_", 16},
     {"github_pat_", 16}, {"glpat-", 12},  {"gldt-", 12},   {"xoxb-", 10},   {"xoxp-", 10},   {"xoxa-", 10},
     {"xoxs-", 10},       {"xapp-", 10},   {"AKIA", 16},    {"ASIA", 16},    {"AIza", 30},    {"npm_", 20},
     {"pypi-", 16},       {"hf_", 20},     {"dop_v1_", 16}, {"SG.", 16},     {"shpat_", 16},  {"ya29.", 10},
     {"lin_api_", 16},    {"ntn_", 16},    {"figd_", 16},   {"eyJ", 20}}};

bool begins_shape(std::string_view text) {
  return std::ranges::any_of(shapes, [text](const Shape& shape) {
    if (!text.starts_with(shape.prefix)) return false;
    const auto rest = text.substr(shape.prefix.size());
    const auto end = std::ranges::find_if(rest, [](char c) { return !is_token_character(c) && c != '.'; });
    return static_cast<std::size_t>(end - rest.begin()) >= shape.more;
  });
}

bool holds_shape(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i)
    if ((i == 0 || !is_alnum(text[i - 1])) && begins_shape(text.substr(i))) return true;
  return text.find("-----BEGIN ") != std::string_view::npos && text.find("PRIVATE KEY") != std::string_view::npos;
}

double bits_per_character(std::string_view text) {
  std::array<double, 256> counts{};
  for (const char c : text) counts[static_cast<unsigned char>(c)] += 1;
  double bits = 0;
  for (const double count : counts)
    if (count > 0)
      bits -= count / static_cast<double>(text.size()) * std::log2(count / static_cast<double>(text.size()));
  return bits;
}

struct Letters {
  std::size_t digits = 0;
  std::size_t upper = 0;
  std::size_t lower = 0;
};
Letters count(std::string_view text) {
  Letters letters;
  for (const char c : text) {
    letters.digits += c >= '0' && c <= '9' ? 1 : 0;
    letters.upper += c >= 'A' && c <= 'Z' ? 1 : 0;
    letters.lower += c >= 'a' && c <= 'z' ? 1 : 0;
  }
  return letters;
}

/// The longest piece of one kind of character that is random enough. Names of tools ("mcp__server2__create_issue") and
/// of models ("opus-4-20250514") are not: no piece of theirs is long, mixed and without '_' or '-'.
template <typename Accept, typename Judge>
bool has_run(std::string_view text, const Accept& accept, const Judge& judge) {
  while (!text.empty()) {
    const auto end = std::ranges::find_if_not(text, accept);
    const auto length = static_cast<std::size_t>(end - text.begin());
    if (length > 0 && judge(text.substr(0, length))) return true;
    text.remove_prefix(std::min(length + 1, text.size()));
  }
  return false;
}

bool holds_random_run(std::string_view text) {
  return has_run(text, is_alnum,
                 [](std::string_view run) {
                   const Letters letters = count(run);
                   return run.size() >= 16 && letters.digits >= 2 && letters.upper + letters.lower >= 2 &&
                          bits_per_character(run) >= 3.0;
                 }) ||
         has_run(text, is_token_character, [](std::string_view run) {
           const Letters letters = count(run);
           return run.size() >= 24 && letters.digits >= 3 && letters.upper >= 2 && letters.lower >= 2 &&
                  bits_per_character(run) >= 3.5;
         });
}

/// In hexadecimal, 8-4-4-4-12: services put it into a URL as the only secret.
bool holds_uuid(std::string_view text) {
  constexpr std::size_t length = 36;
  for (std::size_t at = 0; at + length <= text.size(); ++at) {
    bool is_one = at == 0 || !is_alnum(text[at - 1]);
    for (std::size_t i = 0; i < length && is_one; ++i) {
      const bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
      is_one = is_dash ? text[at + i] == '-' : std::isxdigit(static_cast<unsigned char>(text[at + i])) != 0;
    }
    if (is_one) return true;
  }
  return false;
}

/// Base64 as in AWS's secret keys; without a credential's name before it, it could be a path.
bool holds_random_base64(std::string_view text) {
  return has_run(
      text, [](char c) { return is_token_character(c) || c == '/'; },
      [](std::string_view run) {
        const Letters letters = count(run);
        return run.size() >= 20 && letters.digits >= 1 && letters.upper >= 2 && letters.lower >= 2 &&
               bits_per_character(run) >= 3.5;
      });
}

/// "https://user:password@host", "https://host/x?token=…".
bool is_url_with_credential(std::string_view text) {
  for (std::size_t at = text.find("://"); at != std::string_view::npos; at = text.find("://", at + 3)) {
    const std::string_view rest = text.substr(at + 3);
    const std::string_view authority = rest.substr(0, rest.find_first_of("/?# \"'"));
    if (authority.find('@') != std::string_view::npos) return true;
    std::string_view url = rest.substr(0, rest.find_first_of(" \"'"));
    const std::size_t question = url.find_first_of("?#");
    if (question == std::string_view::npos) continue;
    url.remove_prefix(question + 1);
    while (!url.empty()) {
      const std::string_view pair = url.substr(0, url.find('&'));
      const std::size_t equals = pair.find('=');
      if (equals != std::string_view::npos && equals + 1 < pair.size() && is_credential_name(pair.substr(0, equals)))
        return true;
      url.remove_prefix(std::min(pair.size() + 1, url.size()));
    }
  }
  return false;
}

/// A number of tokens is no token.
bool is_harmless(std::string_view value) {
  return value.size() <= 8 && std::ranges::all_of(value, [](char c) { return c >= '0' && c <= '9'; });
}

/// A password may be a number.
bool is_password_name(std::string_view name) {
  const std::string large = upper(name);
  return large.find("PASS") != std::string::npos || large.find("SECRET") != std::string::npos || large.ends_with("PWD");
}

/// A variable, a call, a pattern, a placeholder: what it stands for is elsewhere.
bool is_reference(std::string_view value) {
  return value.size() < 4 || is_harmless(value) || value == "true" || value == "false" || value == "null" ||
         value == "None" || std::string_view("$<{(%[*").find(value.front()) != std::string_view::npos;
}

enum class Text : unsigned char { written_by_people, of_a_program };

/// A credential's name and a value behind '=' or ':', wherever in `text`: NAME=value, name = "value", {"name" :
/// "value"}.
bool holds_assignment(std::string_view text, Text kind) {
  for (std::size_t sign = text.find_first_of("=:"); sign != std::string_view::npos;
       sign = text.find_first_of("=:", sign + 1)) {
    std::size_t end = sign;
    while (end > 0 && std::string_view(" \t\"'\\").find(text[end - 1]) != std::string_view::npos) --end;
    std::size_t begin = end;
    while (begin > 0 && text[begin - 1] != '=' && is_token_character(text[begin - 1])) --begin;
    const std::string_view name = text.substr(begin, end - begin);
    if (!is_credential_name(name)) continue;
    const std::string_view rest = text.substr(sign + 1, text.substr(sign + 1).find('\n'));
    std::string_view value = rest;
    value.remove_prefix(std::min(value.find_first_not_of(" \t=:\"'\\"), value.size()));
    for (const std::string_view scheme : {"BEARER ", "BASIC ", "TOKEN "})
      if (upper(value.substr(0, scheme.size())) == scheme) value.remove_prefix(scheme.size());
    value = value.substr(0, value.find_first_of(" \t\"'`,;&)\\"));
    if (is_reference(value)) continue;
    // Of what people write, "Token: see below" is none; NAME=value in capitals is how a shell is given one.
    const bool is_variable = text[sign] == '=' && end == sign && upper(name) == name && count(name).upper > 0;
    if (kind == Text::of_a_program || is_variable || holds_random_run(rest) || holds_random_base64(value)) return true;
  }
  return false;
}

/// curl's "-u user:password", and ~/.netrc's "password x".
bool holds_login(std::string_view text) {
  for (const std::string_view option : {"-u ", "--user ", "password "})
    for (std::size_t at = text.find(option); at != std::string_view::npos; at = text.find(option, at + 1)) {
      if (at > 0 && is_token_character(text[at - 1])) continue;
      std::string_view word = text.substr(at + option.size());
      word = word.substr(0, word.find_first_of(" \t\n\"')"));
      const std::size_t colon = word.find(':');
      if (option != "password " ? colon != std::string_view::npos && colon + 1 < word.size() && word[colon + 1] != '$'
                                : holds_random_run(word))
        return true;
    }
  return false;
}

bool is_harmless(const json::value& value) {
  if (const json::string* text = value.if_string())
    return is_harmless(std::string_view(*text)) || *text == "true" || *text == "false";
  return value.is_number() || value.is_bool() || value.is_null();
}

std::string joined(const std::string& path, std::string_view key) {
  return path.empty() ? std::string(key) : path + "." + std::string(key);
}

}  // namespace

bool is_whole(const json::object& definition) {
  return definition.contains("command") || definition.contains("url");
}

/// Of files that are nothing but a credential, or whose every line may be one.
bool is_credential_file(std::string_view name) {
  const std::string large = upper(name);
  for (const std::string_view ending : {".EXAMPLE", ".SAMPLE", ".TEMPLATE"})
    if (large.ends_with(ending)) return false;
  static constexpr std::array<std::string_view, 24> names{
      ".NETRC",     "_NETRC",      ".NPMRC",       ".PYPIRC",          ".PGPASS",     ".GIT-CREDENTIALS",
      ".MY.CNF",    "CREDENTIALS", ".CREDENTIALS", "CREDENTIALS.JSON", "TOKEN",       "TOKEN.TXT",
      "TOKEN.JSON", "SECRETS",     "SECRETS.JSON", "SECRETS.YAML",     "SECRETS.YML", "SECRETS.TOML",
      "ID_RSA",     "ID_ED25519",  "ID_ECDSA",     "ID_DSA",           "AUTH.JSON",   ".CREDENTIALS.JSON"};
  if (large == ".ENV" || large.starts_with(".ENV.") || std::ranges::find(names, large) != names.end()) return true;
  return std::ranges::any_of(
      std::array<std::string_view, 7>{".PEM", ".KEY", ".P12", ".PFX", ".JKS", ".KDBX", ".KEYSTORE"},
      [&large](std::string_view ending) { return large.ends_with(ending); });
}

bool is_credential_name(std::string_view name) {
  const std::string large = upper(name);
  if (large == "PAT" || large.ends_with("_PAT") || large.ends_with("-PAT")) return true;
  std::string plain;
  for (const char c : large)
    if (is_alnum(c)) plain += c;
  static constexpr std::array<std::string_view, 17> parts{
      "CONNECTIONSTRING", "CONNSTR", "TOKEN",     "SECRET",     "PASSW",      "PASSPHRASE",
      "CREDENTIAL",       "APIKEY",  "ACCESSKEY", "PRIVATEKEY", "SIGNINGKEY", "ENCRYPTIONKEY",
      "AUTHORIZATION",    "COOKIE",  "BEARER",    "OAUTH",      "SESSIONID"};
  static constexpr std::array<std::string_view, 6> ends{"KEY", "AUTH", "PASS", "PWD", "HEADERS", "DSN"};
  if (plain == "PWD") return false;
  return std::ranges::any_of(parts,
                             [&plain](std::string_view part) { return plain.find(part) != std::string::npos; }) ||
         std::ranges::any_of(ends, [&plain](std::string_view end) { return plain.ends_with(end); });
}

bool is_credential_value(std::string_view value) {
  if (holds_shape(value) || is_url_with_credential(value) || holds_uuid(value) || holds_login(value) ||
      holds_assignment(value, Text::of_a_program))
    return true;
  const std::string large = upper(value.substr(0, 16));
  for (const std::string_view scheme : {"BEARER ", "BASIC ", "TOKEN "})
    if (large.starts_with(scheme) && value.size() >= scheme.size() + 8) return true;
  return holds_random_run(value);
}

bool holds_credential(std::string_view text) {
  if (holds_shape(text) || holds_login(text) || holds_assignment(text, Text::written_by_people)) return true;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (is_url_with_credential(line)) return true;
  }
  return false;
}

void scrub_headers(json::object& headers, const std::string& path, std::vector<std::string>& dropped) {
  static constexpr std::array<std::string_view, 4> plain{"ACCEPT", "CONTENT-TYPE", "USER-AGENT",
                                                         "MCP-PROTOCOL-VERSION"};
  std::vector<std::string> gone;
  for (const auto& header : headers)
    if (std::ranges::find(plain, upper(header.key())) == plain.end()) gone.emplace_back(header.key());
  for (const std::string& name : gone) {
    dropped.push_back(joined(path, is_credential_value(name) ? removed : std::string_view(name)));
    headers.erase(name);
  }
}

void scrub(json::array& list, const std::string& path,
           std::vector<std::string>& dropped) {  // NOLINT(misc-no-recursion)
  bool is_value_of_flag = false;
  std::vector<std::size_t> useless;
  for (std::size_t i = 0; i < list.size(); ++i) {
    json::value& item = list[i];
    const std::string here = path + "[" + std::to_string(i) + "]";
    const bool follows_flag = std::exchange(is_value_of_flag, false);
    if (json::object* object = item.if_object()) {
      const bool had = is_whole(*object);
      scrub(*object, here, dropped);
      if (had && !is_whole(*object)) useless.push_back(i);
    } else if (json::array* inner = item.if_array()) {
      scrub(*inner, here, dropped);
    } else if (const json::string* text = item.if_string()) {
      const std::string_view word(*text);
      const std::size_t equals = word.find('=');
      const bool is_flag = word.starts_with('-');
      // "-e NAME=VALUE" and "--header Name: value" hand on what the name says, too.
      const std::string_view name = word.substr(0, std::min(equals, word.find(':')));
      const bool is_assignment = name.size() < word.size() && name.size() < 64 && is_credential_name(name) &&
                                 !is_harmless(word.substr(name.size() + 1)) &&
                                 word.find("://") == std::string_view::npos;
      if (is_assignment || (follows_flag && !is_harmless(word)) || is_credential_value(word)) {
        dropped.push_back(here);
        item = is_flag && equals != std::string_view::npos
                   ? std::string(word.substr(0, equals + 1)) + std::string(removed)
                   : std::string(removed);
      } else {
        is_value_of_flag = is_flag && equals == std::string_view::npos &&
                           (is_credential_name(word) || word == "--header" || word == "-H");
      }
    }
  }
  // A hook without its command makes the whole file invalid to the program that reads it.
  for (auto at = useless.rbegin(); at != useless.rend(); ++at)
    list.erase(list.begin() + static_cast<std::ptrdiff_t>(*at));
}

void scrub(json::object& object, const std::string& path,
           std::vector<std::string>& dropped) {  // NOLINT(misc-no-recursion)
  std::vector<std::string> gone;
  for (auto& member : object) {
    const std::string_view key(member.key());
    const std::string here = joined(path, key);
    const json::string* text = member.value().if_string();
    const bool is_harmless_here =
        is_harmless(member.value()) && !((text != nullptr || member.value().is_number()) && is_password_name(key));
    // Judged header by header: which one a service takes its key from is its own affair.
    json::object* const headers = key == "headers" || key == "http_headers" ? member.value().if_object() : nullptr;
    if (headers != nullptr) {
      scrub_headers(*headers, here, dropped);
    } else if (is_credential_value(key) || (is_credential_name(key) && !is_harmless_here) ||
               (text != nullptr && is_credential_value(*text))) {
      gone.emplace_back(key);
    } else if (json::object* inner = member.value().if_object()) {
      scrub(*inner, here, dropped);
    } else if (json::array* list = member.value().if_array()) {
      scrub(*list, here, dropped);
    }
  }
  for (const std::string& key : gone) {
    // A key that is a token itself is not repeated in a message.
    dropped.push_back(is_credential_value(key) ? joined(path, removed) : joined(path, key));
    object.erase(key);
  }
}

}  // namespace bot_bottle::provider_config
