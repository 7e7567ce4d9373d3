#include "sidecar/control/control_server.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace bot_bottle::sidecar {
namespace {
constexpr std::size_t max_line = std::size_t{1} << 20;
constexpr std::size_t max_http_head = 8192;
constexpr std::size_t max_peers = 32;
constexpr std::size_t max_unsent = std::size_t{8} << 20;
}  // namespace

class ControlServer::Peer final : public net::Retirable, public net::StreamHandler {
 public:
  Peer(ControlServer& server, net::Stream stream, std::uint64_t number)
      : server_(server), stream_(std::move(stream)), number_(number) {
    stream_.set_handler(this);
    stream_.start_reading();
  }
  void on_bytes(std::string_view bytes) override {
    input_.append(bytes);
    if (input_.starts_with("GET ")) {
      read_http();
      return;
    }
    std::size_t begin = 0;
    for (std::size_t end = input_.find('\n'); end != std::string::npos; end = input_.find('\n', begin)) {
      server_.answer(*this, std::string_view(input_).substr(begin, end - begin));
      begin = end + 1;
      if (removed_) return;
    }
    input_.erase(0, begin);
    if (input_.size() > max_line) server_.remove(this);
  }
  void on_end() override {
    ended_ = true;
    if (stream_.unsent() == 0) server_.remove(this);
  }
  void on_failure(int /*code*/) override { server_.remove(this); }
  void send(std::string line) {
    if (removed_) return;
    if (stream_.write(line) != 0 || stream_.unsent() > max_unsent) server_.remove(this);
  }
  [[nodiscard]] std::uint64_t number() const { return number_; }
  void set_removed() { removed_ = true; }
  void on_drained() override {
    if (ended_) server_.remove(this);
  }

 private:
  /// A scraper: one request, one answer, the end.
  void read_http() {
    if (ended_) return;
    const std::size_t end = input_.find("\r\n\r\n");
    if (end == std::string::npos) {
      if (input_.size() > max_http_head) server_.remove(this);
      return;
    }
    ended_ = true;
    std::string reply = server_.answer_http(std::string_view(input_).substr(0, input_.find("\r\n")));
    if (stream_.write(reply) != 0 || stream_.unsent() == 0) server_.remove(this);
  }

  ControlServer& server_;
  net::Stream stream_;
  std::uint64_t number_;
  bool removed_ = false;
  std::string input_;
  bool ended_ = false;
};

ControlServer::ControlServer(net::Loop& loop, std::vector<uid_t> allowed_uids, Handle handle, Metrics metrics)
    : loop_(loop), allowed_uids_(std::move(allowed_uids)), handle_(std::move(handle)), metrics_(std::move(metrics)) {}

ControlServer::~ControlServer() = default;

Result<void> ControlServer::listen(const std::string& socket_path) {
  // The directory's mode and the peer's uid are the guards: root on the host must reach a sidecar of another uid.
  BB_TRY(listener_, net::Listener::listen_unix(loop_, socket_path, 0666,
                                               [this](net::Stream stream) { on_connection(std::move(stream)); }));
  return {};
}

void ControlServer::on_connection(net::Stream stream) {
  const auto uid = stream.peer_uid();
  const bool allowed = uid && std::find(allowed_uids_.begin(), allowed_uids_.end(), *uid) != allowed_uids_.end();
  if (!allowed || peers_.size() >= max_peers) return;  // cut off unread (attacks D1, D2)
  auto peer = std::make_unique<Peer>(*this, std::move(stream), next_peer_++);
  Peer* raw = peer.get();
  peers_.emplace(raw, std::move(peer));
}

void ControlServer::remove(Peer* peer) {
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return;
  peer->set_removed();
  loop_.retire(std::move(found->second));
  peers_.erase(found);
}

std::string ControlServer::answer_http(std::string_view request_line) const {
  std::optional<std::string> text;
  if (request_line.starts_with("GET /metrics ")) text = metrics_();
  const std::string_view status = text ? "200 OK" : "404 Not Found";
  const std::string body =
      text.value_or("metrics are off or asked for elsewhere: egress.metrics: true, GET /metrics\n");
  return fmt::format(
      "HTTP/1.1 {}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n"
      "Connection: close\r\n\r\n{}",
      status, body.size(), body);
}

void ControlServer::answer(Peer& peer, std::string_view line) {
  Result<json::object> request = parse_json_object(line, max_line);
  if (!request) {
    reply(peer.number(), nullptr, fail(std::move(request.error())));
    return;
  }
  const json::value* id = request->if_contains("id");
  handle_(get_string(*request, "call"), *request,
          [this, number = peer.number(), id = id == nullptr ? json::value() : *id](const Result<json::object>& result) {
            reply(number, id, result);
          });
}

void ControlServer::reply(std::uint64_t peer, const json::value& id, const Result<json::object>& result) {
  const auto found =
      std::find_if(peers_.begin(), peers_.end(), [peer](const auto& entry) { return entry.first->number() == peer; });
  if (found == peers_.end()) return;
  json::object reply{{"id", id}};
  if (result) {
    reply["ok"] = *result;
  } else {
    const Error& error = result.error();
    reply["error"] = {{"kind", name_of(error.kind)}, {"message", error.message}, {"hint", error.hint}};
    if (!error.details.empty()) reply["error"].as_object()["details"] = error.details;
  }
  found->first->send(to_text(reply) + "\n");
}

}  // namespace bot_bottle::sidecar
