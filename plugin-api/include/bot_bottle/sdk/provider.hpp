// bot-bottle.provider/1 as an abstract class, and its table. What each function promises is written in provider.h.
#pragma once

#include "bot_bottle/sdk/provider_documents.hpp"
#include "bot_bottle/sdk/thunks.hpp"

namespace bot_bottle::sdk {

/// What a provider may do to the bottle while `provision` runs; dead after it.
class BottleOps {
 public:
  BottleOps(const Call& call, const bb_bottle_ops* ops) : call_(call), table_(detail::local_copy<bb_bottle_ops>(ops)) {}

  [[nodiscard]] ExecResult exec(const ExecRequest& request) const {
    if (table_.exec == nullptr) throw Error(Status::unsupported, "this host cannot run programs while provisioning");
    const std::string text = json::serialize(to_json(request));
    const detail::InnerCall inner(call_);
    std::string result;
    inner.check(table_.exec(table_.context, inner.raw(), to_bb(text), bb_writer{&result, detail::append_to_string}),
                "exec");
    return parse_document<ExecResult>(result);
  }
  void copy_in(const CopyRequest& request) const {
    if (table_.copy_in == nullptr) throw Error(Status::unsupported, "this host cannot copy while provisioning");
    const std::string text = json::serialize(to_json(request));
    const detail::InnerCall inner(call_);
    inner.check(table_.copy_in(table_.context, inner.raw(), to_bb(text)), "copy_in");
  }

 private:
  const Call& call_;
  bb_bottle_ops table_;
};

class AgentProvider : public Interface {
 public:
  /// Pure.
  virtual ProviderDescription describe(const Call& call) = 0;
  /// Pure: the core applies what is declared.
  virtual ProviderPlan plan(const Call& call, const ProviderSpec& spec) = 0;

  // Optional: a class that does not override one has no such slot in its table.
  virtual void provision(const Call&, const ProviderSpec&, const BottleOps&) { unsupported("provision"); }
  /// Writes the secret itself to `secret_fd` (borrowed), nothing of it into the document.
  virtual HostCredentials host_credentials(const Call&, const ProviderSpec&, int /*secret_fd*/) {
    unsupported("read the host's login");
  }
};

namespace detail {

struct ProviderThunks {
  static AgentProvider& self_of(void* self) { return instance<AgentProvider>(self); }

  static bb_status describe(void* self, const bb_call* raw, bb_writer out) noexcept {
    return guarded(raw, [&](const Call& call) { write_document(out, self_of(self).describe(call)); });
  }
  static bb_status plan(void* self, const bb_call* raw, bb_str spec, bb_writer out) noexcept {
    return guarded(raw, [&](const Call& call) {
      write_document(out, self_of(self).plan(call, parse_document<ProviderSpec>(view(spec))));
    });
  }
  static bb_status provision(void* self, const bb_call* raw, bb_str spec, const bb_bottle_ops* ops) noexcept {
    return guarded(raw, [&](const Call& call) {
      self_of(self).provision(call, parse_document<ProviderSpec>(view(spec)), BottleOps(call, ops));
    });
  }
  static bb_status host_credentials(void* self, const bb_call* raw, bb_str spec, std::int32_t secret_fd,
                                    bb_writer out) noexcept {
    return guarded(raw, [&](const Call& call) {
      write_document(out, self_of(self).host_credentials(call, parse_document<ProviderSpec>(view(spec)), secret_fd));
    });
  }
};

template <typename T>
inline constexpr bb_provider provider_table = {
    sizeof(bb_provider),
    create_thunk<T, AgentProvider>,
    destroy_thunk<AgentProvider>,
    ProviderThunks::describe,
    ProviderThunks::plan,
    BB_SDK_OVERRIDES(T, AgentProvider, provision) ? ProviderThunks::provision : nullptr,
    BB_SDK_OVERRIDES(T, AgentProvider, host_credentials) ? ProviderThunks::host_credentials : nullptr,
};

}  // namespace detail

}  // namespace bot_bottle::sdk
