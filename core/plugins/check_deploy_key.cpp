// The deploy-key part of `plugin check`. No forge is asked: what is checked is that nothing is taken for a success, and
// that the token, which is planted here, is in no answer. The life of a key needs a forge (docs/plugins.md).
#include <fcntl.h>
#include <unistd.h>

#include <chrono>

#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "core/plugins/check_bottle.hpp"

namespace bot_bottle::plugins {
namespace {

constexpr std::chrono::seconds call_limit{30};
// The port of discard(9): nobody listens there, and a refusal comes at once.
constexpr const char* nobody = "https://127.0.0.1:9";

json::object request(const char* url) {
  return {{"schema", "bot-bottle.deploy-key-request/1"},
          {"repo_url", url},
          {"title", "bot-bottle check"},
          {"read_only", true},
          {"token_name", "CHECKED_TOKEN"},
          {"api_url", nobody},
          {"ca_file", ""},
          {"key_id", ""}};
}

/// "" or what is wrong with how `body` failed, as it must.
template <typename Body>
std::string expect_failure(const CheckContext& context, const std::string& what, Body&& body) {
  try {
    body();
  } catch (const Failure& failure) {
    const Error& error = failure.error();
    if ((error.message + error.details + error.hint).find(context.planted) != std::string::npos)
      return what + ": the forge's token is in the message";
    return error.message.empty() ? what + ": it fails and does not say why" : "";
  }
  return what + " is taken for a success";
}

/// What has been written to the pipe by now.
std::string taken(CheckPipe& pipe) {
  pipe.write.reset();
  ::fcntl(pipe.read.get(), F_SETFL, O_NONBLOCK);
  auto text = read_all(pipe.read.get(), std::size_t{64} << 10);
  return text ? *text : std::string();
}

}  // namespace

void check_deploy_key(CheckContext& context, DeployKeyProvisioner& provisioner) {
  const std::string name = "deploy-key:" + provisioner.name();
  const auto create = [&](const char* url) {
    CheckPipe key;
    std::string problem = expect_failure(context, "create_key", [&] {
      const json::object made = provisioner.create_key(request(url), key.write.get());
      if (auto problems = schema_problems(context.schemas, made, "bot-bottle.deploy-key/1"); !problems.empty())
        throw Failure(make_error(ErrorKind::internal, problems));
    });
    if (problem.empty() && !taken(key).empty()) problem = "a private key is handed over that no forge has";
    return problem;
  };
  context.checker.check(
      name + ": a forge that cannot be reached is a failure, without the token",
      [&]() -> std::string {
        if (auto problem = create("ssh://git@forge.example.com/team/app.git"); !problem.empty()) return problem;
        return expect_failure(context, "remove_key", [&] {
          json::object known = request("ssh://git@forge.example.com/team/app.git");
          known["key_id"] = "1";
          provisioner.remove_key(known);
        });
      },
      call_limit);
  context.checker.check(
      name + ": an address that names no repository is a failure",
      [&]() -> std::string {
        for (const char* url : {"", "/", "ssh://", "ssh://git@forge.example.com/", "ssh://git@forge.example.com/../.."})
          if (auto problem = create(url); !problem.empty()) return "'" + std::string(url) + "': " + problem;
        return {};
      },
      call_limit);
}

}  // namespace bot_bottle::plugins
