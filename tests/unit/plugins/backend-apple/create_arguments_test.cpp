// The walls of a container, as arguments.
#include "plugins/backend-apple/create_arguments.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/base/json.hpp"
#include "plugins/backend-apple/containers.hpp"

namespace bot_bottle::backend_apple {
namespace {

sdk::Plan make_plan() {
  sdk::Plan plan;
  plan.slug = "x-1";
  plan.state_dir = "/s/state/x-1";
  plan.data = {{"image", "bot-bottle.invalid/agent:0"},
               {"version", "1"},
               {"agent", "x"},
               {"label", "a=b"},
               {"home", "/home/agent"},
               {"workspace_path", "/workspace"},
               {"life_socket", true},
               {"endpoint_names", json::array{"egress", "supervise"}},
               {"endpoints", json::array{json::object{{"name", "egress"}, {"port", 9099}},
                                         json::object{{"name", "supervise"}, {"port", 9100}}}}};
  return plan;
}

/// Every value that an option of the tool's own has: what stands behind the image is bottle-init's.
std::vector<std::string> values_of(const std::vector<std::string>& words, const std::string& option) {
  const auto image = std::ranges::find(words, "bot-bottle.invalid/agent:0");
  std::vector<std::string> values;
  for (auto it = words.begin(); it + 1 < image; ++it)
    if (*it == option) values.push_back(*(it + 1));
  return values;
}

using Words = std::vector<std::string>;

TEST(CreateArguments, a_container_has_no_network) {
  EXPECT_EQ(values_of(create_arguments(make_plan()), "--network"), Words{"none"});
  EXPECT_EQ(values_of(create_arguments(make_plan()), "--dns"), Words{"127.0.0.1"});
}

TEST(CreateArguments, nothing_of_this_machine_is_in_it_but_the_wires_sockets) {
  const Words words = create_arguments(make_plan());
  EXPECT_EQ(values_of(words, "--volume"),
            (Words{"/s/state/x-1/backend/sockets/egress.sock:/run/bottle/wire/egress.sock",
                   "/s/state/x-1/backend/sockets/supervise.sock:/run/bottle/wire/supervise.sock",
                   "/s/state/x-1/backend/sockets/life.sock:/run/bottle/wire/life.sock"}));
  for (const char* option :
       {"--mount", "--publish", "--publish-socket", "--ssh", "--tmpfs", "--env-file", "--virtualization"})
    EXPECT_EQ(std::ranges::find(words, option), words.end()) << option;
  EXPECT_EQ(values_of(words, "--env"), Words{"PATH=/usr/local/bin:/usr/bin:/bin"})
      << "what is set here exec cannot change";
}

TEST(CreateArguments, it_keeps_what_bottle_init_needs_until_it_gives_it_up) {
  const Words words = create_arguments(make_plan());
  EXPECT_EQ(values_of(words, "--cap-drop"), Words{"ALL"});
  EXPECT_EQ(values_of(words, "--cap-add"), (Words{"NET_ADMIN", "NET_BIND_SERVICE", "SETUID", "SETGID", "SETPCAP"}));
  EXPECT_EQ(values_of(words, "--entrypoint"), Words{"/run/bottle/bin/bottle-init"});
  const Words init(std::ranges::find(words, "bot-bottle.invalid/agent:0") + 1, words.end());
  for (const char* option : {"--filter", "--exec-abstract", "--uid", "--lifeline"})
    EXPECT_NE(std::ranges::find(init, option), init.end()) << option;
}

TEST(CreateArguments, labels_have_one_equals_sign) {
  for (const std::string& label : values_of(create_arguments(make_plan()), "--label"))
    EXPECT_EQ(std::ranges::count(label, '='), 1) << label;
}

TEST(CreateArguments, what_must_be_made_anew_is_seen) {
  sdk::Plan other = make_plan();
  EXPECT_EQ(made_as(other), made_as(make_plan()));
  other.data["label"] = "another";
  EXPECT_EQ(made_as(other), made_as(make_plan())) << "only a name";
  other.data["endpoint_names"] = json::array{"egress"};
  EXPECT_NE(made_as(other), made_as(make_plan()));
  other = make_plan();
  other.data["image"] = "bot-bottle.invalid/agent:1";
  EXPECT_NE(made_as(other), made_as(make_plan()));
}

}  // namespace
}  // namespace bot_bottle::backend_apple
