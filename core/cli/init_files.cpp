#include "core/cli/init_files.hpp"

#include <algorithm>

#include "core/base/json.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::cli {
namespace {

/// A JSON string is a YAML string.
std::string yaml_string(std::string_view text) {
  return to_text(json::value(text));
}

std::string provider_block(const InitAnswers& answers) {
  std::string text = "agent_provider:\n  template: " + answers.provider + "\n";
  if (answers.provider == "command") {
    std::vector<std::string> words;
    for (const std::string_view word : split(answers.command, ' '))
      if (!word.empty()) words.push_back(yaml_string(word));
    return text + "  command: [" + join(words, ", ") + "]   # any program; it sees no network but egress\n";
  }
  if (answers.auth_token.empty())
    return text +
           "  # auth_token: NAME_OF_A_HOST_VARIABLE   # put on requests outside; the agent sees a placeholder\n"
           "  # forward_host_credentials: true         # instead (codex): your own login, which stays outside\n";
  return text + "  auth_token: " + answers.auth_token +
         "   # this variable's value is put on requests outside; the agent sees a placeholder\n";
}

std::string git_block(const InitAnswers& answers) {
  if (answers.git_url.empty())
    return "# git-gate:                   # repositories that it may push to; every push is scanned\n"
           "#   repos:\n"
           "#     app: {url: \"https://git.example.com/team/app.git\", auth: {token_ref: FORGE_TOKEN}}\n";
  const bool is_http = answers.git_url.starts_with("http");
  const bool complete =
      is_http ? !answers.git_token.empty() : !answers.git_key.empty() && !answers.git_host_key.empty();
  // What is not whole would make the bottle unusable: it waits as a comment.
  const std::string mark = complete ? "" : "# ";
  std::string text = mark +
                     "git-gate:                     # repositories that it may push to; every push is scanned\n" +
                     mark + "  repos:\n" + mark + "    " + repository_name(answers.git_url) + ":\n" + mark +
                     "      url: " + yaml_string(answers.git_url) + "\n";
  if (is_http)
    return text + mark + "      auth: {token_ref: " + (answers.git_token.empty() ? "FORGE_TOKEN" : answers.git_token) +
           "}   # a variable of yours; never in the bottle\n";
  const std::string host = host_of_git_url(answers.git_url);
  text += mark + "      host_key: " +
          (answers.git_host_key.empty() ? "\"ssh-ed25519 AAAA…\"" : yaml_string(answers.git_host_key)) +
          "   # ssh-keyscan -t ed25519 " + (host.empty() ? "HOST" : host) + "\n";
  return text + mark + "      key: {provider: static, path: " +
         (answers.git_key.empty() ? "~/.ssh/deploy_key" : yaml_string(answers.git_key)) + "}\n";
}

std::string egress_block(const InitAnswers& answers) {
  std::string text =
      "egress:\n"
      "  log: 1                      # 0 off, 1 blocks and warnings, 2 every request\n";
  if (answers.packs.empty())
    text += "  # packs: [\"github:read\"]    # reviewed routes under a name\n";
  else {
    text += "  packs:                      # reviewed routes under a name\n";
    for (const std::string& pack : answers.packs) text += "    - " + yaml_string(pack) + "\n";
  }
  if (answers.hosts.empty())
    return text +
           "  routes: []                  # nothing else may leave. To allow a host:\n"
           "  # routes:\n"
           "  #   - host: api.example.com\n"
           "  #     matches:\n"
           "  #       - paths: [{type: prefix, value: /v1/}]\n"
           "  #         methods: [GET, POST]\n"
           "  #     auth: {scheme: Bearer, token_ref: EXAMPLE_TOKEN}   # a variable of yours; never in the bottle\n";
  text += "  routes:                     # everything else is refused\n";
  for (const std::string& host : answers.hosts) text += "    - host: " + host + "\n";
  return text;
}

}  // namespace

std::string host_of_git_url(const std::string& url) {
  std::string rest = url;
  const std::size_t scheme = rest.find("://");
  if (scheme != std::string::npos) rest.erase(0, scheme + 3);
  if (const std::size_t at = rest.find('@'); at != std::string::npos) rest.erase(0, at + 1);
  return rest.substr(0, rest.find_first_of(":/"));
}

std::string repository_name(const std::string& url) {
  std::string name = url.substr(url.find_last_of("/:") + 1);
  if (name.ends_with(".git")) name.resize(name.size() - 4);
  std::erase_if(name, [](char c) {
    return !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
             c == '-');
  });
  return name.empty() || name == "." || name == ".." ? "app" : name;
}

std::string bottle_text(const InitAnswers& answers) {
  std::string text =
      "---\n"
      "# A bottle: the powers of the agents that run in it. Only files in this directory grant powers;\n"
      "# nothing that a repository brings can. What is not granted here is refused.\n";
  text += provider_block(answers);
  text += answers.backend.empty()
              ? "# backend: local              # what isolates; left out: the best that is here\n"
              : "backend: " + answers.backend + "                # what isolates; leave out to choose automatically\n";
  text +=
      "# env:\n"
      "#   EDITOR: vi\n"
      "#   GREETING: \"${USER}\"         # from your environment, at start\n"
      "# workspace:\n"
      "#   mode: copy                # copy (default), mount (the agent writes your files), none\n"
      "# resources:\n"
      "#   memory: 4GiB\n";
  text += git_block(answers);
  text += egress_block(answers);
  return text + "---\nThis part is yours: notes about the bottle. It is not read.\n";
}

std::string agent_text(const InitAnswers& answers) {
  return "---\n"
         "# An agent: who works. Its powers come from its bottle.\n"
         "bottle: " +
         answers.bottle +
         "\n"
         "# git:\n"
         "#   user: {name: Example Agent, email: agent@example.com}\n"
         "---\n"
         "You work in a sandbox. What the network refuses is refused on purpose: say what you need instead of looking "
         "for a way around.\n";
}

}  // namespace bot_bottle::cli
