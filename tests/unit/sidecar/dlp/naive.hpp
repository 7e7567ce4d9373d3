// The oracle: finds secrets in a whole buffer in the plainest way, with none of the engine's parts but the rule texts.
#pragma once

#include <openssl/evp.h>
#include <re2/re2.h>

#include <cmath>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/text.hpp"
#include "sidecar/dlp/rule_file.hpp"

namespace bot_bottle::dlp::naive {

inline int digit_of(char c) {
  const std::size_t at =
      std::string_view("0123456789abcdef").find(c >= 'A' && c <= 'F' ? static_cast<char>(c + 32) : c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

inline std::string decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && digit_of(text[i + 1]) >= 0 && digit_of(text[i + 2]) >= 0) {
      out += static_cast<char>(digit_of(text[i + 1]) * 16 + digit_of(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

inline double entropy(std::string_view text) {
  std::map<char, double> counts;
  for (const char c : text) counts[c] += 1;
  double bits = 0;
  for (const auto& [c, count] : counts)
    bits -= count / static_cast<double>(text.size()) * std::log2(count / static_cast<double>(text.size()));
  return bits;
}

class Rule {
 public:
  explicit Rule(const RuleText& text) : text_(text), regex_(text.regex, RE2::Latin1) {
    for (const std::string& allow : text.allow_regexes) allow_.push_back(std::make_unique<RE2>(allow, RE2::Latin1));
  }
  /// Every match at every start, judged by itself.
  bool found_in(std::string_view text) const {
    const re2::StringPiece piece(text.data(), text.size());
    std::vector<re2::StringPiece> groups(static_cast<std::size_t>(regex_.NumberOfCapturingGroups()) + 1);
    for (std::size_t start = 0; start < text.size(); ++start) {
      if (!regex_.Match(piece, start, text.size(), RE2::UNANCHORED, groups.data(), static_cast<int>(groups.size())))
        return false;
      start = static_cast<std::size_t>(groups[0].data() - text.data());
      re2::StringPiece secret = groups[text_.secret_group];
      if (text_.secret_group == 0 && groups.size() > 1 && !groups[1].empty()) secret = groups[1];
      const std::string value(secret.data(), secret.size());
      bool spared = text_.entropy > 0 && entropy(value) <= text_.entropy;
      for (const std::string& word : text_.allow_stopwords)
        spared = spared || to_lower(value).find(word) != std::string::npos;
      for (const auto& allow : allow_) spared = spared || RE2::PartialMatch(value, *allow);
      if (!spared) return true;
    }
    return false;
  }

 private:
  const RuleText& text_;
  RE2 regex_;
  std::vector<std::unique_ptr<RE2>> allow_;
};

inline std::string base64(std::string_view bytes) {
  std::string out(bytes.size() * 2 + 8, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}
inline std::string url_safe(std::string text) {
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  while (text.ends_with('=')) text.pop_back();
  return text;
}
inline std::string hex(std::string_view bytes, std::string_view separator, bool upper) {
  std::string out;
  for (const char c : bytes) {
    if (!out.empty()) out += separator;
    const std::string pair = hex_encode(std::string_view(&c, 1));
    out += upper ? to_upper(pair) : pair;
  }
  return out;
}

/// Ways an agent may write a secret, by name.
inline std::vector<std::pair<std::string, std::string>> spellings(const std::string& secret, unsigned seed) {
  std::vector<std::pair<std::string, std::string>> all{{"plain", secret}};
  for (const std::string_view before : {"", "a", "ab"}) {
    for (const std::string_view after : {"", "xyz"}) {
      const std::string text = base64(std::string(before) + secret + std::string(after));
      all.emplace_back("base64", text);
      all.emplace_back("base64", url_safe(text));
    }
  }
  for (const std::string_view separator : {"", ":", "-", " ", "\\x"})
    for (const bool upper : {false, true}) all.emplace_back("hex", hex(secret, separator, upper));
  for (unsigned keep = 1; keep <= 3; ++keep) {
    std::string mixed;
    for (const char c : secret) {
      seed = seed * 1103515245U + 12345U;
      if ((seed >> 16U) % keep == 0)
        mixed += "%" + ((seed >> 20U) % 2 == 0 ? hex_encode(std::string_view(&c, 1))
                                               : to_upper(hex_encode(std::string_view(&c, 1))));
      else
        mixed += c;
    }
    all.emplace_back("percent", mixed);
  }
  std::string twice;
  for (const char c : base64(secret)) twice += "%" + hex_encode(std::string_view(&c, 1));
  all.emplace_back("percent+base64", twice);
  return all;
}

}  // namespace bot_bottle::dlp::naive
