// J: every disguise, every two of them, however the body is cut; what it costs; what must pass all the same.
#include <random>

#include "sidecar/dlp/known_secrets.hpp"
#include "sidecar/dlp/skeleton.hpp"
#include "sidecar/dlp/unescape.hpp"
#include "tests/unit/sidecar/dlp/disguises.hpp"
#include "tests/unit/sidecar/dlp/support.hpp"

namespace bot_bottle::dlp {
namespace {

constexpr Detectors only_known{.token_patterns = false, .known_secrets = true};

std::string a_secret(std::uint64_t seed = 5) {
  return or_throw(expand_sample("{{36:alnum}}", seed));
}

/// Found by scan and, however it is cut, by the stream, which has released nothing of it.
void expect_found(const std::string& secret, const std::string& body, const std::string& what, std::size_t cuts) {
  const auto secrets = known({{"TOKEN", secret}});
  const std::string text = "{\"a\": \"100%\", \"b\": \"" + body + "\", \"c\": 1}";
  const std::size_t begin = text.find(body);
  ASSERT_TRUE(scan(*shipped_rules(), *secrets, only_known, text)) << what << ": " << body.substr(0, 300);
  std::mt19937 random(static_cast<unsigned>(body.size()));
  for (std::size_t i = 0; i < cuts; ++i) {
    const std::size_t first = begin + random() % body.size();
    const std::size_t second = first + random() % (text.size() - first);
    const Streamed streamed = stream_cut(shipped_rules(), secrets, text, {first, second}, only_known);
    ASSERT_TRUE(streamed.finding) << what << " at " << first << ", " << second;
    ASSERT_EQ(streamed.finding->rule, "known-secret:TOKEN");
    ASSERT_LE(streamed.released.size(), begin) << what << " at " << first << ", " << second;
  }
  const Streamed octets = stream_octets(shipped_rules(), secrets, text, only_known);
  ASSERT_TRUE(octets.finding) << what;
  ASSERT_LE(octets.released.size(), begin) << what;
}

TEST(Disguises, J_a_secret_in_any_one_of_them_is_found_however_it_is_cut) {
  for (const std::string& secret :
       {a_secret(), or_throw(expand_sample("{{16:alnum}}", 9)), std::string("sk-ab_CD/12+Z.9~xYw:Q")}) {
    for (const auto& disguise : naive::disguises()) expect_found(secret, disguise.put_on(secret), disguise.name, 12);
  }
  for (const auto& disguise : naive::clothes())
    expect_found(a_secret(), disguise.put_on(a_secret()), disguise.name, 12);
}

TEST(Disguises, J_a_secret_in_any_two_of_them_is_found_however_it_is_cut) {
  const std::string secret = a_secret();
  for (const auto& inner : naive::disguises()) {
    for (const auto& outer : naive::disguises()) {
      // Nobody gets an escape back from its own letters turned round or moved on.
      const bool escape = std::string_view(inner.name).find("entities") != std::string_view::npos ||
                          std::string_view("percent JSON \\x").find(inner.name) != std::string_view::npos;
      const bool turned = std::string_view("reversed rot13").find(outer.name) != std::string_view::npos;
      if (escape && turned) continue;
      expect_found(secret, outer.put_on(inner.put_on(secret)), std::string(outer.name) + " of " + inner.name, 2);
    }
  }
  for (const auto& inner : naive::clothes())
    for (const std::size_t outer : {0U, 1U, 10U})
      expect_found(secret, naive::disguises()[outer].put_on(inner.put_on(secret)),
                   std::string(naive::disguises()[outer].name) + " of " + inner.name, 2);
}

TEST(Disguises, J_compressed_data_is_read_where_it_stands) {
  const std::string secret = a_secret();
  const std::string inner = "noise and more noise, then " + secret + " and so on, on and on";
  const std::pair<const char*, std::string> blobs[] = {{"gzip", naive::zlib(inner, 31)},
                                                       {"zlib", naive::zlib(inner, 15)},
                                                       {"zstd", naive::zstd(inner)},
                                                       {"gzip of gzip", naive::zlib(naive::zlib(inner, 31), 31)},
                                                       {"gzip of base64", naive::zlib(naive::base64(inner), 31)}};
  for (const auto& [name, blob] : blobs) {
    expect_found(secret, blob, name, 8);
    expect_found(secret, naive::base64(blob), std::string("base64 of ") + name, 8);
    expect_found(secret, naive::hex(blob, "", false), std::string("hex of ") + name, 8);
  }
}

TEST(Disguises, J_a_secret_over_the_fields_of_a_message_is_found) {
  const std::string s = a_secret();
  const auto secrets = known({{"TOKEN", s}});
  std::string letters = "[";
  std::string many = "{";
  std::string names = "{";
  std::string form;
  std::string multipart;
  for (std::size_t i = 0; i < s.size(); i += 4) {
    const std::string part = s.substr(i, 4);
    letters += "{\"letter\": \"" + part + "\"}, ";
    many += "\"key" + std::to_string(i) + "\": {\"value\" : \"" + part + "\"}, ";
    names += "\"" + part + "\": " + "true, ";
    form += (i > 0 ? "&f" : "f") + std::to_string(i) + "=" + part;
    multipart += "--frontier\r\nContent-Disposition: form-data; name=\"f\"; filename=\"" + part + "\"\r\n\r\n\r\n";
  }
  const std::string long_text(5000, 'z');
  const std::pair<const char*, std::string> bodies[] = {
      {"array of objects", letters},
      {"nested objects", many},
      {"names", names},
      {"form", form},
      {"file names", multipart},
      {"halves", "{\"a\": \"" + s.substr(0, 18) + "\", \"b\": 1.5e3, \"c\": \"" + s.substr(18) + "\"}"},
      {"JSON-RPC", R"({"jsonrpc": "2.0", "id": "x", "params": {"a": ")" + s.substr(0, 18) + R"(", "b": "\u00)" +
                       hex_encode(s.substr(18, 1)) + s.substr(19) + "\"}}"},
      {"ends of long values",
       "{\"a\": \"" + long_text + " " + s.substr(0, 18) + "\", \"b\": \"" + s.substr(18) + " " + long_text + "\"}"},
  };
  for (const auto& [name, body] : bodies) {
    const std::size_t begin = body.find(s.substr(0, 4));
    for (std::size_t cut = 0; cut <= body.size(); cut += 1 + body.size() / 97) {
      const Streamed streamed = stream_cut(shipped_rules(), secrets, body, {cut}, only_known);
      ASSERT_TRUE(streamed.finding) << name << " at " << cut;
      ASSERT_EQ(streamed.finding->encoding, "joined") << name;
      ASSERT_LE(streamed.released.size(), begin) << name << " at " << cut;
    }
    ASSERT_TRUE(stream_octets(shipped_rules(), secrets, body, only_known).finding) << name;
  }
}

/// As JSON writes it inside of a string, `times` over.
std::string quoted(std::string text, int times) {
  for (; times > 0; --times) {
    std::string next;
    for (const char c : text) {
      if (c == '\n') {
        next += "\\n";
      } else {
        if (c == '"' || c == '\\') next += '\\';
        next += c;
      }
    }
    text = next;
  }
  return text;
}

TEST(Disguises, J_a_token_in_a_JSON_string_is_found_behind_line_breaks_and_quotes) {
  const auto none = known({});
  // One that is only found at the begin of a word.
  const std::string token = or_throw(expand_sample("hf_{{34:alnum}}", 4));
  const std::string key = or_throw(expand_sample("{{24:alnum}}", 6));
  for (const std::string& content : {"line\n" + token + "\nend", "client_secret=\"" + key + "\"\n"}) {
    for (int times = 1; times <= 2; ++times) {
      const std::string text = "{\"content\": \"" + quoted(content, times) + "\"}";
      ASSERT_TRUE(scan(*shipped_rules(), *none, {}, text)) << text;
      for (std::size_t cut = 0; cut < text.size(); ++cut) {
        const Streamed streamed = stream_cut(shipped_rules(), none, text, {cut}, {});
        ASSERT_TRUE(streamed.finding) << text << " at " << cut;
        ASSERT_LE(streamed.released.size(), streamed.finding->offset);
      }
    }
  }
  EXPECT_FALSE(scan(*shipped_rules(), *none, {}, "{\"path\": \"" + quoted("C:\\new\\table\n\"nothing\"", 1) + "\"}"));
}

TEST(Disguises, J_a_long_token_is_found_behind_a_quoted_line_break_far_from_the_next) {
  const auto none = known({});
  const std::string token = or_throw(expand_sample("eyJ{{390:alnum}}.eyJ{{16:alnum}}", 4));
  const std::string filler(5000, '.');
  for (const std::string& text :
       {"\\n" + token, filler + "\\n" + token + filler, "\\n" + filler + "\\n" + token + "\\n" + filler,
        filler + "(\\n" + filler.substr(0, 1500) + "\\n" + token + "\\n"}) {
    EXPECT_TRUE(scan(*shipped_rules(), *none, {}, text));
    const std::size_t at = text.find(token);
    // What is behind the line break in its own piece is read with the end of the piece before it.
    for (std::size_t cut = at - 2; cut < at + token.size(); cut += 23) {
      const Streamed streamed = stream_cut(shipped_rules(), none, text, {cut}, {});
      ASSERT_TRUE(streamed.finding) << cut - at;
      ASSERT_LE(streamed.released.size(), streamed.finding->offset);
    }
  }
  // An assignment whose name stands before the quoted quotation mark.
  const std::string key = or_throw(expand_sample("{{24:alnum}}", 6));
  const std::string text = filler + " client_secret=\\\"" + key + "\\\"" + filler;
  EXPECT_TRUE(scan(*shipped_rules(), *none, {}, text));
}

TEST(Disguises, the_skeleton_by_blocks_is_the_plain_one) {
  std::mt19937 random(3);
  for (int round = 0; round < 6000; ++round) {
    std::string text(random() % 400, ' ');
    const auto kind = random() % 4;
    for (char& c : text)
      c = kind == 0            ? static_cast<char>(random() % 256)
          : kind == 1          ? "ab\\nrt .%\n"[random() % 10]
          : kind == 2          ? static_cast<char>('a' + random() % 26)
          : random() % 40 == 0 ? 'x'
                               : ' ';
    std::string expected;
    SkeletonState plain;
    append_skeleton_plainly(expected, text, plain);
    for (const SkeletonMaker make : skeleton_makers()) {
      std::string got;
      SkeletonState state;
      for (std::size_t at = 0; at < text.size();) {
        const std::size_t size = 1 + random() % 200;
        make(got, std::string_view(text).substr(at, size), state);
        at += size;
      }
      ASSERT_EQ(got, expected);
      ASSERT_EQ(state.gap, plain.gap);
    }
  }
}

TEST(Disguises, an_escape_is_found_wherever_it_stands) {
  for (std::size_t size = 3; size < 200; ++size) {
    for (std::size_t at = 0; at + 3 <= size; ++at) {
      for (const std::string_view escape : {"%41", "\\x4", "\xe2\x80\x8b"}) {
        std::string text(size, 'a');
        text.replace(at, escape.size(), escape);
        ASSERT_EQ(find_escape(text), at) << size;
        ASSERT_EQ(find_escape(text, at + 1), std::string::npos) << size;
      }
    }
  }
}

TEST(Disguises, decoding_undoes_layers_in_one_pass) {
  const std::pair<std::string_view, std::string_view> cases[] = {{"%2541%252541", "AA"},
                                                                 {"&#37;41", "A"},
                                                                 {"\\\\u0041\\u0042", "AB"},
                                                                 {"&amp;#65;&#66 c", "AB c"},
                                                                 {"%3%3%3%31 %4", "1 %4"},
                                                                 {"\\ud83c\\udde6", "A"},
                                                                 {"a\xe2\x80\x8b"
                                                                  "b",
                                                                  "ab"},
                                                                 {"100% %zz \\q &nope;", "100% %zz \\q &nope;"},
                                                                 {"\xef\xbc\xa1\xd0\xb0", "Aa"},
                                                                 {"\\u{1F1E6}\\101", "AA"},
                                                                 {"caf\xc3\xa9", "caf\xc3\xa9"}};
  for (const auto& [text, expected] : cases) {
    const Unescaped view = unescape(text);
    EXPECT_EQ(view.text, expected) << text;
    ASSERT_EQ(view.origin.size(), view.text.size() + 1);
    EXPECT_TRUE(std::is_sorted(view.origin.begin(), view.origin.end())) << text;
  }
  std::string chain;
  for (int i = 0; i < 200'000; ++i) chain += "%3";
  EXPECT_EQ(unescape(chain + "1").text, "1");
}

TEST(Disguises, no_body_costs_more_than_a_few_looks_at_each_octet) {
  const auto secrets = known({{"A", a_secret(1)},
                              {"B", or_throw(expand_sample("{{24:base64}}", 2))},
                              {"C", or_throw(expand_sample("sk-ant-{{93:base64url}}", 3))}});
  const auto repeated = [](std::string_view text) {
    std::string out;
    while (out.size() < 400'000) out += text;
    return out;
  };
  const std::string bodies[] = {repeated("the quick brown fox jumps over 12 lazy dogs. "),
                                repeated("%41"),
                                repeated(std::string(600, 'a') + "%41"),
                                repeated("%25252541&#x25;u0041\\u0025u0041 "),
                                repeated("%3"),
                                repeated("a" + std::string(60, ' ')),
                                repeated("a" + std::string(60, ' ') + "%41"),
                                repeated(naive::base64(naive::base64(a_secret(8)))),
                                repeated(naive::base64(repeated("%41%42 "))),
                                repeated("{\"a\":\"b\"},"),
                                repeated("\x1f\x8b\x08\x08"),
                                repeated("H4sIAAAAAAAAA/"),
                                repeated("0123456789abcdef"),
                                repeated("ABCDEFGH")};
  for (const std::string& body : bodies) {
    for (const std::size_t size : {std::size_t{1}, std::size_t{100}, std::size_t{65536}}) {
      Stream stream(shipped_rules(), secrets, only_known);
      std::string released;
      const std::string_view part = std::string_view(body).substr(0, size == 1 ? 60'000 : body.size());
      for (std::size_t at = 0; at < part.size(); at += size)
        if (stream.write(part.substr(at, size), released)) break;
      EXPECT_LE(stream.work(), part.size() * 12 + 1'000'000) << body.substr(0, 40) << " by " << size;
    }
  }
}

TEST(Fragments, A12_pieces_over_requests_add_up_and_are_forgotten_after_an_hour) {
  const std::string s = a_secret();
  const auto secrets = known({{"TOKEN", s}});
  std::uint64_t now = 1000;
  const auto send = [&](Fragments& fragments, std::string_view text) {
    const Detectors detectors{.token_patterns = false, .known_secrets = true, .fragments = &fragments};
    return scan(*shipped_rules(), *secrets, detectors, "GET /piece?d=" + std::string(text));
  };
  {
    Fragments fragments(secrets, [&] { return now; });
    EXPECT_FALSE(send(fragments, s.substr(0, 12)));
    EXPECT_FALSE(send(fragments, s.substr(0, 12))) << "the same again is not more";
    EXPECT_FALSE(send(fragments, "nothing at all"));
    EXPECT_FALSE(send(fragments, s.substr(7, 12)));
    const auto finding = send(fragments, s.substr(14, 17));
    ASSERT_TRUE(finding);
    EXPECT_EQ(finding->rule, "known-secret:TOKEN");
    EXPECT_EQ(finding->encoding, "fragments");
    EXPECT_FALSE(send(fragments, "nothing at all")) << "what holds nothing of it goes on";
  }
  Fragments fragments(secrets, [&] { return now; });
  EXPECT_FALSE(send(fragments, s.substr(0, 18)));
  now += 3'700'000;
  EXPECT_FALSE(send(fragments, s.substr(13, 18))) << "the first piece is an hour old";
  EXPECT_TRUE(send(fragments, s.substr(5, 14)));
}

TEST(Fragments, every_gram_is_noticed_wherever_it_stands) {
  const std::string s = a_secret();
  const auto secrets = known({{"TOKEN", s}});
  // Each alone among letters that are none of its own: the look at every third place must meet it all the same.
  const auto sends_until_found = [&](std::size_t offset) {
    Fragments fragments(secrets, [] { return 1000; });
    std::size_t sends = 0;
    for (std::size_t at = 0; at + gram6_octets <= s.size(); ++at) {
      ++sends;
      if (fragments.note(std::string(offset, 'q') + s.substr(at, gram6_octets) + "qqqqqqqq")) return sends;
    }
    return std::size_t{0};
  };
  const std::size_t sends = sends_until_found(0);
  ASSERT_GT(sends, 0U);
  for (std::size_t offset = 1; offset < 24; ++offset) EXPECT_EQ(sends_until_found(offset), sends) << offset;
}

TEST(Fragments, a_piece_deep_in_a_body_counts) {
  const std::string s = a_secret();
  const auto secrets = known({{"TOKEN", s}});
  Fragments fragments(secrets, [] { return 1000; });
  const Detectors detectors{.token_patterns = false, .known_secrets = true, .fragments = &fragments};
  const std::string filler(200'000, '.');
  EXPECT_FALSE(stream_cut(shipped_rules(), secrets, filler + s.substr(0, 18) + filler, {}, detectors).finding);
  EXPECT_TRUE(stream_cut(shipped_rules(), secrets, filler + s.substr(13, 18) + filler, {}, detectors).finding);
}

TEST(Fragments, words_and_numbers_of_a_secret_do_not_add_up) {
  const auto secrets = known({{"PHRASE", "correct-horse-battery-staple-20240101"}, {"TOKEN", a_secret()}});
  Fragments fragments(secrets, [] { return 1000; });
  const Detectors detectors{.token_patterns = false, .known_secrets = true, .fragments = &fragments};
  for (const char* text : {"the correct horse", "a horse battery", "battery staple!", "on 2024-01-01 at 2024"})
    EXPECT_FALSE(scan(*shipped_rules(), *secrets, detectors, text)) << text;
}

TEST(Spares, ordinary_texts_hold_no_secret) {
  const auto secrets = known(
      {{"A", a_secret(1)}, {"B", "20240101"}, {"C", "--------------------------x"}, {"D", "p\xc3\xa4ss w\"rd&1"}});
  std::mt19937 random(11);
  std::string noise(300'000, ' ');
  for (char& c : noise) c = static_cast<char>(random() % 256);
  const std::string texts[] = {noise,
                               naive::base64(noise),
                               naive::hex(noise, ":", false),
                               "on 2024-01-01, 20 24 01 01 and 2,024,010,1",
                               std::string(100, '-') + " x",
                               "p\xc3\xa4ss word & 1",
                               "Съешь же ещё этих мягких французских булок"};
  for (const std::string& text : texts)
    EXPECT_FALSE(stream_cut(shipped_rules(), secrets, text, {text.size() / 3}, only_known).finding)
        << text.substr(0, 40);
}

TEST(Scrubber, an_event_that_ends_in_a_line_break_waits_for_nothing) {
  const std::string s = a_secret();
  const auto secrets = known({{"TOKEN", s}});
  Scrubber scrubber(secrets);
  for (std::size_t size = 1; size < s.size(); ++size) {
    std::string out;
    const std::string event = "data: {\"delta\": \"" + s.substr(0, size) + "\"}\n\n";
    scrubber.write(event, out, Scrubber::Flush::now);
    EXPECT_EQ(out, event);
  }
}

TEST(Scrubber, E5_an_echo_in_any_encoding_is_replaced) {
  const std::string s = a_secret();
  const auto secrets = known({{"TOKEN", s}});
  for (const auto& disguise : naive::disguises()) {
    const std::string text = "your token: " + disguise.put_on(s) + " (keep it)\n";
    for (const std::size_t cut : {std::size_t{5}, text.size() / 2, text.size() - 20}) {
      Scrubber scrubber(secrets);
      std::string out;
      std::size_t count = scrubber.write(text.substr(0, cut), out);
      count += scrubber.write(text.substr(cut), out);
      count += scrubber.finish(out);
      EXPECT_EQ(count, 1U) << disguise.name << ": " << out;
      EXPECT_FALSE(scan(*shipped_rules(), *secrets, only_known, out)) << disguise.name << ": " << out;
      EXPECT_TRUE(out.starts_with("your token: ") && out.ends_with(" (keep it)\n")) << out;
    }
  }
}

}  // namespace
}  // namespace bot_bottle::dlp
