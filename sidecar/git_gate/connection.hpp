// One HTTP connection of the agent's git: one request, one answer, the end. git opens the next one for less than it
// costs to keep this honest. Hostile input: every octet.
#pragma once

#include <memory>
#include <string_view>

#include "sidecar/dlp/content_decoder.hpp"
#include "sidecar/git_gate/client.hpp"
#include "sidecar/serve/one_request.hpp"

namespace bot_bottle::git_gate {

class Gate;

class Connection final : public serve::OneRequest, public Client, dlp::ContentDecoder::Sink {
 public:
  Connection(Gate& gate, net::Stream stream);
  ~Connection() override;

  // StreamHandler
  void on_drained() override;

  // Client
  void refuse(int status, std::string_view text) override;
  void begin(std::string_view content_type) override;
  [[nodiscard]] bool has_begun() const override { return begun_; }
  void write(std::string_view bytes) override;
  void end() override;
  void abort() override { close(); }
  [[nodiscard]] std::size_t unsent() const override { return OneRequest::unsent(); }
  void pause_body() override { pause(); }
  void resume_body() override { resume(); }

 private:
  void on_head() override;
  void on_bad_head(http1::Problem problem) override;
  void on_body(std::string_view bytes) override;
  void on_bad_body() override;
  void on_body_end() override;
  void on_due() override;
  void on_over() override;
  bool on_decoded(std::string_view bytes) override;
  void move_deadline();

  Gate& gate_;
  std::unique_ptr<dlp::ContentDecoder> decoder_;
  std::unique_ptr<Exchange> exchange_;
  bool begun_ = false;
};

}  // namespace bot_bottle::git_gate
