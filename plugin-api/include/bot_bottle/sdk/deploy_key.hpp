// bot-bottle.deploy-key/1 as an abstract class, and its table. What each function promises is written in deploy_key.h.
#pragma once

#include "bot_bottle/sdk/documents.hpp"
#include "bot_bottle/sdk/thunks.hpp"

namespace bot_bottle::sdk {

class DeployKeyProvisioner : public Interface {
 public:
  /// Writes the private key (OpenSSH PEM) to `private_key_fd` (borrowed). On failure no key is left at the forge.
  virtual DeployKey create_key(const Call& call, const DeployKeyRequest& request, int private_key_fd) = 0;
  /// A key that is already gone is success; every other failure is an Error.
  virtual void remove_key(const Call& call, const DeployKeyRequest& request) = 0;
};

namespace detail {

struct DeployKeyThunks {
  static bb_status create_key(void* self, const bb_call* raw, bb_str request, std::int32_t private_key_fd,
                              bb_writer out) noexcept {
    return guarded(raw, [&](const Call& call) {
      write_document(out, instance<DeployKeyProvisioner>(self).create_key(
                              call, parse_document<DeployKeyRequest>(view(request)), private_key_fd));
    });
  }
  static bb_status remove_key(void* self, const bb_call* raw, bb_str request) noexcept {
    return guarded(raw, [&](const Call& call) {
      instance<DeployKeyProvisioner>(self).remove_key(call, parse_document<DeployKeyRequest>(view(request)));
    });
  }
};

template <typename T>
inline constexpr bb_deploy_key deploy_key_table = {
    sizeof(bb_deploy_key),       create_thunk<T, DeployKeyProvisioner>, destroy_thunk<DeployKeyProvisioner>,
    DeployKeyThunks::create_key, DeployKeyThunks::remove_key,
};

}  // namespace detail

}  // namespace bot_bottle::sdk
