#include "core/plugins/adapters.hpp"

#include <atomic>
#include <utility>

#include "core/plugins/call.hpp"
#include "core/plugins/tables.hpp"

namespace bot_bottle::plugins {
namespace {

/// The instance of one interface, and the calls on it.
template <typename Table>
class Instance {
 public:
  Instance(LoadedPlugin& plugin, const Table& table, std::string kind, std::string name)
      : host_(*plugin.host), table_(table), name_(std::move(name)), what_(std::move(kind) + " " + name_) {
    PluginCall call(host_, what_ + ": create");
    call.run([&](const bb_call* raw) { return table_.create(host_.raw(), raw, &self_); });
    if (self_ == nullptr) {
      host_.misbehaving(what_ + ": create returned BB_OK without an instance");
      throw Failure(
          make_error(ErrorKind::internal, what_ + ": create gave no instance", "report this to the plugin's author"));
    }
  }
  ~Instance() {
    try {
      table_.destroy(self_);
    } catch (...) {
      host_.misbehaving(what_ + ": destroy threw across the boundary");
    }
  }
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const Table& table() const { return table_; }
  [[nodiscard]] PluginHost& host() { return host_; }

  /// A call without a result. `slot` gets (self, raw call, writer).
  template <typename Slot>
  void call(const char* function, bool present, Slot&& slot) {
    run(function, present, std::forward<Slot>(slot));
  }
  template <typename Slot>
  json::object document(const char* function, bool present, std::string_view schema, Slot&& slot) {
    return run(function, present, std::forward<Slot>(slot))->document(schema);
  }

 private:
  // [serial]: one call at a time; a second one, from a thread or from a callback, is our bug and not the plugin's to
  // survive.
  class Turn {
   public:
    Turn(std::atomic<bool>& busy, const std::string& what) : busy_(busy) {
      if (busy_.exchange(true))
        throw Failure(make_error(ErrorKind::internal, what + " was called while another call is running"));
    }
    ~Turn() { busy_ = false; }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    std::atomic<bool>& busy_;
  };

  template <typename Slot>
  std::unique_ptr<PluginCall> run(const char* function, bool present, Slot&& slot) {
    const std::string what = what_ + ": " + function;
    if (!present) throw Failure(make_error(ErrorKind::unsupported, what_ + " cannot " + function));
    const Turn turn(busy_, what);
    auto call = std::make_unique<PluginCall>(host_, what);
    call->run([&](const bb_call* raw) { return slot(self_, raw, call->writer()); });
    return call;
  }

  PluginHost& host_;
  Table table_;
  std::string name_;
  std::string what_;
  void* self_ = nullptr;
  std::atomic<bool> busy_ = false;
};

class BackendAdapter final : public Backend {
 public:
  BackendAdapter(LoadedPlugin& plugin, std::string name)
      : it_(plugin, plugin.backend.value(), "backend", std::move(name)) {}

  [[nodiscard]] const std::string& name() const override { return it_.name(); }

