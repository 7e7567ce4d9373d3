// Approvals that end by themselves: once, for a time, for a count of requests or octets (spec 06). Made and taken back
// by the supervise desk; used by exchanges.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/policy/decide.hpp"

namespace bot_bottle::egress {

struct Grant {
  std::string id;                                   // of the proposal
  std::shared_ptr<const policy::RouteTable> table;  // the standing routes with what was approved
  std::optional<std::uint64_t> requests;            // that are left
  std::optional<std::uint64_t> octets;              // that the agent may still send through it
  std::optional<std::uint64_t> until_ms;            // of the loop's clock, which stands still while the machine sleeps
  std::optional<std::int64_t> until_wall_ms;        // the same moment by the wall clock, which may be set back
  bool spent = false;
};

/// All that are in force.
class Grants {
 public:
  /// Called before the last request or octet of one is let through, so that its end is on disk before it is used up;
  /// false: it could not be written down, and nothing passes.
  using OnSpent = std::function<bool(Grant& grant)>;
  void set_on_spent(OnSpent on_spent) { on_spent_ = std::move(on_spent); }
  void set(std::vector<std::shared_ptr<Grant>> grants) { all_ = std::move(grants); }
  [[nodiscard]] const std::vector<std::shared_ptr<Grant>>& all() const { return all_; }

  /// The first that lets `request` through; null: none.
  [[nodiscard]] std::shared_ptr<Grant> find(const policy::RequestView& request, std::uint64_t now_ms) const;
  [[nodiscard]] bool allows_connect(std::string_view host, std::uint16_t port, std::uint64_t now_ms) const;
  /// One request is about to be sent. False: not any more.
  bool take_request(Grant& grant, std::uint64_t now_ms);
  /// These octets are about to be sent. False: there are too many, or its time is over.
  bool take_octets(Grant& grant, std::uint64_t octets, std::uint64_t now_ms);

 private:
  bool spend(Grant& grant);
  std::vector<std::shared_ptr<Grant>> all_;
  OnSpent on_spent_;
};

}  // namespace bot_bottle::egress
