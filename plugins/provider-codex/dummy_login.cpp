#include "dummy_login.hpp"

#include <array>
#include <ctime>

namespace bot_bottle::provider_codex {
namespace {

namespace json = sdk::json;
constexpr const char* format = "%Y-%m-%dT%H:%M:%SZ";

std::string to_base64url(std::string_view text) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  for (std::size_t i = 0; i < text.size(); i += 3) {
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 3; ++k)
      bits = bits << 8U | (i + k < text.size() ? static_cast<unsigned char>(text[i + k]) : 0U);
    const std::size_t count = text.size() - i >= 3 ? 4 : text.size() - i + 1;
    for (std::size_t k = 0; k < count; ++k) out += digits[bits >> (18 - 6 * k) & 63U];
  }
  return out;
}

}  // namespace

std::string make_dummy_token(std::int64_t expires_at) {
  return to_base64url(R"({"alg":"none","typ":"JWT"})") + "." +
         to_base64url(json::serialize(json::object{{"exp", expires_at}})) + "." + to_base64url("unsigned");
}

std::string make_dummy_login(std::int64_t expires_at) {
  const std::string token = make_dummy_token(expires_at);
  return json::serialize(
      json::object{{"auth_mode", "chatgpt"},
                   {"OPENAI_API_KEY", nullptr},
                   {"tokens", {{"id_token", token}, {"access_token", token}, {"refresh_token", placeholder}}},
                   {"last_refresh", to_rfc3339(expires_at)}});
}

std::string make_dummy_key_login() {
  return json::serialize(json::object{{"auth_mode", "apikey"}, {"OPENAI_API_KEY", placeholder}});
}

std::string to_rfc3339(std::int64_t seconds) {
  const std::time_t time = seconds;
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  std::array<char, 64> text{};
  return {text.data(), std::strftime(text.data(), text.size(), format, &parts)};
}

std::int64_t from_rfc3339(const std::string& text) {
  std::tm parts{};
  const char* end = ::strptime(text.c_str(), format, &parts);
  return end == nullptr || *end != '\0' ? -1 : static_cast<std::int64_t>(::timegm(&parts));
}

}  // namespace bot_bottle::provider_codex
