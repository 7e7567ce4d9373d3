#include "sidecar/git_gate/mirror_size.hpp"

#include <utility>

#include "sidecar/git_gate/upstream.hpp"

namespace bot_bottle::git_gate {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t new_packs = 24;
constexpr std::uint64_t growth_factor = 2;
constexpr std::uint64_t growth_octets = std::uint64_t{64} << 20;
constexpr std::chrono::minutes repack_time{10};

}  // namespace

MirrorSize measure_mirror(const Workshop& workshop) {
  MirrorSize size;
  std::error_code code;
  for (fs::directory_iterator at(workshop.mirror() / "objects" / "pack", code), end; !code && at != end;
       at.increment(code)) {
    std::error_code gone;
    const std::uintmax_t octets = at->file_size(gone);
    if (gone) continue;
    size.octets += octets;
    if (at->path().extension() == ".pack") ++size.packs;
  }
  return size;
}

Repack repack_wanted(const MirrorSize& now, const MirrorSize& settled) {
  if (now.octets > settled.octets * growth_factor + growth_octets) return Repack::whole;
  return now.packs >= settled.packs + new_packs ? Repack::join : Repack::none;
}

Result<void> repack_mirror(const Workshop& workshop, Repack kind, int cancel_fd) {
  if (kind == Repack::none) return {};
  std::vector<std::string> arguments{"repack", "-q", "-d", "--no-write-bitmap-index"};
  if (kind == Repack::join) {
    arguments.emplace_back("--geometric=2");
  } else {
    arguments.emplace_back("-a");
    arguments.emplace_back("--window=0");  // deltas that are there are kept; new ones are not looked for
  }
  ProcessRequest request = workshop.request(std::move(arguments), workshop.local_environment());
  request.timeout = repack_time;
  request.cancel_fd = cancel_fd;
  const auto result = run_process(request);
  if (result && result->code == 0) return {};
  workshop.sweep();
  if (!result) return fail(result.error());
  return fail(ErrorKind::internal, "git repack: " + last_words(result->err));
}

}  // namespace bot_bottle::git_gate
