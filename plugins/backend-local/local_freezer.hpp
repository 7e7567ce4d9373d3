// The freezer behind the ABI (freezer.h says what each call promises).
#pragma once

#include <string>

#include "bot_bottle/plugin.hpp"
#include "core/base/unique_fd.hpp"

namespace bot_bottle::backend_local {

class LocalFreezer final : public sdk::Freezer {
 public:
  sdk::Snapshot freeze(const sdk::Call& call, const sdk::Bottle& bottle) override;
  bool exists(const sdk::Call& call, const std::string& ref) override;
  void remove(const sdk::Call& call, const std::string& ref) override;
};

}  // namespace bot_bottle::backend_local
