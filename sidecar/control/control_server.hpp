// JSON lines on `control/control.sock`, for the operator's side only.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/base/json.hpp"
#include "sidecar/net/stream.hpp"

namespace bot_bottle::sidecar {

/// `{"id": 1, "call": "status", …}` → `{"id": 1, "ok": {…}}` or `{"id": 1, "error": {…}}`; a line is at most 1 MiB.
class ControlServer {
 public:
  using Handle = std::function<Result<json::object>(const std::string& call, const json::object& arguments)>;
  ControlServer(net::Loop& loop, std::vector<uid_t> allowed_uids, Handle handle);
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;
  ~ControlServer();
  Result<void> listen(const std::string& socket_path);

 private:
  class Peer;
  void on_connection(net::Stream stream);
  void remove(Peer* peer);
  [[nodiscard]] std::string answer(std::string_view line) const;

  net::Loop& loop_;
  std::vector<uid_t> allowed_uids_;
  Handle handle_;
  net::Listener listener_;
  std::unordered_map<Peer*, std::unique_ptr<Peer>> peers_;
};

}  // namespace bot_bottle::sidecar
