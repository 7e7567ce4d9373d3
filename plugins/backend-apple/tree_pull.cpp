#include "plugins/backend-apple/tree_pull.hpp"

#include "core/base/file.hpp"
#include "sidecar/guest/tar.hpp"

namespace bot_bottle::backend_apple {
namespace {

constexpr std::uint64_t most = std::uint64_t{16} << 30;
/// bottle-init's name for what it packs (sidecar/guest/tree.cpp).
constexpr std::string_view packed_name = "copy";

class Rewriter final : public guest::TarReader::Sink {
 public:
  Rewriter(const PulledTree& tree, int fd) : tree_(tree), fd_(fd) {}

  bool begin(const guest::TarEntry& entry) override {
    left_ = 0;
    // Names with ".." and absolute ones are refused by whoever unpacks; here none may leave the beginning that we give.
    std::string_view name = entry.path;
    if (name != packed_name && !name.starts_with(std::string(packed_name) + "/")) return false;
    name.remove_prefix(packed_name.size());
    if (name.find("/../") != std::string_view::npos || name.ends_with("/..")) return false;
    if (entry.kind == guest::TarEntry::Kind::other) return true;
    std::string path = tree_.as + std::string(name);
    while (path.starts_with('/')) path.erase(0, 1);
    if (path.empty()) return true;
    guest::TarEntry made = entry;
    made.path = std::move(path);
    made.mode = entry.mode & 0777;  // set-id bits never travel
    made.uid = tree_.uid;
    made.gid = tree_.gid;
    if (made.kind != guest::TarEntry::Kind::file) made.size = 0;
    taken_ = true;
    left_ = made.size;
    padding_ = guest::tar_padding(made.size);
    return put(guest::make_tar_header(made));
  }
  bool data(std::string_view bytes) override {
    if (!taken_) return true;
    if (bytes.size() > left_) return false;
    left_ -= bytes.size();
    return put(bytes);
  }
  bool end() override {
    if (!taken_) return true;
    taken_ = false;
    return left_ == 0 && put(std::string(padding_, '\0'));
  }
  [[nodiscard]] std::uint64_t written() const { return written_; }
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  bool put(std::string_view bytes) {
    written_ += bytes.size();
    if (written_ > most) problem_ = tree_.directory + " of the bottle is larger than 16 GiB";
    if (!problem_.empty()) return false;
    if (auto done = write_all(fd_, bytes); !done) problem_ = done.error().message;
    return problem_.empty();
  }

  const PulledTree& tree_;
  int fd_;
  bool taken_ = false;
  std::uint64_t left_ = 0;
  std::size_t padding_ = 0;
  std::uint64_t written_ = 0;
  std::string problem_;
};

}  // namespace

std::uint64_t pull_tree(const sdk::Call& call, driven::GuestChannel& channel, const PulledTree& tree, int fd) {
  Rewriter rewriter(tree, fd);
  guest::TarReader reader(rewriter);
  driven::GuestRun run;
  run.argv = {driven::guest_init, "--pack", tree.directory};
  run.cwd = "/";
  run.cancel_fd = call.cancel_fd();
  run.output = [&](std::string_view bytes) {
    if (reader.feed(bytes)) return;
    const std::string& why = rewriter.problem().empty() ? reader.problem() : rewriter.problem();
    throw sdk::Error(sdk::Status::failed_precondition, "what came out of the bottle as " + tree.directory +
                                                           " cannot be taken" + (why.empty() ? "" : ": " + why));
  };
  const driven::GuestResult done = run_in_guest(channel, run);
  if (done.code != 0 || !reader.is_complete())
    throw sdk::Error(sdk::Status::failed_precondition,
                     "cannot keep " + tree.directory + " of the bottle" +
                         (done.err.empty() ? std::string(": it is cut short") : ": " + done.err.substr(0, 500)));
  return rewriter.written();
}

}  // namespace bot_bottle::backend_apple
