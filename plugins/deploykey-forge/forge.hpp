// The life of a deploy key at a forge. A plugin derives from Forge and says only what its forge does differently.
#pragma once

#include <bot_bottle/plugin.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/deploykey-forge/http.hpp"

namespace bot_bottle {
namespace json = boost::json;
}

namespace bot_bottle::deploy_key {

/// A repository's place, from its URL.
struct Place {
  std::string host;
  std::string path;  // "team/app", without ".git"
  [[nodiscard]] std::string owner() const { return path.substr(0, path.rfind('/')); }
  [[nodiscard]] std::string name() const { return path.substr(path.rfind('/') + 1); }
};
/// Throws sdk::Error(invalid_argument) when it is not ssh://, scp form or https://, or has no owner.
Place parse_place(std::string_view url);

class Forge : public sdk::DeployKeyProvisioner {
 public:
  sdk::DeployKey create_key(const sdk::Call& call, const sdk::DeployKeyRequest& request, int private_key_fd) final;
  void remove_key(const sdk::Call& call, const sdk::DeployKeyRequest& request) final;

 protected:
  /// Where the API of the repository's forge is, without a final '/'.
  [[nodiscard]] virtual std::string api_of(const Place& place) const = 0;
  /// "/repos/team/app/keys".
  [[nodiscard]] virtual std::string keys_of(const Place& place) const = 0;
  [[nodiscard]] virtual std::string page(int number) const = 0;  // "?page=1&limit=50"
  [[nodiscard]] virtual std::vector<std::string> headers(std::string_view token) const = 0;
  [[nodiscard]] virtual json::object body(const std::string& title, const std::string& key, bool read_only) const = 0;

 private:
  struct Session;
  HttpResponse send(const Session& session, const char* method, const std::string& path, const std::string& body) const;
  void remove_one(const Session& session, const std::string& id) const;
  /// How many there were.
  int remove_titled(const Session& session, const std::string& title) const;
};

}  // namespace bot_bottle::deploy_key
