// GitLab's REST API v4, "Deploy keys API". A project is named by its whole path, which may have several parts.
#include "plugins/deploykey-forge/forge.hpp"

namespace {

using namespace bot_bottle;

class GitlabKeys final : public deploy_key::Forge {
 protected:
  [[nodiscard]] std::string api_of(const deploy_key::Place& place) const override {
    return "https://" + place.host + "/api/v4";
  }
  [[nodiscard]] std::string keys_of(const deploy_key::Place& place) const override {
    return "/projects/" + deploy_key::percent_encode(place.path) + "/deploy_keys";
  }
  [[nodiscard]] std::string page(int number) const override { return "?per_page=100&page=" + std::to_string(number); }
  [[nodiscard]] std::vector<std::string> headers(std::string_view token) const override {
    return {"PRIVATE-TOKEN: " + std::string(token)};
  }
  [[nodiscard]] json::object body(const std::string& title, const std::string& key, bool read_only) const override {
    return {{"title", title}, {"key", key}, {"can_push", !read_only}};
  }
};

}  // namespace

BOT_BOTTLE_PLUGIN("deploykey-gitlab", "0.1.0", "Makes and revokes deploy keys at gitlab", GitlabKeys)
