// Snapshots as images: the agent's own image with home and workspace on top (freezer.h says what each call promises).
#pragma once

#include <string>

#include "bot_bottle/plugin.hpp"
#include "plugins/backend-apple/container_tool.hpp"

namespace bot_bottle::backend_apple {

inline constexpr const char* snapshot_kind = "apple-image";

class AppleFreezer final : public sdk::Freezer {
 public:
  sdk::Snapshot freeze(const sdk::Call& call, const sdk::Bottle& bottle) override;
  bool exists(const sdk::Call& call, const std::string& ref) override;
  void remove(const sdk::Call& call, const std::string& ref) override;
  void export_to(const sdk::Call& call, const std::string& ref, const std::string& path) override;

 private:
  static ContainerTool tool(const sdk::Call& call);
};

/// Throws for what is no snapshot's name.
std::string snapshot_reference(const std::string& ref);

}  // namespace bot_bottle::backend_apple
