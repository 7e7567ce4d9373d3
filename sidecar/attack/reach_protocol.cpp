// 1.6 to 1.12: requests that two readers may read differently (A2 to A10, A13), and pushes by HTTPS (E1).
#include <utility>

#include "core/base/text.hpp"
#include "sidecar/attack/http.hpp"

namespace bot_bottle::attack {
namespace {

constexpr unsigned disagreement = accept::misdirected | accept::bad_request;

std::string head(const std::string& line, const std::string& headers) {
  return line + "\r\n" + headers + "\r\n";
}

void add_disagreement(std::vector<Attempt>& out) {
  Subject names(out, "1.6", "names", Needs::egress);
  names.add("SNI names a host that is not allowed, CONNECT and Host agree (A2)", [](const Context& context) {
    return judge(context, ask_tls(context, request("GET", "/", context.origin), {.sni = context.denied}),
                 disagreement | accept::alert);
  });
  names.add("CONNECT allowed, SNI and Host name a host that is not (A2)", [](const Context& context) {
    return judge(context, ask_tls(context, request("GET", "/", context.denied), {.sni = context.denied}),
                 disagreement | accept::alert);
  });
  names.add("CONNECT and SNI allowed, Host is not (domain fronting, A2)", [](const Context& context) {
    return judge(context, ask_tls(context, request("GET", "/", context.denied)), disagreement);
  });
  names.add("CONNECT without SNI, Host is not allowed (A2)", [](const Context& context) {
    return judge(context, ask_tls(context, request("GET", "/", context.denied), {.send_sni = false}),
                 disagreement | accept::alert);
  });
  names.add("CONNECT not allowed, SNI and Host are (A2)", [](const Context& context) {
    return judge(context,
                 ask_tls(context, request("GET", "/", context.origin), {.authority = context.denied + ":443"}));
  });
  names.add("Host of the CONNECT differs from its target (A2)", [](const Context& context) {
    return judge(
        context,
        ask_proxy(context, "CONNECT " + context.denied + ":443 HTTP/1.1\r\nHost: " + context.origin + ":443\r\n\r\n",
                  "CONNECT"),
        disagreement);
  });
  const std::pair<const char*, std::string (*)(const Context&)> hosts[] = {
      {"two Host headers, the second is not allowed",
       [](const Context& c) { return "Host: " + c.origin + "\r\nHost: " + c.denied + "\r\n"; }},
      {"two Host headers, the first is not allowed",
       [](const Context& c) { return "Host: " + c.denied + "\r\nHost: " + c.origin + "\r\n"; }},
      {"a list in Host", [](const Context& c) { return "Host: " + c.origin + ", " + c.denied + "\r\n"; }},
      {"another port in Host", [](const Context& c) { return "Host: " + c.origin + ":8443\r\n"; }},
      {"userinfo in Host", [](const Context& c) { return "Host: " + c.origin + "@" + c.denied + "\r\n"; }},
      {"an address in Host", [](const Context&) { return std::string("Host: 127.0.0.1\r\n"); }},
      {"an empty Host", [](const Context&) { return std::string("Host:\r\n"); }},
      {"no Host", [](const Context&) { return std::string(); }},
      {"Host with a space before the colon",
       [](const Context& c) { return "Host: " + c.origin + "\r\nHost : " + c.denied + "\r\n"; }},
      {"Host on a folded line", [](const Context& c) { return "Host: " + c.origin + "\r\n " + c.denied + "\r\n"; }},
  };
  for (const auto& [text, make] : hosts)
    names.add(std::string("inside TLS: ") + text + " (A2)", [make = make](const Context& context) {
      return judge(context, ask_tls(context, head("GET / HTTP/1.1", make(context) + "Connection: close\r\n")),
                   disagreement);
    });
  names.add("absolute URI inside TLS to a host that is not allowed (A2)", [](const Context& context) {
    return judge(context, ask_tls(context, request("GET", "https://" + context.denied + "/", context.origin)),
                 disagreement);
  });
  names.add("absolute URI inside TLS, http and not allowed (A2)", [](const Context& context) {
    return judge(context, ask_tls(context, request("GET", "http://" + context.denied + "/", context.denied)),
                 disagreement);
  });
}

/// The second answer of a connection that was good for the first.
Outcome second_answer(const Context& context, Channel& channel, const std::string& first, const std::string& second,
                      bool together) {
  if (auto sent = channel.write(together ? first + second : first); !sent) return failed(sent.error().message);
  Response response = channel.read_response();
  if (response.status != 200)
    return failed("the first request was answered " + std::to_string(response.status) + " " + response.failure);
  if (!together)
    if (auto sent = channel.write(second); !sent) return failed(sent.error().message);
  return judge(context, channel.read_response(), disagreement);
}

void add_second_requests(std::vector<Attempt>& out, const Context& base) {
  Subject second(out, "1.7", "names", Needs::egress);
  for (const bool together : {false, true}) {
    second.add(std::string(together ? "pipelined" : "kept-alive") +
                   " second request inside TLS to a host that is not allowed (A4, A9)",
               [together](const Context& context) {
                 Tunnel tunnel = open_tunnel(context);
                 if (tunnel.response.status != 200) return failed("no tunnel: " + tunnel.response.failure);
                 return second_answer(context, *tunnel.channel,
                                      request("GET", "/first", context.origin, "Connection: keep-alive\r\n"),
                                      request("GET", "/second", context.denied), together);
               });
    if (base.plain.empty()) continue;
    second.add(std::string(together ? "pipelined" : "kept-alive") +
                   " second request in absolute form to a host that is not allowed (A4, A9)",
               [together](const Context& context) {
                 auto channel = Channel::dial(context);
                 if (!channel) return failed(channel.error().message);
                 return second_answer(
                     context, *channel,
                     request("GET", "http://" + context.plain + "/first", context.plain, "Connection: keep-alive\r\n"),
                     request("GET", "http://" + context.denied + "/second", context.denied), together);
               });
  }
}

void add_smuggling(std::vector<Attempt>& out) {
  Subject smuggling(out, "1.8", "grammar", Needs::egress);
  const std::string hidden = "GET /smuggled HTTP/1.1\r\nHost: hidden\r\n\r\n";
  const std::string chunked_hidden = "0\r\n\r\n" + hidden;
  const std::pair<const char*, std::string> cases[] = {
      {"Content-Length and Transfer-Encoding",
       "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked_hidden},
      {"two different Content-Length", "Content-Length: 0\r\nContent-Length: 41\r\n\r\n" + hidden},
      {"Content-Length with a list", "Content-Length: 0, 41\r\n\r\n" + hidden},
      {"Content-Length with a sign", "Content-Length: +0\r\n\r\n" + hidden},
      {"negative Content-Length", "Content-Length: -1\r\n\r\n" + hidden},
      {"Content-Length beyond 64 bit", "Content-Length: 18446744073709551616\r\n\r\n" + hidden},
      {"unknown transfer coding", "Transfer-Encoding: xchunked\r\n\r\n" + chunked_hidden},
      {"chunked not last", "Transfer-Encoding: chunked, identity\r\n\r\n" + chunked_hidden},
      {"chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked_hidden},
      {"vertical tab before chunked",
       "Transfer-Encoding: \x0b"
       "chunked\r\n\r\n" +
           chunked_hidden},
      {"space before the colon", "Transfer-Encoding : chunked\r\n\r\n" + chunked_hidden},
      {"folded Transfer-Encoding", "Transfer-Encoding:\r\n chunked\r\n\r\n" + chunked_hidden},
      {"bare LF between fields", "X-A: b\nContent-Length: 0\r\n\r\n"},
      {"bare CR in a field", "X-A: b\rContent-Length: 41\r\n\r\n" + hidden},
      {"NUL in a field", std::string("X-A: b\0c\r\n\r\n", 12)},
      {"chunk size with 0x", "Transfer-Encoding: chunked\r\n\r\n0x2\r\nab\r\n0\r\n\r\n"},
      {"chunk size beyond 64 bit", "Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\nab\r\n0\r\n\r\n"},
      {"chunk size with a bare LF", "Transfer-Encoding: chunked\r\n\r\n2\nab\r\n0\r\n\r\n"},
      {"chunk data longer than its size", "Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n"},
      {"negative chunk size", "Transfer-Encoding: chunked\r\n\r\n-2\r\nab\r\n0\r\n\r\n"},
      {"a field without a name", ": value\r\n\r\n"},
      {"a line without a colon", "novalue\r\n\r\n"},
  };
  for (const auto& [text, tail] : cases)
    smuggling.add(std::string(text) + " (A3)", [tail = tail](const Context& context) {
      return judge(context, ask_tls(context, "POST /a HTTP/1.1\r\nHost: " + context.origin + "\r\n" + tail),
                   accept::bad_request | accept::method);
    });
  const std::pair<const char*, const char*> lines[] = {
      {"HTTP/0.9", "GET /\r\n"},
      {"HTTP/1.2345", "GET / HTTP/1.2345\r\n"},
      {"two spaces in the request line", "GET  / HTTP/1.1\r\n"},
      {"a tab in the request line", "GET\t/\tHTTP/1.1\r\n"},
      {"a space in the target", "GET /a b HTTP/1.1\r\n"},
      {"an unencoded control in the target", "GET /a\x01 HTTP/1.1\r\n"},
      {"an encoded CR and LF in the target", "GET /a%0d%0aX-A:%20b HTTP/1.1\r\n"},
      {"an encoded NUL in the target", "GET /a%00 HTTP/1.1\r\n"},
      {"a backslash in the target", "GET /a\\..\\b HTTP/1.1\r\n"},
      {"a method with a separator", "G(T / HTTP/1.1\r\n"},
  };
  for (const auto& [text, line] : lines)
    smuggling.add(std::string(text) + " (A3, A5)", [line = std::string(line)](const Context& context) {
      return judge(context, ask_tls(context, line + "Host: " + context.origin + "\r\nConnection: close\r\n\r\n"),
                   accept::bad_request | accept::version);
    });
}

/// Dropping the Upgrade and answering the plain request is documented too: then the origin has not seen it.
Outcome judge_upgrade(const Context& context, const Response& response) {
  if (response.status == 101) return escaped("switched protocols");
  if (auto echo = echo_of(response); echo) {
    const json::object* headers = find_object(*echo, "headers");
    if (headers != nullptr && !headers->contains("upgrade") && !headers->contains("http2-settings"))
      return blocked("the upgrade was dropped");
    return escaped("the origin saw the upgrade");
  }
  return judge(context, response, accept::bad_request);
}

void add_upgrades(std::vector<Attempt>& out, const Context& base) {
  Subject upgrades(out, "1.9", "upgrade", Needs::egress);
  for (const char* token : {"h2c", "H2C", "TLS/1.0", "notwebsocket", "h2c, websocket", "connect-udp"})
    upgrades.add(std::string("Upgrade: ") + token + " inside TLS (A7, A8)",
                 [token = std::string(token)](const Context& context) {
                   return judge_upgrade(
                       context, ask_tls(context, request("GET", "/", context.origin,
                                                         "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: " + token +
                                                             "\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n")));
                 });
  const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + std::string("\0\0\0\4\0\0\0\0\0", 9);
  constexpr unsigned preface_refusals =
      accept::bad_request | accept::version | accept::misdirected | accept::method | accept::closed;
  upgrades.add("the HTTP/2 preface inside a connection that spoke HTTP/1.1 (A7)", [preface](const Context& context) {
    return judge(context, ask_tls(context, preface), preface_refusals);
  });
  upgrades.add("the HTTP/2 preface after a good request (A7)", [preface](const Context& context) {
    Tunnel tunnel = open_tunnel(context);
    if (tunnel.response.status != 200) return failed("no tunnel: " + tunnel.response.failure);
    if (auto sent = tunnel.channel->write(request("GET", "/", context.origin, "Connection: keep-alive\r\n") + preface);
        !sent)
      return failed(sent.error().message);
    if (tunnel.channel->read_response().status != 200) return failed("the first request was not answered 200");
    return judge(context, tunnel.channel->read_response(), preface_refusals);
  });
  upgrades.add("the HTTP/2 preface to the proxy (A7)", [preface](const Context& context) {
    return judge(context, ask_proxy(context, preface), preface_refusals);
  });
  if (base.plain.empty()) return;
  upgrades.add("Upgrade: h2c in plain http (A7)", [](const Context& context) {
    return judge_upgrade(context, ask_proxy(context, request("GET", "http://" + context.plain + "/", context.plain,
                                                             "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: "
                                                             "h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n")));
  });
}

void add_methods(std::vector<Attempt>& out) {
  Subject methods(out, "1.10", "methods", Needs::egress);
  methods.add("TRACE inside TLS (A13)", [](const Context& context) {
    return judge(context, ask_tls(context, request("TRACE", "/", context.origin)), accept::method);
  });
  methods.add("TRACE to the proxy, Max-Forwards: 0 (A13)", [](const Context& context) {
    return judge(
        context,
        ask_proxy(context, request("TRACE", "http://" + context.origin + "/", context.origin, "Max-Forwards: 0\r\n")),
        accept::method);
  });
  methods.add("CONNECT inside TLS to another host (A13)", [](const Context& context) {
    return judge(context,
                 ask_tls(context, request("CONNECT", context.denied + ":443", context.denied + ":443"), {}, "CONNECT"),
                 accept::method | accept::misdirected | accept::bad_request);
  });
  methods.add("CONNECT inside TLS to the same host (A13)", [](const Context& context) {
    return judge(context, ask_tls(context, request("CONNECT", context.origin + ":443", context.origin), {}, "CONNECT"),
                 accept::method | accept::misdirected | accept::bad_request);
  });
}

void add_git(std::vector<Attempt>& out) {
  Subject git(out, "1.11", "git-push", Needs::egress);
  const std::pair<const char*, std::pair<const char*, const char*>> cases[] = {
      {"announce a push", {"GET", "/group/repo.git/info/refs?service=git-receive-pack"}},
      {"announce a push, escaped", {"GET", "/group/repo.git/info/refs?service=git%2Dreceive%2Dpack"}},
      {"announce a push, letters escaped", {"GET", "/group/repo.git/info/refs?service=%67it-receive-pac%6b"}},
      {"announce a push, name escaped", {"GET", "/group/repo.git/info/refs?%73ervice=git-receive-pack"}},
      {"announce a push, second parameter", {"GET", "/group/repo.git/info/refs?a=b&service=git-receive-pack"}},
      {"announce a push, twice the parameter",
       {"GET", "/group/repo.git/info/refs?service=git-upload-pack&service=git-receive-pack"}},
      {"push", {"POST", "/group/repo.git/git-receive-pack"}},
      {"push, path escaped", {"POST", "/group/repo.git/git%2Dreceive-pack"}},
      {"push, letters escaped", {"POST", "/group/repo.git/%67it-receive-%70ack"}},
      {"push, dot segments", {"POST", "/group/repo.git/./x/../git-receive-pack"}},
      {"push, doubled slash", {"POST", "/group/repo.git//git-receive-pack"}},
      {"push, with a query", {"POST", "/group/repo.git/git-receive-pack?x=1"}},
      {"fetch where no route allows it", {"GET", "/group/repo.git/info/refs?service=git-upload-pack"}},
  };
  for (const auto& [text, line] : cases)
    git.add(std::string(text) + " by HTTPS (E1): " + line.second, [line = line](const Context& context) {
      const bool post = std::string_view(line.first) == "POST";
      return judge(context,
                   ask_tls(context, request(line.first, line.second, context.origin,
                                            post ? "Content-Type: application/x-git-receive-pack-request\r\n" : "",
                                            post ? "0000" : "")));
    });
  git.add("push to the allowed host in upper case with a trailing dot (A14)", [](const Context& context) {
    const std::string name = to_upper(context.origin) + ".";
    return judge(context,
                 ask_tls(context, request("POST", "/group/repo.git/git-receive-pack", name, "", "0000"),
                         {.authority = name + ":443"}),
                 accept::alert);
  });
}

void add_paths(std::vector<Attempt>& out, const Context& base) {
  if (base.guarded.empty()) return;
  Subject paths(out, "1.12", "routes", Needs::egress);
  for (const char* path : {"/", "/secret", "/public/../secret", "/public/%2e%2e/secret", "/public/.%2e/secret",
                           "/public/%252e%252e/secret", "/public/%252%65%252%65/secret", "/publicsecret",
                           "/public/..\\secret", "//secret", "/./secret", "/PUBLIC/secret", "/public%2fsecret",
                           "/public;/secret", "/public/a/../../secret", "/public/..;/secret/..%00"})
    paths.add(std::string("a path outside the allowed prefix (A5, A6): ") + path,
              [path = std::string(path)](const Context& context) {
                return judge(context,
                             ask_tls(context, request("GET", path, context.guarded),
                                     {.authority = context.guarded + ":443", .sni = context.guarded}),
                             accept::bad_request);
              });
}

}  // namespace

void add_reach_protocol(std::vector<Attempt>& out, const Context& context) {
  add_disagreement(out);
  add_second_requests(out, context);
  add_smuggling(out);
  add_upgrades(out, context);
  add_methods(out);
  add_git(out);
  add_paths(out, context);
}

}  // namespace bot_bottle::attack
