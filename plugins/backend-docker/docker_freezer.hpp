// The freezer behind the ABI (freezer.h says what each call promises): a snapshot is an image of the container.
#pragma once

#include <string>

#include "bot_bottle/plugin.hpp"
#include "plugins/backend-docker/engine.hpp"

namespace bot_bottle::backend_docker {

inline constexpr const char* snapshot_kind = "image";
/// "bot-bottle/snapshot:<slug>.<id>". Throws for what is no snapshot's name: it comes from a file.
std::string snapshot_tag(const std::string& ref);

class DockerFreezer final : public sdk::Freezer {
 public:
  sdk::Snapshot freeze(const sdk::Call& call, const sdk::Bottle& bottle) override;
  bool exists(const sdk::Call& call, const std::string& ref) override;
  void remove(const sdk::Call& call, const std::string& ref) override;
  void export_to(const sdk::Call& call, const std::string& ref, const std::string& path) override;

 private:
  Engine engine(const sdk::Call& call);
};

}  // namespace bot_bottle::backend_docker
