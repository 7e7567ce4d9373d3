// bot-bottle.backend/1 as an abstract class, and its table. What each function promises is written in backend.h.
#pragma once

#include <string>
#include <vector>

#include "bot_bottle/sdk/documents.hpp"
#include "bot_bottle/sdk/thunks.hpp"

namespace bot_bottle::sdk {

/// Descriptors are borrowed and -1 where there is none. One call at a time per instance.
class Backend : public Interface {
 public:
  virtual Probe probe(const Call& call) = 0;
  virtual Plan plan(const Call& call, const Spec& spec) = 0;
  virtual Sidecar start_sidecar(const Call& call, const Plan& plan, int config_fd, int lifeline_fd) = 0;
  virtual Bottle launch(const Call& call, const Plan& plan, const LaunchInputs& inputs, int lifeline_fd) = 0;
  virtual ExecResult exec(const Call& call, const Bottle& bottle, const ExecRequest& request, int stdin_fd) = 0;
  virtual Attach attach_argv(const Call& call, const Bottle& bottle, const ExecRequest& request) = 0;
  virtual void copy_in(const Call& call, const Bottle& bottle, const CopyRequest& request) = 0;
  virtual void copy_out(const Call& call, const Bottle& bottle, const CopyRequest& request) = 0;
  virtual void stop(const Call& call, const Bottle& bottle) = 0;
  /// May get what is in the plan only: slug, backend, state_dir, data.
  virtual void remove(const Call& call, const Bottle& bottle) = 0;
  virtual Bottles enumerate(const Call& call) = 0;

  // Optional: a class that does not override one has no such slot in its table.
  virtual void build(const Call&, const Plan&) { unsupported("build images"); }
  virtual ExecResult sidecar_exec(const Call&, const Bottle&, const std::vector<std::string>& /*argv*/,
                                  int /*stdin_fd*/) {
    unsupported("run programs in the sidecar");
  }
  virtual Orphans orphans(const Call&, const std::vector<std::string>& /*known*/) { unsupported("look for orphans"); }
  virtual void cleanup(const Call&, const Orphans&) { unsupported("clean up"); }
};

namespace detail {

struct BackendThunks {
  static Backend& self_of(void* self) { return instance<Backend>(self); }

