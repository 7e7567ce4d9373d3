// A GuestChannel over a tool's own exec: `TOOL exec -i … -- bottle-init --relay` as a child, by pipes.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/unique_fd.hpp"
#include "plugins/backend-driven/guest_channel.hpp"
#include "plugins/backend-driven/tool.hpp"

namespace bot_bottle::driven {

/// The child and its process group end with this object.
class ToolChannel final : public GuestChannel {
 public:
  /// `arguments` of the tool, up to and with `bottle-init --relay`. Throws unavailable: cannot be run. Any other
  /// failure of the tool shows when the channel is used, with what it said.
  ToolChannel(const Tool& tool, const std::vector<std::string>& arguments);
  ~ToolChannel() override;

  [[nodiscard]] int read_fd() const override { return out_.get(); }
  [[nodiscard]] int write_fd() const override { return in_.get(); }
  [[nodiscard]] int end_fd() const override { return err_.get(); }
  void on_end_fd() override;
  bool receive() override;

 protected:
  ssize_t write_some(std::string_view bytes) override;

 private:
  pid_t pid_ = -1;
  UniqueFd in_;
  UniqueFd out_;
  UniqueFd err_;
};

}  // namespace bot_bottle::driven
