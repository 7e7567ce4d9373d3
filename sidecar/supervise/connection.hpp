// One HTTP connection of an agent's MCP client: one request, one answer or one stream of events, the end.
// Hostile input: every octet.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/serve/one_request.hpp"
#include "sidecar/supervise/rpc.hpp"
#include "sidecar/supervise/server.hpp"

namespace bot_bottle::supervise {

class Connection final : public serve::OneRequest, public Waiter {
 public:
  Connection(Server& server, net::Stream stream);
  ~Connection() override;

  // Waiter
  void on_answer(const Proposal& proposal) override;

  /// Ends a stream of events as if it had nothing more to say.
  void end_stream();
  void cancel(std::string_view session, const json::value& request);
  [[nodiscard]] bool is_waiting_for(std::string_view session, const json::value& request) const;
  [[nodiscard]] std::string_view session() const { return session_; }

 private:
  /// A call whose answer is the operator's.
  struct Waiting {
    json::value id;
    json::value progress_token;  // null: none was given
    std::string proposal;
    std::uint64_t since_ms = 0;
    std::uint64_t told = 0;  // progress notifications
  };

  // connection.cpp: HTTP
  void on_head() override;
  void on_bad_head(http1::Problem problem) override;
  void on_body(std::string_view bytes) override;
  void on_bad_body() override;
  void on_body_end() override;
  void on_due() override;
  void on_over() override;
  [[nodiscard]] bool is_streaming() const { return streaming_ && state() == State::answering; }
  void answer(int status, std::string_view content_type, std::string_view body, std::string_view extra_name = {},
              std::string_view extra_value = {});
  void refuse(int status, RpcCode code, std::string_view message, std::string_view extra_name = {},
              std::string_view extra_value = {});
  void begin_events();
  void send_event(const json::object& message);

  // exchange.cpp: MCP
  bool check_head();
  bool find_session();
  void on_post();
  void answer_post(bool is_batch);
  void on_stateless(const RpcMessage& message);
  [[nodiscard]] json::object result_for(const json::value& id, json::object result) const;
  void on_get();
  void on_delete();
  void handle(const RpcMessage& message);
  json::object initialize(const RpcMessage& message);
  std::optional<json::object> call_tool(const RpcMessage& message);
  void on_notification(const RpcMessage& message);
  void send_progress(Waiting& waiting);
  [[nodiscard]] std::string_view version() const;

  Server& server_;
  std::string body_;
  bool streaming_ = false;
  std::string session_;      // the id that the request named and that is known
  std::string new_session_;  // of an `initialize` in this request
  std::string version_;
  bool counted_stream_ = false;
  std::vector<json::object> replies_;  // at once
  std::vector<Waiting> waiting_;
};

}  // namespace bot_bottle::supervise
