// bot-bottle.freezer/1 as an abstract class, and its table. What each function promises is written in freezer.h.
#pragma once

#include <string>

#include "bot_bottle/sdk/documents.hpp"
#include "bot_bottle/sdk/thunks.hpp"

namespace bot_bottle::sdk {

class Freezer : public Interface {
 public:
  virtual Snapshot freeze(const Call& call, const Bottle& bottle) = 0;
  virtual bool exists(const Call& call, const std::string& ref) = 0;
  /// Already gone is success.
  virtual void remove(const Call& call, const std::string& ref) = 0;
  /// Optional.
  virtual void export_to(const Call&, const std::string& /*ref*/, const std::string& /*path*/) {
    unsupported("export snapshots");
  }
};

namespace detail {

struct FreezerThunks {
  static Freezer& self_of(void* self) { return instance<Freezer>(self); }

  static bb_status freeze(void* self, const bb_call* raw, bb_str bottle, bb_writer out) noexcept {
    return guarded(raw, [&](const Call& call) {
      write_document(out, self_of(self).freeze(call, parse_document<Bottle>(view(bottle))));
    });
  }
  static bb_status exists(void* self, const bb_call* raw, bb_str ref) noexcept {
    return guarded(raw, [&](const Call& call) {
      const std::string name(view(ref));
      if (!self_of(self).exists(call, name)) throw Error(Status::not_found, "no snapshot " + name);
    });
  }
  static bb_status remove(void* self, const bb_call* raw, bb_str ref) noexcept {
    return guarded(raw, [&](const Call& call) { self_of(self).remove(call, std::string(view(ref))); });
  }
  static bb_status export_to(void* self, const bb_call* raw, bb_str ref, bb_str path) noexcept {
    return guarded(
        raw, [&](const Call& call) { self_of(self).export_to(call, std::string(view(ref)), std::string(view(path))); });
  }
};

template <typename T>
inline constexpr bb_freezer freezer_table = {
    sizeof(bb_freezer),
    create_thunk<T, Freezer>,
    destroy_thunk<Freezer>,
    FreezerThunks::freeze,
    FreezerThunks::exists,
    FreezerThunks::remove,
    BB_SDK_OVERRIDES(T, Freezer, export_to) ? FreezerThunks::export_to : nullptr,
};

}  // namespace detail

}  // namespace bot_bottle::sdk
