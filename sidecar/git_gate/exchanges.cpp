#include "sidecar/git_gate/exchanges.hpp"

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "sidecar/git_gate/gate.hpp"

namespace bot_bottle::git_gate {
namespace {

/// "/app.git/info/refs?service=x" in parts. A name has no character that could be escaped, so nothing is decoded.
struct Target {
  std::string name;
  std::string rest;
  std::string query;
};

Target split_target(std::string_view target) {
  Target out;
  const std::size_t mark = target.find('?');
  if (mark != std::string_view::npos) out.query = std::string(target.substr(mark + 1));
  target = target.substr(0, mark);
  if (target.starts_with('/')) target.remove_prefix(1);
  const std::size_t slash = target.find('/');
  std::string_view name = target.substr(0, slash);
  if (slash != std::string_view::npos) out.rest = std::string(target.substr(slash + 1));
  if (name.ends_with(".git")) name.remove_suffix(4);
  out.name = std::string(name);
  return out;
}

/// The agent's word for the protocol, if it is one that we know (attack G1: nothing else of the agent's is in an
/// environment of ours).
std::string protocol_of(const http1::RequestHead& head) {
  const auto value = head.fields.find("git-protocol");
  if (value && (*value == "version=2" || *value == "version=1")) return std::string(*value);
  return {};
}

constexpr std::string_view lfs_answer =
    "git-gate does not carry Git LFS objects in this version: only their pointers pass. Push with "
    "GIT_LFS_SKIP_PUSH=1, clone with GIT_LFS_SKIP_SMUDGE=1\n";

}  // namespace

std::unique_ptr<Exchange> make_exchange(Gate& gate, Client& client, const http1::RequestHead& head) {
  const Target target = split_target(head.target);
  const auto refuse = [&](int status, std::string_view text) {
    client.refuse(status, text);
    return std::unique_ptr<Exchange>();
  };
  if (gate.house().egress.frozen())
    return refuse(403, "git-gate: all traffic of this bottle is stopped; its operator knows why\n");
  Repository* repository = gate.find(target.name);
  if (repository == nullptr)
    return refuse(404, "git-gate has no such repository: the bottle's git-gate.repos names what there is\n");
  // Attack E1: LFS storage is a second way for content to leave.
  if (target.rest.starts_with("info/lfs")) return refuse(501, lfs_answer);
  const bool get = head.method == "GET";
  const bool post = head.method == "POST";
  if (get && target.rest == "info/refs") {
    if (target.query == "service=git-upload-pack")
      return make_refs_exchange(gate, client, *repository, Service::upload_pack, protocol_of(head));
    if (target.query == "service=git-receive-pack")
      return make_refs_exchange(gate, client, *repository, Service::receive_pack, {});
    return refuse(403, "git-gate speaks the smart protocol alone: use git 1.6.6 or newer\n");
  }
  const auto type = head.fields.find("content-type");
  if (post && target.rest == "git-upload-pack") {
    if (type != "application/x-git-upload-pack-request") return refuse(415, "this is not a request of git's\n");
    return make_fetch_exchange(gate, client, *repository, protocol_of(head));
  }
  if (post && target.rest == "git-receive-pack") {
    if (type != "application/x-git-receive-pack-request") return refuse(415, "this is not a request of git's\n");
    return make_receive_exchange(gate, client, *repository);
  }
  return refuse(get || post ? 404 : 405, "git-gate serves git and nothing else\n");
}

}  // namespace bot_bottle::git_gate
