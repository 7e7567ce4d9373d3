// GitHub's REST API, "Deploy keys".
#include "plugins/deploykey-forge/forge.hpp"

namespace {

using namespace bot_bottle;

class GithubKeys final : public deploy_key::Forge {
 protected:
  [[nodiscard]] std::string api_of(const deploy_key::Place& place) const override {
    // ssh over the HTTPS port has a name of its own.
    if (place.host == "github.com" || place.host == "ssh.github.com") return "https://api.github.com";
    return "https://" + place.host + "/api/v3";
  }
  [[nodiscard]] std::string keys_of(const deploy_key::Place& place) const override {
    return "/repos/" + deploy_key::percent_encode(place.owner()) + "/" + deploy_key::percent_encode(place.name()) +
           "/keys";
  }
  [[nodiscard]] std::string page(int number) const override { return "?per_page=100&page=" + std::to_string(number); }
  [[nodiscard]] std::vector<std::string> headers(std::string_view token) const override {
    return {"Authorization: Bearer " + std::string(token), "Accept: application/vnd.github+json",
            "X-GitHub-Api-Version: 2022-11-28"};
  }
  [[nodiscard]] json::object body(const std::string& title, const std::string& key, bool read_only) const override {
    return {{"title", title}, {"key", key}, {"read_only", read_only}};
  }
};

}  // namespace

BOT_BOTTLE_PLUGIN("deploykey-github", "0.1.0", "Makes and revokes deploy keys at github", GithubKeys)
