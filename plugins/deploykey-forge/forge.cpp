#include "plugins/deploykey-forge/forge.hpp"

#include <openssl/crypto.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "plugins/deploykey-forge/key_pair.hpp"

namespace bot_bottle::deploy_key {
namespace {

constexpr int max_pages = 100;

std::string id_of(const json::value& key) {
  const json::object* object = key.if_object();
  const json::value* id = object == nullptr ? nullptr : object->if_contains("id");
  if (id == nullptr) return {};
  if (id->is_int64() && id->get_int64() > 0) return std::to_string(id->get_int64());
  if (id->is_uint64()) return std::to_string(id->get_uint64());
  return {};
}

bool is_titled(const json::value& key, const std::string& title) {
  const json::object* object = key.if_object();
  const json::value* found = object == nullptr ? nullptr : object->if_contains("title");
  return found != nullptr && found->is_string() && found->get_string() == title;
}

json::value parse(const std::string& text) {
  boost::system::error_code code;
  json::value value = json::parse(text, code);
  if (code) throw sdk::Error(sdk::Status::unavailable, "the forge's answer is not JSON");
  return value;
}

/// What an answer means, for people; the forge's own words are not repeated (they may hold anything).
sdk::Error refusal(long status, const char* what, const std::string& token_name) {
  const std::string text = std::string("the forge answered ") + std::to_string(status) + " to " + what;
  if (status == 401)
    return {sdk::Status::permission_denied, text + ": the token in " + token_name + " is not valid",
            "export a token that is"};
  if (status == 403)
    return {sdk::Status::permission_denied, text + ": the token in " + token_name + " may not manage deploy keys",
            "give it the right to administer the repository"};
  if (status == 404)
    return {sdk::Status::not_found, text + ": no such repository, or the token in " + token_name + " cannot see it"};
  if (status == 422 || status == 400 || status == 409)
    return {sdk::Status::failed_precondition, text + ": it does not take the key",
            "are deploy keys allowed for this repository?"};
  if (status >= 500 || status == 429) return {sdk::Status::unavailable, text};
  return {sdk::Status::internal, text};
}

void write_key(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(fd, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) throw sdk::Error(sdk::Status::internal, "the private key cannot be handed over");
    text.remove_prefix(static_cast<std::size_t>(count));
  }
}

}  // namespace

Place parse_place(std::string_view url) {
  Place place;
  std::string_view rest = url;
  bool scp_form = false;
  if (rest.starts_with("ssh://"))
    rest.remove_prefix(6);
  else if (rest.starts_with("https://"))
    rest.remove_prefix(8);
  else
    scp_form = true;
  const std::size_t end = rest.find(scp_form ? ':' : '/');
  std::string_view authority = rest.substr(0, end);
  std::string_view path = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) authority.remove_prefix(at + 1);
  // A port is the ssh server's: the API has its own place.
  place.host = std::string(authority.substr(0, authority.find(':')));
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.ends_with('/')) path.remove_suffix(1);
  if (path.ends_with(".git")) path.remove_suffix(4);
  place.path = std::string(path);
  const bool shaped = !place.host.empty() && place.path.find('/') != std::string::npos && !place.name().empty() &&
                      !place.owner().empty() && place.path.find("..") == std::string::npos;
  if (!shaped)
    throw sdk::Error(sdk::Status::invalid_argument, "'" + std::string(url) + "' names no repository of a forge",
                     "for example ssh://git@forge.example.com/team/app.git");
  return place;
}

/// One call's view of the forge; wipes the token at its end.
struct Forge::Session {
  const sdk::Call& call;
  const sdk::DeployKeyRequest& request;
  Place place;
  std::string api;
  std::string keys;
  std::string token;
  std::vector<std::string> headers;

