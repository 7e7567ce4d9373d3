#include "core/launch/deploy_keys.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <array>

#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "core/launch/secret_pipe.hpp"

namespace bot_bottle::launch {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t max_key_bytes = std::size_t{32} << 10;
constexpr std::size_t max_record_bytes = std::size_t{64} << 10;
constexpr std::array<int, 3> pauses_ms{200, 1000, 2000};  // before the second, third and fourth try

fs::path directory_of(const Home& home) {
  return home.root / "deploy-keys";
}

/// Slugs have no '.', so two records never share a name.
fs::path file_of(const Home& home, const DeployKeyRecord& record) {
  return directory_of(home) / (record.slug + "." + record.repo + ".json");
}

json::object to_json(const DeployKeyRecord& record) {
  return {{"schema", "bot-bottle.deploy-key-record/1"},
          {"slug", record.slug},
          {"repo", record.repo},
          {"url", record.url},
          {"provider", record.provider},
          {"title", record.title},
          {"token", record.token},
          {"key_id", record.key_id},
          {"api", record.api},
          {"ca", record.ca},
          {"read_only", record.read_only}};
}

void write_record(const Home& home, const DeployKeyRecord& record) {
  or_throw(make_directories(directory_of(home)));
  or_throw(write_file_atomic(file_of(home, record), to_pretty_text(to_json(record))));
}

json::object request_of(const DeployKeyRecord& record) {
  return {{"schema", "bot-bottle.deploy-key-request/1"},
          {"repo_url", record.url},
          {"title", record.title},
          {"read_only", record.read_only},
          {"token_name", record.token},
          {"api_url", record.api},
          {"ca_file", record.ca},
          {"key_id", record.key_id}};
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "host";
  return name.data();
}

}  // namespace

std::vector<DeployKeyRecord> list_deploy_keys(const Home& home) {
  std::vector<DeployKeyRecord> records;
  std::error_code code;
  for (fs::directory_iterator at(directory_of(home), code), end; !code && at != end; at.increment(code)) {
    if (at->path().extension() != ".json") continue;
    const json::object document =
        or_throw<json::object>(parse_json_object(or_throw(read_file(at->path(), max_record_bytes)))
                                   .map_error(in("the record " + at->path().string())));
    records.push_back({.slug = get_string(document, "slug"),
                       .repo = get_string(document, "repo"),
                       .url = get_string(document, "url"),
                       .provider = get_string(document, "provider"),
                       .title = get_string(document, "title"),
                       .token = get_string(document, "token"),
                       .key_id = get_string(document, "key_id"),
                       .api = get_string(document, "api"),
                       .ca = get_string(document, "ca"),
                       .read_only = get_bool(document, "read_only", false)});
  }
  return records;
}

plan::GitKey create_deploy_key(const DeployKeyPlugins& plugins, const Home& home, const std::string& slug,
                               const plan::GitKeySource& source) {
  DeployKeyRecord record{.slug = slug,
                         .repo = source.repo,
                         .url = source.url,
                         .provider = source.provider,
                         .title = "bot-bottle " + slug + " " + host_name(),
                         .token = source.token,
                         .key_id = {},
                         .api = source.api,
                         .ca = source.ca.empty() ? std::string() : or_throw(expand_tilde(source.ca)).string(),
                         .read_only = source.read_only};
  plugins.grant(source.provider, source.token);
  plugins::DeployKeyProvisioner& plugin = plugins.get(source.provider);
  // Before the forge knows of it: a crash between here and the next record leaves a title to look for.
  write_record(home, record);
  SecretPipe pipe(max_key_bytes);
  try {
    const json::object made = plugin.create_key(request_of(record), pipe.write_end());
    record.key_id = get_string(made, "key_id");
    write_record(home, record);
  } catch (const Failure& failure) {
    pipe.finish();
    Error error = failure.error();
    try {
      revoke_deploy_key(plugins, home, record);  // by its title: the answer may have been lost, not the key
    } catch (const Failure& other) {
      error.details += (error.details.empty() ? "" : "\n") + other.error().message;
    }
    throw Failure(std::move(error).within("git-gate.repos." + source.repo));
  }
  pipe.finish();
  if (pipe.text().find("PRIVATE KEY-----") == std::string::npos)
    throw Failure(make_error(ErrorKind::internal, "the deploy-key plugin " + source.provider + " gave no private key"));
  return {source.repo, SecretBytes(pipe.text())};
}

void revoke_deploy_key(const DeployKeyPlugins& plugins, const Home& home, const DeployKeyRecord& record) {
  Error last;
  for (std::size_t attempt = 0; attempt <= pauses_ms.size(); ++attempt) {
    if (attempt > 0) ::poll(nullptr, 0, pauses_ms[attempt - 1]);
    try {
      plugins.grant(record.provider, record.token);
      plugins.get(record.provider).remove_key(request_of(record));
      std::error_code code;
      fs::remove(file_of(home, record), code);
      return;
    } catch (const Failure& failure) {
      last = failure.error();
      if (last.kind == ErrorKind::cancelled) break;
    }
  }
  Error error = make_error(
      last.kind,
      fmt::format("the deploy key '{}' of {} could not be removed: {}", record.title, record.url, last.message),
      fmt::format("delete it at the forge{}, or export {} and run: bot-bottle cleanup",
                  record.key_id.empty() ? std::string() : " (id " + record.key_id + ")", record.token));
  throw Failure(std::move(error));
}

void revoke_deploy_keys(const DeployKeyPlugins& plugins, const Home& home, const std::string& slug) {
  std::vector<Error> failed;
  for (const DeployKeyRecord& record : list_deploy_keys(home)) {
    if (record.slug != slug) continue;
    try {
      revoke_deploy_key(plugins, home, record);
    } catch (const Failure& failure) {
      failed.push_back(failure.error());
    }
  }
  if (failed.empty()) return;
  Error error = failed.front();
  for (std::size_t i = 1; i < failed.size(); ++i) error.message += "; " + failed[i].message;
  throw Failure(std::move(error));
}

}  // namespace bot_bottle::launch
