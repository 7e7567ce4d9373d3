// Gitea's and Forgejo's API v1, "Add a key to a repository".
#include "plugins/deploykey-forge/forge.hpp"

namespace {

using namespace bot_bottle;

class GiteaKeys final : public deploy_key::Forge {
 protected:
  [[nodiscard]] std::string api_of(const deploy_key::Place& place) const override {
    return "https://" + place.host + "/api/v1";
  }
  [[nodiscard]] std::string keys_of(const deploy_key::Place& place) const override {
    return "/repos/" + deploy_key::percent_encode(place.owner()) + "/" + deploy_key::percent_encode(place.name()) +
           "/keys";
  }
  [[nodiscard]] std::string page(int number) const override { return "?limit=50&page=" + std::to_string(number); }
  [[nodiscard]] std::vector<std::string> headers(std::string_view token) const override {
    return {"Authorization: token " + std::string(token), "Accept: application/json"};
  }
  [[nodiscard]] json::object body(const std::string& title, const std::string& key, bool read_only) const override {
    return {{"title", title}, {"key", key}, {"read_only", read_only}};
  }
};

}  // namespace

BOT_BOTTLE_PLUGIN("deploykey-gitea", "0.1.0", "Makes and revokes deploy keys at gitea", GiteaKeys)
