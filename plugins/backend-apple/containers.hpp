// What `container` says about containers and images, in the JSON of before 1.0.0 and since; and the labels by which
// ours are known.
#pragma once

#include <sys/types.h>

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.hpp"

namespace bot_bottle::backend_apple {

struct Version {
  int major = 0;
  int minor = 0;
  int patch = 0;
  auto operator<=>(const Version&) const = default;
};
/// The first one whose `--network none` and socket mounts work (seen on a Mac by a third party).
inline constexpr Version oldest_version{1, 1, 0};
/// Of "container CLI version 1.2.2 (build: release, commit: …)"; nothing for any other program's line.
std::optional<Version> parse_version(std::string_view line);
std::string to_string(const Version& version);

inline constexpr const char* label_managed = "bot-bottle.managed";
inline constexpr const char* label_slug = "bot-bottle.slug";
inline constexpr const char* label_component = "bot-bottle.component";
inline constexpr const char* label_version = "bot-bottle.version";
inline constexpr const char* label_state = "bot-bottle.state";
inline constexpr const char* label_agent = "bot-bottle.agent";
inline constexpr const char* label_title = "bot-bottle.label";
inline constexpr const char* label_endpoints = "bot-bottle.endpoints";
/// A digest of everything that a container is made with and cannot be changed later.
inline constexpr const char* label_made_as = "bot-bottle.made-as";

/// As a label's value: the tool takes no second "=" and splits on none of the characters that stay as they are
/// (letters, digits, "-._/"); all others are %XX.
std::string encode_label(std::string_view text);
/// Its reverse; what is not of encode_label comes back as it is.
std::string decode_label(std::string_view text);

/// A container of ours, by its label.
struct Owned {
  std::string id;
  std::string state;  // "stopped", "running", "stopping", "unknown"
  std::string slug;
  std::string state_dir;
  std::string agent;
  std::string label;
  std::string endpoints;  // "egress,supervise"
  std::string made_as;
  std::string started_at;           // RFC 3339, or empty
  bool is_without_network = false;  // said so: the list of its networks is there, and empty
  [[nodiscard]] bool is_stopped() const { return state == "stopped"; }
};

/// Of `list --all --format json` or `inspect`: ours only, whatever the others are called. Throws sdk::Error where the
/// text is no such list: without knowing what runs nothing may be decided.
std::vector<Owned> parse_containers(std::string_view text);

/// Of `ps -axww -o pid=,command=`: the process that is a container's machine, whatever the service says of it
/// (container-runtime-linux, one for each). Nothing: it does not run.
std::optional<pid_t> find_machine(std::string_view processes, std::string_view id);

enum class ImageOwner : std::uint8_t { nobody, ours, foreign };
/// Of `image inspect`: whether the image has our label.
ImageOwner parse_image_owner(std::string_view text);

/// "bot-bottle-<slug>-<hash>": at most 63 characters, one for each state directory.
std::string container_name(const std::string& state_dir);

}  // namespace bot_bottle::backend_apple
