#include "core/plan/canaries.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "core/base/random.hpp"

namespace bot_bottle::plan {
namespace {

constexpr std::string_view base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::string_view base64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";  // RFC 4648

/// Without modulo bias.
std::string random_text(std::string_view alphabet, std::size_t count) {
  std::string text;
  const std::size_t fair = 256 - 256 % alphabet.size();
  while (text.size() < count) {
    std::array<unsigned char, 64> octets{};
    random_bytes(octets);
    for (const unsigned char octet : octets)
      if (octet < fair && text.size() < count) text += alphabet[octet % alphabet.size()];
  }
  return text;
}

/// A key id says its account: bits 1 to 40 of what its last sixteen characters are in base 32, with the first bit set
/// in all that were made since 2019. Checkers decode it, so it is a number of twelve digits here too.
std::string aws_key_id() {
  constexpr std::uint64_t first = 100'000'000'000;
  constexpr std::uint64_t count = 900'000'000'000;
  std::array<unsigned char, 10> octets{};
  random_bytes(octets);
  std::uint64_t account = 0;
  for (std::size_t i = 0; i < 8; ++i) account = (account << 8U) | octets[i];
  account = first + account % count;
  // 48 bits: one, forty of the account, seven at random.
  const std::uint64_t head = (std::uint64_t{1} << 47U) | (account << 7U) | (octets[8] & 0x7fU);
  random_bytes(octets);
  for (unsigned i = 0; i < 6; ++i) octets[i] = static_cast<unsigned char>(head >> (8 * (5 - i)));
  std::string id = "AKIA";
  for (unsigned bit = 0; bit < 80; bit += 5) {
    unsigned digit = 0;
    for (unsigned i = bit; i < bit + 5; ++i) digit = digit * 2 + ((octets[i / 8] >> (7 - i % 8)) & 1U);
    id += base32[digit];
  }
  return id;
}

std::string checked_token(std::string_view prefix) {
  const std::string entropy = random_text(base62, 30);
  return std::string(prefix) + entropy + base62_checksum(entropy);
}

enum class File : std::uint8_t { aws, netrc, npmrc, dotenv };

std::vector<File> files_of(const Plan& plan) {
  if (!plan.egress.canaries) return {};
  std::vector<File> files{File::aws, File::netrc, File::npmrc};
  const bool copied = plan.choices.workspace != WorkspaceChoice::none &&
                      plan.manifest.workspace.mode == manifest::Workspace::Mode::copy;
  if (copied) files.push_back(File::dotenv);
  return files;
}

constexpr std::string_view path_of(File file) {
  switch (file) {
    case File::aws:
      return ".aws/credentials";
    case File::netrc:
      return ".netrc";
    case File::npmrc:
      return ".npmrc";
    case File::dotenv:
      return ".env";
  }
  return "";
}

}  // namespace

std::string base62_checksum(std::string_view text) {
  std::uint32_t crc = 0xffffffffU;  // CRC-32 of zlib and Ethernet, bit by bit
  for (const char c : text) {
    crc ^= static_cast<unsigned char>(c);
    for (int i = 0; i < 8; ++i) crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0xedb88320U : 0U);
  }
  crc = ~crc;
  std::string digits(6, base62[0]);
  for (std::size_t i = 6; i > 0; --i, crc /= 62) digits[i - 1] = base62[crc % 62];
  return digits;
}

/// Nothing picks these up on its own: the profile is not the default one, the hosts are internal names that no route
/// allows, the variable is one that no program reads. A program that used a canary by itself would raise an alarm that
/// means nothing. For the same reason there is no ~/.config/gh/hosts.yml: `gh` sends what stands there.
CanarySet make_canaries(const Plan& plan) {
  CanarySet set;
  const auto fresh = [&set](std::string_view name, std::string value) {
    set.canaries.push_back({std::string(name), std::move(value)});
    return std::string_view(set.canaries.back().value);
  };
  set.canaries.reserve(8);  // the views above stay good
  for (const File file : files_of(plan)) {
    CanaryFile planted;
    planted.path = path_of(file);
    switch (file) {
      case File::aws: {
        const std::string_view id = fresh("aws-access-key-id", aws_key_id());
        const std::string_view key = fresh("aws-secret-access-key", random_text(base64, 40));
        planted.content = fmt::format(
            "[prod-deploy]\naws_access_key_id = {}\naws_secret_access_key = {}\nregion = eu-central-1\n", id, key);
        break;
      }
      case File::netrc:
        planted.content = fmt::format("machine gitlab.corp.internal\n  login deploy\n  password {}\n",
                                      fresh("netrc-password", "glpat-" + random_text(base62, 20)));
        break;
      case File::npmrc:
        planted.content =
            fmt::format("//npm.corp.internal/:_authToken={}\n", fresh("npm-token", checked_token("npm_")));
        break;
      case File::dotenv:
        planted.place = CanaryFile::Place::workspace;
        planted.content = fmt::format("# production, do not commit\nPROD_DEPLOY_GITHUB_PAT={}\n",
                                      fresh("dotenv-github-token", checked_token("ghp_")));
        break;
    }
    set.files.push_back(std::move(planted));
  }
  return set;
}

std::vector<std::string> canary_places(const Plan& plan) {
  std::vector<std::string> places;
  for (const File file : files_of(plan))
    places.push_back(file == File::dotenv ? plan.guest.workspace + "/.env" : "~/" + std::string(path_of(file)));
  return places;
}

}  // namespace bot_bottle::plan