  static bb_status probe(void* self, const bb_call* raw, bb_writer out) noexcept {
    return guarded(raw, [&](const Call& call) { write_document(out, self_of(self).probe(call)); });
  }
  static bb_status plan(void* self, const bb_call* raw, bb_str spec, bb_writer out) noexcept {
    return guarded(raw, [&](const Call& call) {
      write_document(out, self_of(self).plan(call, parse_document<Spec>(view(spec))));
    });
  }
  static bb_status build(void* self, const bb_call* raw, bb_str plan) noexcept {
    return guarded(raw, [&](const Call& call) { self_of(self).build(call, parse_document<Plan>(view(plan))); });
  }
  static bb_status start_sidecar(void* self, const bb_call* raw, bb_str plan, std::int32_t config_fd,
                                 std::int32_t lifeline_fd, bb_writer out) noexcept {
    return guarded(raw, [&](const Call& call) {
      write_document(out, self_of(self).start_sidecar(call, parse_document<Plan>(view(plan)), config_fd, lifeline_fd));
    });
  }
  static bb_status launch(void* self, const bb_call* raw, bb_str plan, bb_str inputs, std::int32_t lifeline_fd,
                          bb_writer out) noexcept {
    return guarded(raw, [&](const Call& call) {
      write_document(out, self_of(self).launch(call, parse_document<Plan>(view(plan)),
                                               parse_document<LaunchInputs>(view(inputs)), lifeline_fd));
    });
  }
  static ExecResult printable(ExecResult result) {
    result.out = to_valid_utf8(result.out);
    result.err = to_valid_utf8(result.err);
    return result;
  }
  static bb_status exec(void* self, const bb_call* raw, bb_str bottle, bb_str request, std::int32_t stdin_fd,
                        bb_writer out) noexcept {
    return guarded(raw, [&](const Call& call) {
      write_document(out, printable(self_of(self).exec(call, parse_document<Bottle>(view(bottle)),
                                                       parse_document<ExecRequest>(view(request)), stdin_fd)));
    });
  }
  static bb_status attach_argv(void* self, const bb_call* raw, bb_str bottle, bb_str request, bb_writer out) noexcept {
    return guarded(raw, [&](const Call& call) {
      write_document(out, self_of(self).attach_argv(call, parse_document<Bottle>(view(bottle)),
                                                    parse_document<ExecRequest>(view(request))));
    });
  }
  static bb_status copy_in(void* self, const bb_call* raw, bb_str bottle, bb_str request) noexcept {
    return guarded(raw, [&](const Call& call) {
      self_of(self).copy_in(call, parse_document<Bottle>(view(bottle)), parse_document<CopyRequest>(view(request)));
    });
  }
  static bb_status copy_out(void* self, const bb_call* raw, bb_str bottle, bb_str request) noexcept {
    return guarded(raw, [&](const Call& call) {
      self_of(self).copy_out(call, parse_document<Bottle>(view(bottle)), parse_document<CopyRequest>(view(request)));
    });
  }
  static bb_status sidecar_exec(void* self, const bb_call* raw, bb_str bottle, bb_str argv, std::int32_t stdin_fd,
                                bb_writer out) noexcept {
    return guarded(raw, [&](const Call& call) {
      write_document(out, printable(self_of(self).sidecar_exec(call, parse_document<Bottle>(view(bottle)),
                                                               parse_string_array(view(argv)), stdin_fd)));
    });
  }
  static bb_status stop(void* self, const bb_call* raw, bb_str bottle) noexcept {
    return guarded(raw, [&](const Call& call) { self_of(self).stop(call, parse_document<Bottle>(view(bottle))); });
  }
  static bb_status remove(void* self, const bb_call* raw, bb_str bottle) noexcept {
    return guarded(raw, [&](const Call& call) { self_of(self).remove(call, parse_document<Bottle>(view(bottle))); });
  }
  static bb_status enumerate(void* self, const bb_call* raw, bb_writer out) noexcept {
    return guarded(raw, [&](const Call& call) { write_document(out, self_of(self).enumerate(call)); });
  }
  static bb_status orphans(void* self, const bb_call* raw, bb_str known, bb_writer out) noexcept {
    return guarded(raw, [&](const Call& call) {
      write_document(out, self_of(self).orphans(call, parse_string_array(view(known))));
    });
  }
  static bb_status cleanup(void* self, const bb_call* raw, bb_str orphans) noexcept {
    return guarded(raw, [&](const Call& call) { self_of(self).cleanup(call, parse_document<Orphans>(view(orphans))); });
  }
};

/// Constant data: nothing runs when the library is opened.
template <typename T>
inline constexpr bb_backend backend_table = {
    sizeof(bb_backend),
    create_thunk<T, Backend>,
    destroy_thunk<Backend>,
    BackendThunks::probe,
    BackendThunks::plan,
    BB_SDK_OVERRIDES(T, Backend, build) ? BackendThunks::build : nullptr,
    BackendThunks::start_sidecar,
    BackendThunks::launch,
    BackendThunks::exec,
    BackendThunks::attach_argv,
    BackendThunks::copy_in,
    BackendThunks::copy_out,
    BB_SDK_OVERRIDES(T, Backend, sidecar_exec) ? BackendThunks::sidecar_exec : nullptr,
    BackendThunks::stop,
    BackendThunks::remove,
    BackendThunks::enumerate,
    BB_SDK_OVERRIDES(T, Backend, orphans) ? BackendThunks::orphans : nullptr,
    BB_SDK_OVERRIDES(T, Backend, cleanup) ? BackendThunks::cleanup : nullptr,
};

}  // namespace detail

}  // namespace bot_bottle::sdk
