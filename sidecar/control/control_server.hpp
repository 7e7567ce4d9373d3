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
  using Reply = std::function<void(Result<json::object>)>;
  /// Calls `reply` once, now or later; one whose peer is gone by then is nobody's.
  using Handle = std::function<void(const std::string& call, const json::object& arguments, Reply reply)>;
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
  void answer(Peer& peer, std::string_view line);
  void reply(std::uint64_t peer, const json::value& id, const Result<json::object>& result);

  net::Loop& loop_;
  std::vector<uid_t> allowed_uids_;
  [[nodiscard]] std::string answer_http(std::string_view request_line) const;
  Handle handle_;
  Metrics metrics_;
  net::Listener listener_;
  std::unordered_map<Peer*, std::unique_ptr<Peer>> peers_;
  std::uint64_t next_peer_ = 1;  // never given twice: an answer that comes late must not reach another peer
};

}  // namespace bot_bottle::sidecar
