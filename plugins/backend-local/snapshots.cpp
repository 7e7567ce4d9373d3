#include "plugins/backend-local/snapshots.hpp"

#include <algorithm>

namespace bot_bottle::backend_local {
namespace {

constexpr std::size_t max_part = 63;

bool is_part(std::string_view text) {
  return !text.empty() && text.size() <= max_part && text.front() != '-' &&
         std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

}  // namespace

Result<SnapshotPlace> find_snapshot_place(const std::string& state_root, const std::string& ref) {
  const std::size_t dot = ref.find('.');
  const std::string slug = ref.substr(0, dot);
  const std::string id = dot == std::string::npos ? std::string() : ref.substr(dot + 1);
  if (!is_part(slug) || !is_part(id)) return fail(ErrorKind::invalid_argument, "'" + ref + "' names no snapshot");
  SnapshotPlace place;
  place.slug = slug;
  place.parent = state_root + "/" + slug + "/frozen";
  place.path = place.parent + "/" + id;
  place.partial = place.parent + "/." + id;
  return place;
}

}  // namespace bot_bottle::backend_local
