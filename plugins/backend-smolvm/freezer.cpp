// freeze, exists, remove, export: an archive of the machine's root, made inside by its own tar and never unpacked on
// this side; as an image it is what another machine starts from. There is no pause in smolvm: what the agent writes
// meanwhile may be in it by half.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "core/base/file.hpp"
#include "core/base/safe_path.hpp"
#include "core/base/unique_fd.hpp"
#include "plugins/backend-driven/machine_record.hpp"
#include "plugins/backend-local/snapshots.hpp"
#include "plugins/backend-smolvm/frozen_stream.hpp"
#include "plugins/backend-smolvm/image.hpp"
#include "plugins/backend-smolvm/smolvm_backend.hpp"
#include "plugins/backend-smolvm/sparse_file.hpp"

namespace bot_bottle::backend_smolvm {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
constexpr auto archive_call = 30min;
constexpr std::uint64_t most = std::uint64_t{64} << 30;
/// Temporary directories, the kernel's file systems, and what each launch puts in anew: the certification authority of
/// this bottle is not the next one's.
constexpr const char* left_out[] = {
    "./proc", "./sys", "./dev", "./run", "./tmp", "./var/tmp", "./opt/bot-bottle", "./etc/bot-bottle", "./.old_root"};
constexpr int changed_meanwhile = 1;  // GNU tar's code for files that changed while they were read

backend_local::SnapshotPlace place_of(const std::string& state_root, const std::string& ref) {
  return or_throw(backend_local::find_snapshot_place(state_root, ref));
}

}  // namespace

std::string snapshot_image(const std::string& state_root, const std::string& ref) {
  return place_of(state_root, ref).path + "/image.tar";
}

sdk::Snapshot SmolvmFreezer::freeze(const sdk::Call& call, const sdk::Bottle& bottle) {
  const std::string ref = get_string(bottle.extra, "snapshot");
  const backend_local::SnapshotPlace place = place_of(host().path(call, "state"), ref);
  std::error_code code;
  if (fs::exists(place.path, code)) throw sdk::Error(sdk::Status::already_exists, "there is a snapshot " + ref);
  Machines with(find_smolvm(), call.cancel_fd());
  or_throw(remove_tree(place.partial));
  or_throw(make_directories(place.partial, 0700));
  try {
    const std::string layer = place.partial + "/layer.tar";
    {
      SparseFile file(layer, disk_reserve, most);
      or_throw(file.open());
      // No two names of one file: a fork gives the home's files to the agent, and must not give it root's by a link
      // there.
      std::vector<std::string> argv{"tar", "-C", "/", "--one-file-system", "--numeric-owner", "--hard-dereference",
                                    // A size is in its header, always: ArchiveWalk reads no other.
                                    "--format=gnu", "-c", "-f", "-"};
      for (const char* path : left_out) argv.push_back(std::string("--exclude=") + path);
      argv.emplace_back(".");
      driven::ToolRun run;
      run.deadline = archive_call;
      ArchiveWalk walk;
      Complaints complaints;
      run.output = [&](std::string_view bytes) {
        or_throw(file.write(bytes));
        walk.take(bytes);
      };
      run.error = [&](std::string_view bytes) { complaints.take(bytes); };
      call.progress("archiving the machine's root");
      driven::ToolResult result = with.exec_as_root(driven::machine_name(bottle.state_dir), argv, std::move(run));
      result.err = complaints.text();
      const bool is_taken = result.code == 0 || (result.code == changed_meanwhile && !complaints.has_failure());
      if (!is_taken || !walk.is_whole())
        throw sdk::Error(sdk::Status::failed_precondition,
                         "the machine's root could not be archived: " +
                             (is_taken ? std::string("the archive is cut short") : driven::complaint_of(result)),
                         "an image needs tar for this");
      or_throw(file.finish(SparseFile::Durable::no));  // write_layer_archive copies it
    }
    or_throw(write_layer_archive(layer, place.partial + "/image.tar", disk_reserve));
    ::unlink(layer.c_str());
    if (::rename(place.partial.c_str(), place.path.c_str()) != 0)
      throw Failure(error_from_errno("cannot keep the snapshot " + ref, errno));
  } catch (...) {
    static_cast<void>(remove_tree(place.partial));
    throw;
  }
  sdk::Snapshot snapshot;
  snapshot.kind = snapshot_kind;
  snapshot.ref = ref;
  snapshot.size = fs::file_size(place.path + "/image.tar", code);
  return snapshot;
}

bool SmolvmFreezer::exists(const sdk::Call& call, const std::string& ref) {
  std::error_code code;
  return fs::is_regular_file(snapshot_image(host().path(call, "state"), ref), code);
}

void SmolvmFreezer::remove(const sdk::Call& call, const std::string& ref) {
  const backend_local::SnapshotPlace place = place_of(host().path(call, "state"), ref);
  or_throw(remove_tree(place.path));
  or_throw(remove_tree(place.partial));
}

void SmolvmFreezer::export_to(const sdk::Call& call, const std::string& ref, const std::string& path) {
  const UniqueFd from(
      ::open(snapshot_image(host().path(call, "state"), ref).c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!from) throw sdk::Error(sdk::Status::not_found, "no snapshot " + ref);
  const UniqueFd to(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!to) throw Failure(error_from_errno("cannot make " + path, errno));
  std::string part(std::size_t{1} << 20, '\0');
  for (ssize_t got = 0; (got = ::read(from.get(), part.data(), part.size())) != 0;) {
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Failure(error_from_errno("cannot read the snapshot", errno));
    call.check_cancelled();
    or_throw(write_all(to.get(), std::string_view(part).substr(0, static_cast<std::size_t>(got))));
  }
}

}  // namespace bot_bottle::backend_smolvm