  Session(const Forge& forge, const sdk::Call& the_call, const sdk::DeployKeyRequest& the_request)
      : call(the_call),
        request(the_request),
        place(parse_place(the_request.repo_url)),
        api(the_request.api_url.empty() ? forge.api_of(place) : the_request.api_url),
        keys(forge.keys_of(place)),
        token(forge.host().read_secret(the_call, the_request.token_name)) {
    while (api.ends_with('/')) api.pop_back();
    // Line ends in a token would be further header lines.
    while (token.ends_with('\n') || token.ends_with('\r')) token.pop_back();
    if (token.empty() || std::ranges::any_of(token, [](char c) { return static_cast<unsigned char>(c) <= 0x20; }))
      throw sdk::Error(sdk::Status::invalid_argument, "the token in " + request.token_name + " is not one");
    headers = forge.headers(token);
    headers.emplace_back("Content-Type: application/json");
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() {
    OPENSSL_cleanse(token.data(), token.size());
    for (std::string& header : headers) OPENSSL_cleanse(header.data(), header.size());
  }
};

HttpResponse Forge::send(const Session& session, const char* method, const std::string& path,
                         const std::string& body) const {
  return deploy_key::send(session.call, {.method = method,
                                         .url = session.api + session.keys + path,
                                         .headers = session.headers,
                                         .body = body,
                                         .ca_file = session.request.ca_file});
}

void Forge::remove_one(const Session& session, const std::string& id) const {
  if (id.empty() || !std::ranges::all_of(id, [](char c) { return c >= '0' && c <= '9'; }))
    throw sdk::Error(sdk::Status::invalid_argument, "'" + id + "' is not a key's id");
  const HttpResponse response = send(session, "DELETE", "/" + id, {});
  if (response.status == 404 || (response.status >= 200 && response.status < 300)) return;
  throw refusal(response.status, "removing the key", session.request.token_name);
}

int Forge::remove_titled(const Session& session, const std::string& title) const {
  std::vector<std::string> ids;
  for (int number = 1; number <= max_pages; ++number) {
    const HttpResponse response = send(session, "GET", page(number), {});
    if (response.status == 404) return 0;  // the repository is gone, and its keys with it
    if (response.status != 200) throw refusal(response.status, "listing keys", session.request.token_name);
    const json::value list = parse(response.body);
    const json::array* keys = list.if_array();
    if (keys == nullptr) throw sdk::Error(sdk::Status::unavailable, "the forge's answer is not a list of keys");
    for (const json::value& key : *keys)
      if (is_titled(key, title)) ids.push_back(id_of(key));
    if (keys->empty()) break;
  }
  for (const std::string& id : ids) remove_one(session, id);
  return static_cast<int>(ids.size());
}

sdk::DeployKey Forge::create_key(const sdk::Call& call, const sdk::DeployKeyRequest& request, int private_key_fd) {
  const Session session(*this, call, request);
  const KeyPair pair = make_key_pair(request.title);
  sdk::DeployKey made;
  made.public_key = pair.public_key;
  made.fingerprint = pair.fingerprint;
  try {
    const HttpResponse response =
        send(session, "POST", {}, json::serialize(body(request.title, pair.public_key, request.read_only)));
    if (response.status != 201 && response.status != 200)
      throw refusal(response.status, "adding a key", request.token_name);
    made.key_id = id_of(parse(response.body));
    if (made.key_id.empty()) throw sdk::Error(sdk::Status::unavailable, "the forge's answer has no id of the key");
    write_key(private_key_fd, pair.private_key);
  } catch (const sdk::Error& error) {
    // The answer may be lost and the key be there. What cannot be looked at now is on the host's record.
    if (error.status == sdk::Status::permission_denied || error.status == sdk::Status::not_found) throw;
    try {
      remove_titled(session, request.title);
    } catch (const sdk::Error&) {
      host().warning("a key titled '" + request.title + "' may be left at " + session.api);
    }
    throw;
  }
  return made;
}

void Forge::remove_key(const sdk::Call& call, const sdk::DeployKeyRequest& request) {
  const Session session(*this, call, request);
  if (!request.key_id.empty())
    remove_one(session, request.key_id);
  else
    remove_titled(session, request.title);
}

}  // namespace bot_bottle::deploy_key
