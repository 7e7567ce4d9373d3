// 1.1 to 1.5: names and addresses that no route allows, asked of the proxy in every spelling (A1, A11, A14, A17, B5,
// C4).
#include <utility>

#include "core/base/text.hpp"
#include "sidecar/attack/http.hpp"

namespace bot_bottle::attack {
namespace {

constexpr unsigned syntax = accept::bad_request;

/// Both ways to name a host to a proxy.
Outcome by_connect_and_absolute(const Context& context, const std::string& host, const std::string& port) {
  Outcome tunnel = judge(context, ask_connect(context, host + ":" + port), syntax);
  if (tunnel.verdict != Verdict::blocked) return {tunnel.verdict, "CONNECT: " + tunnel.detail};
  const std::string authority = port == "80" ? host : host + ":" + port;
  Outcome absolute = judge(context, ask_proxy(context, request("GET", "http://" + authority + "/", authority)), syntax);
  if (absolute.verdict != Verdict::blocked) return {absolute.verdict, "absolute form: " + absolute.detail};
  return tunnel;
}

void add_denied_names(std::vector<Attempt>& out, const Context& base) {
  Subject names(out, "1.1", "routes", Needs::egress);
  names.add("CONNECT to a host no route names",
            [](const Context& context) { return judge(context, ask_connect(context, context.denied + ":443")); });
  names.add("absolute form to a host no route names", [](const Context& context) {
    return judge(context, ask_proxy(context, request("GET", "http://" + context.denied + "/", context.denied)));
  });
  names.add("absolute form with https to a host no route names", [](const Context& context) {
    return judge(context, ask_proxy(context, request("GET", "https://" + context.denied + "/", context.denied)),
                 syntax);
  });
  names.add("origin form sent to the proxy, the host only in Host", [](const Context& context) {
    return judge(context, ask_proxy(context, request("GET", "/", context.denied)), syntax | accept::misdirected);
  });
  names.add("HTTP/1.0 in absolute form", [](const Context& context) {
    return judge(context, ask_proxy(context, "GET http://" + context.denied + "/ HTTP/1.0\r\n\r\n"), syntax);
  });
  const std::pair<const char*, std::string> near[] = {
      {"a subdomain of an allowed host (B2)", "evil." + base.origin},
      {"an allowed host as a prefix of another", base.origin + ".evil.example.org"},
      {"an allowed host as a suffix of another", "evil" + base.origin},
      {"the parent of an allowed host (A14)", base.origin.substr(base.origin.find('.') + 1)},
      {"a wildcard", "*" + base.origin.substr(base.origin.find('.'))},
      {"userinfo that names an allowed host", base.origin + "@" + base.denied},
      {"userinfo with a password", base.origin + ":443@" + base.denied},
      {"a denied host in upper case with a trailing dot (A14)", to_upper(base.denied) + "."},
      {"an allowed host with two trailing dots", base.origin + ".."},
      {"an allowed host with an empty label", "." + base.origin},
      {"localhost by name (A17, C4)", "localhost"},
      {"localhost with a trailing dot (A17)", "localhost."},
      {"ip6-localhost (A17)", "ip6-localhost"},
      {"host.docker.internal (C4)", "host.docker.internal"},
      {"metadata.google.internal", "metadata.google.internal"},
      {"the sidecar's own endpoint by name", "egress"},
      {"a homoglyph in UTF-8", "\xd0\xbe" + base.origin.substr(1)},
      {"a full-width letter in UTF-8", "\xef\xbd\x8f" + base.origin.substr(1)},
      {"a name of 300 octets", std::string(60, 'a') + "." + std::string(60, 'b') + "." + std::string(60, 'c') + "." +
                                   std::string(60, 'd') + "." + std::string(60, 'e')},
  };
  for (const auto& [text, host] : near)
    names.add(text, [host = host](const Context& context) { return by_connect_and_absolute(context, host, "443"); });
}

void add_bad_octets(std::vector<Attempt>& out, const Context& base) {
  Subject octets(out, "1.2", "grammar", Needs::egress);
  using namespace std::string_literals;
  const std::pair<const char*, std::string> cases[] = {
      {"NUL before an allowed suffix (A1)", base.denied + "\0."s + base.origin},
      {"NUL after an allowed prefix (A1)", base.origin + "\0."s + base.denied},
      {"an encoded NUL (A1)", base.denied + "%00." + base.origin},
      {"an encoded dot", "denied%2eexample.com"},
      {"a slash", base.denied + "/." + base.origin},
      {"a backslash", base.denied + "\\." + base.origin},
      {"a question mark", base.denied + "?." + base.origin},
      {"a number sign", base.denied + "#." + base.origin},
      {"a tab", base.denied + "\t." + base.origin},
      {"a bare LF", base.denied + "\n." + base.origin},
      {"a bare CR", base.denied + "\r." + base.origin},
      {"DEL", base.denied + "\x7f." + base.origin},
      {"a comma", base.denied + "," + base.origin},
      {"a semicolon", base.denied + ";" + base.origin},
      {"brackets around a name", "[" + base.denied + "]"},
      {"an empty name", ""},
      {"only a dot", "."},
  };
  for (const auto& [text, host] : cases)
    octets.add(std::string("host with ") + text,
               [host = host](const Context& context) { return by_connect_and_absolute(context, host, "443"); });
  octets.add("NUL in the Host header inside TLS (A1)", [](const Context& context) {
    const std::string host = context.origin + std::string("\0.", 2) + context.denied;
    return judge(context, ask_tls(context, request("GET", "/", host)), syntax | accept::misdirected);
  });
}

void add_addresses(std::vector<Attempt>& out, const Context& base) {
  Subject addresses(out, "1.3", "names", Needs::egress);
  const std::string port = base.host_ports.empty() ? "443" : std::to_string(base.host_ports.front());
  const std::pair<const char*, const char*> cases[] = {
      {"dotted", "127.0.0.1"},
      {"short", "127.1"},
      {"three parts", "127.0.1"},
      {"decimal", "2130706433"},
      {"hex", "0x7f000001"},
      {"hex with dots", "0x7f.0x0.0x0.0x1"},
      {"hex, first part only", "0x7f.1"},
      {"octal", "0177.0.0.1"},
      {"octal without dots", "017700000001"},
      {"zero-padded", "127.000.000.001"},
      {"trailing dot", "127.0.0.1."},
      {"overflowing", "4294967296"},
      {"full-width digits", "\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1"},
      {"ideographic full stops",
       "127\xe3\x80\x82"
       "0\xe3\x80\x82"
       "0\xe3\x80\x82"
       "1"},
      {"circled digits", "\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.0.0.1"},
      {"unspecified", "0.0.0.0"},
      {"zero", "0"},
      {"IPv6 loopback", "[::1]"},
      {"IPv6 loopback, long", "[0:0:0:0:0:0:0:1]"},
      {"IPv6 loopback without brackets", "::1"},
      {"IPv6 unspecified", "[::]"},
      {"IPv4-mapped", "[::ffff:127.0.0.1]"},
      {"IPv4-mapped in hex", "[::ffff:7f00:1]"},
      {"IPv4-compatible", "[::127.0.0.1]"},
      {"NAT64", "[64:ff9b::127.0.0.1]"},
      {"NAT64 in hex", "[64:ff9b::7f00:1]"},
      {"6to4", "[2002:7f00:1::]"},
      {"zone id", "[fe80::1%eth0]"},
      {"zone id, encoded", "[fe80::1%25lo]"},
      {"IPvFuture", "[v1.127.0.0.1]"},
      {"public IPv4", "1.1.1.1"},
      {"public IPv6", "[2606:4700:4700::1111]"},
      {"the metadata service", "169.254.169.254"},
      {"the metadata service in hex", "0xa9fea9fe"},
      {"the metadata service, IPv6", "[fd00:ec2::254]"},
      {"a private address", "10.0.0.1"},
      {"the sidecar itself, a loop (L)", "127.0.0.1"},
  };
  for (const auto& [text, host] : cases) {
    const std::string to = std::string(text).starts_with("the sidecar") ? std::to_string(base.proxy_port) : port;
    addresses.add(
        std::string("IP literal, ") + text + ": " + host + " (A11, B5)",
        [host = std::string(host), to](const Context& context) { return by_connect_and_absolute(context, host, to); });
  }
}

void add_ports(std::vector<Attempt>& out) {
  Subject ports(out, "1.4", "routes", Needs::egress);
  for (const char* port : {"22", "25", "80", "53", "8443", "9418", "0", "65979", "65536", "-1", "443x", "+443", "0x1bb",
                           "", "99999999999999999999", "443:443"})
    ports.add(std::string("CONNECT to an allowed host, port \"") + port + "\" (A11)",
              [port = std::string(port)](const Context& context) {
                return judge(context, ask_connect(context, context.origin + ":" + port), syntax);
              });
  ports.add("CONNECT without a port",
            [](const Context& context) { return judge(context, ask_connect(context, context.origin), syntax); });
  ports.add("plain http to a route that is https only (F8)", [](const Context& context) {
    return judge(context, ask_proxy(context, request("GET", "http://" + context.origin + "/", context.origin)));
  });
  ports.add("plain http on port 443", [](const Context& context) {
    return judge(context,
                 ask_proxy(context, request("GET", "http://" + context.origin + ":443/", context.origin + ":443")));
  });
  ports.add("plain http inside the tunnel instead of TLS", [](const Context& context) {
    auto channel = Channel::dial(context);
    if (!channel) return failed(channel.error().message);
    if (auto sent =
            channel->write("CONNECT " + context.origin + ":443 HTTP/1.1\r\nHost: " + context.origin + ":443\r\n\r\n");
        !sent)
      return failed(sent.error().message);
    if (channel->read_response("CONNECT").status != 200) return failed("CONNECT was refused");
    if (auto sent = channel->write(request("GET", "/", context.origin)); !sent) return failed(sent.error().message);
    Response response = channel->read_response();
    // A TLS server says it with an alert record, which is no HTTP.
    if (response.status == 0 && channel->pending().starts_with("\x15\x03")) return blocked("TLS alert");
    return judge(context, response, accept::bad_request | accept::misdirected | accept::closed | accept::alert);
  });
}

void add_internal(std::vector<Attempt>& out, const Context& base) {
  if (base.internal.empty()) return;
  Subject internal(out, "1.5", "ssrf", Needs::egress);
  internal.add("an allowed name that resolves to the host's loopback (B4)", [](const Context& context) {
    return judge(context, ask_proxy(context, request("GET", "http://" + context.internal + "/", context.internal)));
  });
}

}  // namespace

void add_reach_names(std::vector<Attempt>& out, const Context& context) {
  add_denied_names(out, context);
  add_bad_octets(out, context);
  add_addresses(out, context);
  add_ports(out);
  add_internal(out, context);
}

}  // namespace bot_bottle::attack
