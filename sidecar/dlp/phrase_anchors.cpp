#include "sidecar/dlp/phrase_anchors.hpp"

#include <algorithm>
#include <optional>
#include <set>

namespace bot_bottle::dlp {
namespace {

using Texts = std::set<std::string>;

constexpr std::size_t max_texts = 256;  // of one part of a regex; beyond it is not written out

/// In every page of the web: no good to tell one from another.
constexpr std::string_view common_words =
    " above address all also and any are around as at be been before being but by call can code command commands "
    "containing content data do don domain endpoint file following for from has have host http https if image in "
    "include included including instead is it its link list message messages model models must my need needs never new "
    "no not now of on open or other our page please post query read request run server should show system test text "
    "that the their them then these they this to type url use user via was we were what when where will with without "
    "write you your ";

/// What is known of a part of a regex.
struct Part {
  std::optional<Texts> all;     // every text it matches
  std::optional<Texts> needed;  // each match holds one of them
};

Texts without_longer(const Texts& texts) {
  Texts shortest;
  for (const std::string& text : texts) {
    const bool holds_another = std::ranges::any_of(
        texts, [&](const std::string& other) { return other != text && text.find(other) != std::string::npos; });
    if (!holds_another) shortest.insert(text);
  }
  return shortest;
}

/// How often ordinary text would hold one of them, roughly: for choosing alone, so nothing depends on its being right.
double commonness(const Texts& texts) {
  double sum = 0;
  for (const std::string& text : without_longer(texts)) {
    std::size_t words = 0;
    std::size_t telling = 0;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find(' ', at), text.size());
      const std::string word = text.substr(at, end - at);
      at = end + 1;
      if (word.empty()) continue;
      ++words;
      if (word.size() > 2 && common_words.find(' ' + word + ' ') == std::string_view::npos) ++telling;
    }
    // Three letters also come together by chance, in base64.
    sum += text.size() < 3 ? 1.0 : text.size() < 4 ? 0.1 : telling == 0 ? 1e-3 : words > 1 ? 1e-5 : 2e-5;
  }
  return sum;
}

void choose(std::optional<Texts>& best, const std::optional<Texts>& other) {
  if (!other || other->empty() || other->contains("")) return;
  if (!best || commonness(*other) < commonness(*best)) best = other;
}

std::optional<Texts> needed_of(const Part& part) {
  std::optional<Texts> best;
  choose(best, part.all);
  choose(best, part.needed);
  return best;
}

class Parser {
 public:
  explicit Parser(std::string_view regex) : rest_(regex) {}

  std::optional<Part> whole() {
    Part part = alternatives();
    if (failed_ || !rest_.empty()) return std::nullopt;
    return part;
  }

 private:
  bool take(std::string_view text) {
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }

  Part alternatives() {
    Part part = sequence();
    while (take("|")) {
      const Part other = sequence();
      const auto one = needed_of(part);
      const auto two = needed_of(other);
      Part both;
      if (part.all && other.all && part.all->size() + other.all->size() <= max_texts) {
        both.all = part.all;
        both.all->insert(other.all->begin(), other.all->end());
      }
      if (one && two) {
        both.needed = one;
        both.needed->insert(two->begin(), two->end());
      }
      part = std::move(both);
    }
    return part;
  }

  Part sequence() {
    Part part;
    std::optional<Texts> run = Texts{""};  // the texts of the last items, as far as they are written out
    bool whole = true;
    while (!rest_.empty() && rest_[0] != '|' && rest_[0] != ')') {
      const Part next = item();
      if (failed_) return {};
      choose(part.needed, needed_of(next));
      if (next.all && run->size() * next.all->size() <= max_texts) {
        Texts longer;
        for (const std::string& begin : *run)
          for (const std::string& end : *next.all) longer.insert(begin + end);
        run = std::move(longer);
        continue;
      }
      whole = false;
      choose(part.needed, run);
      run = next.all ? next.all : std::optional(Texts{""});
    }
    if (whole)
      part.all = run;
    else
      choose(part.needed, run);
    return part;
  }

  Part item() {
    Part part;
    if (take("(?:")) {
      part = alternatives();
      failed_ = failed_ || !take(")");
    } else if (take("[")) {
      const std::size_t end = rest_.find(']');
      failed_ = failed_ || end == std::string_view::npos;
      if (!failed_) rest_.remove_prefix(end + 1);
    } else if (!rest_.empty() && std::string_view("?{}[]():,-").find(rest_[0]) == std::string_view::npos) {
      part.all = Texts{std::string(rest_.substr(0, 1))};
      rest_.remove_prefix(1);
    } else {
      failed_ = true;
    }
    if (failed_) return {};
    if (take("?")) {
      if (part.all) part.all->insert("");
      part.needed.reset();
    } else if (take("{")) {
      const bool may_be_none = rest_.starts_with("0");
      const std::size_t end = rest_.find('}');
      failed_ = end == std::string_view::npos;
      if (failed_) return {};
      rest_.remove_prefix(end + 1);
      part.needed = may_be_none ? std::nullopt : needed_of(part);
      part.all.reset();
    }
    return part;
  }

  std::string_view rest_;
  bool failed_ = false;
};

}  // namespace

std::vector<std::string> anchors_of(std::string_view regex) {
  const std::optional<Part> part = Parser(regex).whole();
  if (!part) return {};
  const std::optional<Texts> needed = needed_of(*part);
  return needed ? std::vector<std::string>(needed->begin(), needed->end()) : std::vector<std::string>{};
}

std::vector<std::string> anchors_of_all(const std::vector<std::string>& regexes) {
  Texts all;
  for (const std::string& regex : regexes) {
    const std::vector<std::string> anchors = anchors_of(regex);
    if (anchors.empty()) return {};
    all.insert(anchors.begin(), anchors.end());
  }
  const Texts shortest = without_longer(all);
  return {shortest.begin(), shortest.end()};
}

}  // namespace bot_bottle::dlp
