// JSON lines on `control/control.sock`, for the operator's side only.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
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
  /// The text that `GET /metrics` over HTTP gets; nothing: 404.
  using Metrics = std::function<std::optional<std::string>()>;
  ControlServer(net::Loop& loop, std::vector<uid_t> allowed_uids, Handle handle, Metrics metrics);
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
  [[nodiscard]] std::string answer_http(std::string_view request_line) const;
  Handle handle_;
  Metrics metrics_;
  net::Listener listener_;
  std::unordered_map<Peer*, std::unique_ptr<Peer>> peers_;
};

}  // namespace bot_bottle::sidecar
