// A throw-away registry of one image on one loopback address, for smolvm before 1.1, which takes an image from nowhere
// else: its machine pulls from the only address that it may reach. Reading only, HTTP/1.1, a few connections; gone with
// this object (OCI distribution specification 1.1, "Pull").
#pragma once

#include <string>
#include <thread>
#include <vector>

#include "core/base/unique_fd.hpp"
#include "plugins/backend-smolvm/image.hpp"

namespace bot_bottle::backend_smolvm {

class Registry {
 public:
  /// Throws. Listens on `address` and a free port.
  Registry(const ImageArchive& image, const std::string& address);
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;
  ~Registry();
  /// "127.77.3.4:40123/bot-bottle/machine:latest"
  [[nodiscard]] const std::string& reference() const { return reference_; }

 private:
  struct Blob {
    std::string digest;  // "sha256:…"
    std::string text;    // or, where empty, a part of the archive
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
    std::string type;
  };
  void serve();
  void answer(int connection);
  void reply(int connection, const std::string& request);
  static bool send_text(int connection, std::string_view text);

  UniqueFd archive_;
  std::vector<Blob> blobs_;
  Blob manifest_;
  UniqueFd listener_;
  UniqueFd stop_read_;
  UniqueFd stop_write_;
  std::string reference_;
  std::thread thread_;
};

}  // namespace bot_bottle::backend_smolvm