  json::object probe() override {
    return it_.document("probe", true, "bot-bottle.probe/1",
                        [&](void* self, const bb_call* call, bb_writer out) { return table().probe(self, call, out); });
  }
  json::object plan(const json::object& spec) override {
    const std::string text = to_text(spec);
    return it_.document("plan", true, "bot-bottle.plan/1", [&](void* self, const bb_call* call, bb_writer out) {
      return table().plan(self, call, to_bb(text), out);
    });
  }
  void build(const json::object& plan) override {
    const std::string text = to_text(plan);
    it_.call("build", table().build != nullptr,
             [&](void* self, const bb_call* call, bb_writer) { return table().build(self, call, to_bb(text)); });
  }
  json::object start_sidecar(const json::object& plan, int config_fd, int lifeline_fd) override {
    const std::string text = to_text(plan);
    return it_.document("start_sidecar", true, "bot-bottle.sidecar/1",
                        [&](void* self, const bb_call* call, bb_writer out) {
                          return table().start_sidecar(self, call, to_bb(text), config_fd, lifeline_fd, out);
                        });
  }
  json::object launch(const json::object& plan, const json::object& inputs, int lifeline_fd) override {
    const std::string text = to_text(plan);
    const std::string more = to_text(inputs);
    return it_.document("launch", true, "bot-bottle.bottle/1", [&](void* self, const bb_call* call, bb_writer out) {
      return table().launch(self, call, to_bb(text), to_bb(more), lifeline_fd, out);
    });
  }
  json::object exec(const json::object& bottle, const json::object& request, int stdin_fd) override {
    const std::string text = to_text(bottle);
    const std::string more = to_text(request);
    return it_.document("exec", true, "bot-bottle.exec-result/1", [&](void* self, const bb_call* call, bb_writer out) {
      return table().exec(self, call, to_bb(text), to_bb(more), stdin_fd, out);
    });
  }
  json::object attach_argv(const json::object& bottle, const json::object& request) override {
    const std::string text = to_text(bottle);
    const std::string more = to_text(request);
    return it_.document("attach_argv", true, "bot-bottle.attach/1",
                        [&](void* self, const bb_call* call, bb_writer out) {
                          return table().attach_argv(self, call, to_bb(text), to_bb(more), out);
                        });
  }
  void copy_in(const json::object& bottle, const json::object& request) override {
    const std::string text = to_text(bottle);
    const std::string more = to_text(request);
    it_.call("copy_in", true, [&](void* self, const bb_call* call, bb_writer) {
      return table().copy_in(self, call, to_bb(text), to_bb(more));
    });
  }
  void copy_out(const json::object& bottle, const json::object& request) override {
    const std::string text = to_text(bottle);
    const std::string more = to_text(request);
    it_.call("copy_out", true, [&](void* self, const bb_call* call, bb_writer) {
      return table().copy_out(self, call, to_bb(text), to_bb(more));
    });
  }
  void stop(const json::object& bottle) override {
    const std::string text = to_text(bottle);
    it_.call("stop", true,
             [&](void* self, const bb_call* call, bb_writer) { return table().stop(self, call, to_bb(text)); });
  }
  void remove(const json::object& bottle) override {
    const std::string text = to_text(bottle);
    it_.call("remove", true,
             [&](void* self, const bb_call* call, bb_writer) { return table().remove(self, call, to_bb(text)); });
  }
  json::object enumerate() override {
    return it_.document("enumerate", true, "bot-bottle.bottles/1", [&](void* self, const bb_call* call, bb_writer out) {
      return table().enumerate(self, call, out);
    });
  }
  json::object orphans(const std::vector<std::string>& known) override {
    const std::string text = to_text(to_array(known));
    return it_.document(
        "orphans", table().orphans != nullptr, "bot-bottle.orphans/1",
        [&](void* self, const bb_call* call, bb_writer out) { return table().orphans(self, call, to_bb(text), out); });
  }
  void cleanup(const json::object& orphans) override {
    const std::string text = to_text(orphans);
    it_.call("cleanup", table().cleanup != nullptr,
             [&](void* self, const bb_call* call, bb_writer) { return table().cleanup(self, call, to_bb(text)); });
  }

 private:
  [[nodiscard]] const bb_backend& table() const { return it_.table(); }
  Instance<bb_backend> it_;
};

/// What `provision` may do, over the backend's class. The other direction of the boundary: our failures become
/// statuses.
struct Ops {
  Backend& backend;
  const json::object& bottle;

  template <typename Body>
  static bb_status guarded(const bb_call* raw, Body&& body) noexcept {
    Error error;
    try {
      body();
      return BB_OK;
    } catch (const Failure& failure) {
      error = failure.error();
    } catch (const std::exception& other) {
      error = make_error(ErrorKind::internal, other.what());
    }
    if (PluginCall::is_ours(raw)) {
      PluginCall::note(raw, error);
    } else if (const auto call = normalise<bb_call>(raw); call.fail != nullptr) {
      call.fail(raw, to_bb(error.message), to_bb(error.hint));
    }
    return status_of(error.kind);
  }
  static bb_status exec(void* context, const bb_call* raw, bb_str request, bb_writer out) {
    auto& self = *static_cast<Ops*>(context);
    return guarded(raw, [&] {
      const std::string text = to_text(self.backend.exec(self.bottle, or_throw(parse_json_object(view(request))), -1));
      if (out.write(out.context, to_bb(text)) != BB_OK)
        throw Failure(make_error(ErrorKind::internal, "the plugin did not take the result"));
    });
  }
  static bb_status copy_in(void* context, const bb_call* raw, bb_str request) {
    auto& self = *static_cast<Ops*>(context);
    return guarded(raw, [&] { self.backend.copy_in(self.bottle, or_throw(parse_json_object(view(request)))); });
  }
};

class ProviderAdapter final : public Provider {
 public:
  ProviderAdapter(LoadedPlugin& plugin, std::string name)
      : it_(plugin, plugin.provider.value(), "provider", std::move(name)) {}

  [[nodiscard]] const std::string& name() const override { return it_.name(); }

