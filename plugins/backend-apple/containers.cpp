#include "plugins/backend-apple/containers.hpp"

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "bot_bottle/plugin.hpp"
#include "core/base/clock.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::backend_apple {
namespace {

constexpr std::string_view plain_characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._/";
constexpr std::string_view hex_digits = "0123456789ABCDEF";
constexpr std::int64_t epoch_2001 = 978'307'200;  // Foundation's reference date, as seconds of Unix time
constexpr std::size_t max_slug_in_name = 40;

const json::object& empty() {
  static const json::object none;
  return none;
}

const json::object& child(const json::object& object, const char* name) {
  const json::object* found = find_object(object, name);
  return found == nullptr ? empty() : *found;
}

/// RFC 3339 text since 1.0.0, a number of seconds since 2001 before.
std::string read_started(const json::object& container) {
  for (const json::object* place : {&container, &child(container, "status")}) {
    const json::value* value = place->if_contains("startedDate");
    if (value == nullptr) continue;
    if (value->is_string()) return std::string(value->as_string());
    if (value->is_number())
      return format_time((epoch_2001 + static_cast<std::int64_t>(value->to_number<double>())) * 1000);
  }
  return {};
}

/// The list, or nothing.
const json::array* find_list(const json::value& value) {
  return value.is_array() ? &value.as_array() : nullptr;
}

}  // namespace

std::optional<Version> parse_version(std::string_view line) {
  constexpr std::string_view before = "container CLI version ";
  const std::size_t at = line.find(before);
  if (at == std::string_view::npos) return std::nullopt;
  Version version;
  const std::string digits(line.substr(at + before.size(), 32));
  if (std::sscanf(digits.c_str(), "%d.%d.%d", &version.major, &version.minor, &version.patch) < 2) return std::nullopt;
  return version;
}

std::string to_string(const Version& version) {
  return std::to_string(version.major) + "." + std::to_string(version.minor) + "." + std::to_string(version.patch);
}

std::string encode_label(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (plain_characters.find(c) != std::string_view::npos) {
      out.push_back(c);
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out.push_back('%');
    out.push_back(hex_digits[byte >> 4U]);
    out.push_back(hex_digits[byte & 15U]);
  }
  return out;
}

std::string decode_label(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::size_t high = i + 2 < text.size() ? hex_digits.find(text[i + 1]) : std::string_view::npos;
    const std::size_t low = i + 2 < text.size() ? hex_digits.find(text[i + 2]) : std::string_view::npos;
    if (text[i] != '%' || high == std::string_view::npos || low == std::string_view::npos) {
      out.push_back(text[i]);
      continue;
    }
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return out;
}

std::vector<Owned> parse_containers(std::string_view text) {
  const auto value = parse_json(text);
  const json::array* list = value ? find_list(*value) : nullptr;
  if (list == nullptr)
    throw sdk::Error(sdk::Status::internal,
                     "container list did not answer with a list: " + std::string(text.substr(0, 200)),
                     "see whether this version of container is one that bot-bottle knows: bot-bottle doctor");
  std::vector<Owned> found;
  for (const json::value& item : *list) {
    if (!item.is_object()) continue;
    const json::object& container = item.as_object();
    const json::object& configuration = child(container, "configuration");
    const json::object& labels = child(configuration, "labels");
    const auto label = [&](const char* name) { return decode_label(get_string(labels, name)); };
    // The promise is ours, so it is looked at here and by nobody else: nothing without the label is ever touched.
    if (get_string(labels, label_managed) != "true") continue;
    Owned owned;
    owned.id = get_string(container, "id", get_string(configuration, "id"));
    const json::value* status = container.if_contains("status");
    owned.state = status != nullptr && status->is_string() ? std::string(status->as_string())
                                                           : get_string(child(container, "status"), "state", "unknown");
    owned.slug = label(label_slug);
    owned.state_dir = label(label_state);
    owned.agent = label(label_agent);
    owned.label = label(label_title);
    owned.endpoints = label(label_endpoints);
    owned.made_as = label(label_made_as);
    owned.started_at = read_started(container);
    const json::array* networks = find_array(configuration, "networks");
    owned.is_without_network = networks != nullptr && networks->empty();
    if (!owned.id.empty()) found.push_back(std::move(owned));
  }
  return found;
}

std::optional<pid_t> find_machine(std::string_view processes, std::string_view id) {
  const auto is_of_name = [](char c) { return c != '/' && plain_characters.find(c) != std::string_view::npos; };
  for (const std::string_view line : split(processes, '\n')) {
    if (line.find("container-runtime-linux") == std::string_view::npos) continue;
    for (std::size_t at = line.find(id); at != std::string_view::npos; at = line.find(id, at + 1)) {
      const std::size_t end = at + id.size();
      if ((at > 0 && is_of_name(line[at - 1])) || (end < line.size() && is_of_name(line[end]))) continue;
      return static_cast<pid_t>(std::strtol(std::string(trim(line).substr(0, 16)).c_str(), nullptr, 10));
    }
  }
  return std::nullopt;
}

ImageOwner parse_image_owner(std::string_view text) {
  const auto value = parse_json(text);
  const json::array* list = value ? find_list(*value) : nullptr;
  if (list == nullptr || list->empty()) return ImageOwner::nobody;
  const json::array* variants = list->front().is_object() ? find_array(list->front().as_object(), "variants") : nullptr;
  if (variants == nullptr) return ImageOwner::foreign;
  // Every variant that says something must be ours; builds add one without a configuration (an attestation).
  bool ours = false;
  for (const json::value& variant : *variants) {
    if (!variant.is_object()) return ImageOwner::foreign;
    const json::object& config = child(child(variant.as_object(), "config"), "config");
    if (config.empty()) continue;
    if (get_string(child(config, "Labels"), label_managed) != "true") return ImageOwner::foreign;
    ours = true;
  }
  return ours ? ImageOwner::ours : ImageOwner::foreign;
}

std::string container_name(const std::string& state_dir) {
  const std::string slug = std::filesystem::path(state_dir).filename().string().substr(0, max_slug_in_name);
  return "bot-bottle-" + slug + "-" + sha256_hex(state_dir).substr(0, 10);
}

}  // namespace bot_bottle::backend_apple
