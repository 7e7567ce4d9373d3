// One request and its answer on their way through the house (spec 04, "What a request goes through").
// Protocol-neutral: versions of HTTP plug in as ClientSide and UpstreamSide. Hostile input: both ends.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "sidecar/egress/body_guard.hpp"
#include "sidecar/egress/dial.hpp"
#include "sidecar/egress/grpc_guard.hpp"
#include "sidecar/egress/held_octets.hpp"
#include "sidecar/egress/house.hpp"
#include "sidecar/egress/inbound_guard.hpp"
#include "sidecar/egress/mcp_guard.hpp"
#include "sidecar/egress/refusal.hpp"
#include "sidecar/egress/response_guard.hpp"
#include "sidecar/egress/sides.hpp"
#include "sidecar/egress/websocket_guard.hpp"

namespace bot_bottle::egress {

/// Owned by the client's connection, which retires it after `send_end` or `abort`, or calls cancel() when the client is
/// gone.
class Exchange final : public net::Retirable, public UpstreamHandler {
 public:
  Exchange(House& house, ClientSide& client, const Origin& origin, const IncomingRequest& request);
  ~Exchange() override;

  /// Takes the head through every step; then on_request_body… and on_request_end are called as the body comes.
  void begin();
  void on_request_body(std::string_view bytes);
  void on_request_end(const http::Fields* trailers);
  void on_client_drained();
  /// The client is gone; nothing is called on it any more.
  void cancel(std::string_view why);
  /// The client waited too long for the upstream.
  void on_timeout();
  /// It asks to switch to WebSocket: what comes behind its head are frames, once the answer has said 101.
  [[nodiscard]] bool is_websocket() const { return websocket_; }

  void on_informational(int status, http::Fields& fields) override;
  void on_response_head(ResponseStart& head) override;
  void on_response_body(std::string_view bytes) override;
  void on_response_end(http::Fields* trailers) override;
  void on_upstream_drained() override;
  void on_upstream_failure(std::string_view reason, Progress progress) override;

 private:
  using Objection = std::optional<Refusal>;
  // The steps, in order; see begin().
  Objection agree_on_names();
  Objection refuse_tricks();
  Objection find_route();
  Objection keep_limits();
  Objection strip_and_bind();
  Objection scan_head();
  Objection prepare_body();
  Objection use_grant();
  [[nodiscard]] bool may_send(std::uint64_t octets);

  bool is_for_us() const;
  void answer_introspection();
  Objection scan_values();
  Objection scan_text(std::string_view text, std::string_view place);
  Objection body_objection(const BodyGuard::Block& block);
  [[nodiscard]] dlp::Detectors detectors() const;
  [[nodiscard]] const std::shared_ptr<const dlp::KnownSecrets>& sought_secrets() const;
  void look_for_canary(Refusal& refusal) const;

  void connect();
  void on_dialled(Dial::Done& done);
  void use(std::unique_ptr<Upstream> upstream);
  void send_upstream(std::string_view bytes);
  [[nodiscard]] bool can_try_again(Progress progress) const;
  void forward(std::string_view bytes);
  void finish_request();
  void give_back_upstream();
  void drop_upstream();
  void deliver(std::string_view bytes);
  /// Reads for injection, then delivers or keeps. False: it was an attempt, the exchange is over.
  bool read_and_deliver(std::string_view bytes);
  bool read_general(std::string_view bytes);
  bool act_on(const std::vector<dlp::InjectionSighting>& sightings);
  void release_held();

  // exchange_mcp.cpp
  enum class Speaks : std::uint8_t { rpc, card };
  void prepare_mcp();
  Objection mcp_objection(McpRequestGuard::Block& block) const;
  void prepare_mcp_answer(const ResponseStart& head);
  bool judge_answer(std::string_view text, mcp::AnswerUnits::Size size, Speaks speaks);
  [[nodiscard]] bool injects() const;
  bool read_strings(std::string_view strings);
  bool compare_tools(const json::array& tools);
  void refuse_answer(std::string reason, std::string message, std::string where);
  void note_mcp(Level level, std::string_view name, std::string_view reason, std::string_view where);

  // exchange_websocket.cpp
  Objection read_upgrade();
  void switch_protocols(ResponseStart& head);
  void on_agent_frames(std::string_view bytes);
  void on_upstream_frames(std::string_view bytes);
  void end_websocket(const WebSocketGuard::End& end, Blame blame);

  /// Counts what the guards keep. False: there is no more room for it, the exchange is over.
  bool has_room();
  bool stop_when_frozen();
  void refuse(Refusal refusal);
  void finish();
  void note_block(const Refusal& refusal);
  void note_request(std::string_view outcome);

  House& house_;
  ClientSide& client_;
  const Origin& origin_;
  IncomingRequest request_;
  std::shared_ptr<const policy::RouteTable> routes_;
  std::uint64_t started_ms_;
  std::uint64_t started_ns_;

  policy::Scheme scheme_ = policy::Scheme::https;
  Authority authority_;
  std::string host_field_;
  policy::Target target_;
  const policy::Route* route_ = nullptr;
  std::shared_ptr<Grant> grant_;  // what lets it through when the standing routes do not
  policy::Route open_route_;      // only with the test hook "routes"
  Credential credential_;
  std::optional<BodyGuard> guard_;
  std::optional<GrpcGuard> grpc_;               // instead of it
  std::optional<McpRequestGuard> mcp_request_;  // behind it
  std::string mcp_out_;
  std::string released_;
  std::uint64_t scanned_ = 0;

  std::unique_ptr<Dial> dial_;
  std::unique_ptr<Upstream> upstream_;
  std::string pool_key_;
  bool reused_ = false;
  unsigned tries_ = 0;
  std::string waiting_;  // of the body, cleared, until there is an upstream
  std::optional<http::Fields> request_trailers_;
  bool request_ended_ = false;  // by the client
  bool request_sent_ = false;   // to the upstream, to its end
  bool body_forwarded_ = false;
  std::string replay_;  // of the body, sent to an upstream that may refuse it
  bool replayable_ = true;
  bool client_paused_ = false;
  bool upstream_paused_ = false;

  bool websocket_ = false;
  bool switched_ = false;
  std::string agent_key_;     // of its handshake; none with HTTP/2
  std::string early_frames_;  // before the upstream has switched
  std::optional<WebSocketGuard> frames_;

  std::optional<ResponseGuard> scrub_;
  std::optional<GrpcScrubber> grpc_scrub_;  // instead of it
  std::optional<McpAnswerGuard> mcp_answer_;
  std::string judged_;
  bool mcp_told_ = false;  // that something could not be read
  std::optional<InboundGuard> inbound_;
  std::string scrubbed_;
  dlp::Scrubber::Flush flush_ = dlp::Scrubber::Flush::no;
  bool head_sent_ = false;
  bool over_ = false;
  int status_ = 0;
  std::optional<std::uint64_t> promised_;  // Content-Length told to the client
  std::uint64_t delivered_ = 0;
  std::uint64_t bytes_in_ = 0;
  std::uint64_t bytes_out_ = 0;
  HeldOctets held_;
};

}  // namespace bot_bottle::egress