  json::object describe() override {
    return it_.document(
        "describe", true, "bot-bottle.provider-description/1",
        [&](void* self, const bb_call* call, bb_writer out) { return it_.table().describe(self, call, out); });
  }
  json::object plan(const json::object& spec) override {
    const std::string text = to_text(spec);
    return it_.document(
        "plan", true, "bot-bottle.provider-plan/1",
        [&](void* self, const bb_call* call, bb_writer out) { return it_.table().plan(self, call, to_bb(text), out); });
  }
  bool provision(const json::object& spec, Backend& backend, const json::object& bottle) override {
    if (it_.table().provision == nullptr) return false;
    const std::string text = to_text(spec);
    Ops ops{backend, bottle};
    bb_bottle_ops table{};
    table.struct_size = sizeof table;
    table.context = &ops;
    table.exec = Ops::exec;
    table.copy_in = Ops::copy_in;
    it_.call("provision", true, [&](void* self, const bb_call* call, bb_writer) {
      return it_.table().provision(self, call, to_bb(text), &table);
    });
    return true;
  }
  json::object host_credentials(const json::object& spec, int secret_fd) override {
    const std::string text = to_text(spec);
    return it_.document("host_credentials", it_.table().host_credentials != nullptr, "bot-bottle.host-credentials/1",
                        [&](void* self, const bb_call* call, bb_writer out) {
                          return it_.table().host_credentials(self, call, to_bb(text), secret_fd, out);
                        });
  }

 private:
  Instance<bb_provider> it_;
};

class DeployKeyAdapter final : public DeployKeyProvisioner {
 public:
  DeployKeyAdapter(LoadedPlugin& plugin, std::string name)
      : it_(plugin, plugin.deploy_key.value(), "deploy-key", std::move(name)) {}

  [[nodiscard]] const std::string& name() const override { return it_.name(); }

  json::object create_key(const json::object& request, int private_key_fd) override {
    const std::string text = to_text(request);
    return it_.document("create_key", true, "bot-bottle.deploy-key/1",
                        [&](void* self, const bb_call* call, bb_writer out) {
                          return it_.table().create_key(self, call, to_bb(text), private_key_fd, out);
                        });
  }
  void remove_key(const json::object& request) override {
    const std::string text = to_text(request);
    it_.call("remove_key", true, [&](void* self, const bb_call* call, bb_writer) {
      return it_.table().remove_key(self, call, to_bb(text));
    });
  }

 private:
  Instance<bb_deploy_key> it_;
};

class FreezerAdapter final : public Freezer {
 public:
  FreezerAdapter(LoadedPlugin& plugin, std::string name)
      : it_(plugin, plugin.freezer.value(), "freezer", std::move(name)) {}

  [[nodiscard]] const std::string& name() const override { return it_.name(); }

  json::object freeze(const json::object& bottle) override {
    const std::string text = to_text(bottle);
    return it_.document("freeze", true, "bot-bottle.snapshot/1", [&](void* self, const bb_call* call, bb_writer out) {
      return it_.table().freeze(self, call, to_bb(text), out);
    });
  }
  bool exists(const std::string& ref) override {
    try {
      it_.call("exists", true,
               [&](void* self, const bb_call* call, bb_writer) { return it_.table().exists(self, call, to_bb(ref)); });
      return true;
    } catch (const Failure& failure) {
      if (failure.error().kind == ErrorKind::not_found) return false;
      throw;
    }
  }
  void remove(const std::string& ref) override {
    it_.call("remove", true,
             [&](void* self, const bb_call* call, bb_writer) { return it_.table().remove(self, call, to_bb(ref)); });
  }
  void export_to(const std::string& ref, const std::string& path) override {
    it_.call("export_to", it_.table().export_to != nullptr, [&](void* self, const bb_call* call, bb_writer) {
      return it_.table().export_to(self, call, to_bb(ref), to_bb(path));
    });
  }

 private:
  Instance<bb_freezer> it_;
};

}  // namespace

std::unique_ptr<Backend> adapt_backend(LoadedPlugin& plugin, std::string name) {
  return std::make_unique<BackendAdapter>(plugin, std::move(name));
}
std::unique_ptr<Provider> adapt_provider(LoadedPlugin& plugin, std::string name) {
  return std::make_unique<ProviderAdapter>(plugin, std::move(name));
}
std::unique_ptr<Freezer> adapt_freezer(LoadedPlugin& plugin, std::string name) {
  return std::make_unique<FreezerAdapter>(plugin, std::move(name));
}

std::unique_ptr<DeployKeyProvisioner> adapt_deploy_key(LoadedPlugin& plugin, std::string name) {
  return std::make_unique<DeployKeyAdapter>(plugin, std::move(name));
}

}  // namespace bot_bottle::plugins
