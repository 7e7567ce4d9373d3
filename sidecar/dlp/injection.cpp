#include "sidecar/dlp/injection.hpp"

#include <algorithm>

namespace bot_bottle::dlp {
namespace {

constexpr std::size_t piece_octets = std::size_t{64} << 10;
constexpr std::size_t closing_reach = 12;    // a mention's closing mark stands that near
constexpr std::uint64_t repeat_octets = 64;  // the same phrase within is the same sighting (a grown repeat, a flood)
constexpr std::size_t snippet_octets = 24;
constexpr std::size_t kept_octets =
    longest_phrase + 2 * snippet_octets;  // of folded text: the longest phrase, and what a snippet shows
/// So far before and behind the end of an anchor a phrase with it reaches, and one character more on each side, which
/// says whether its first and last words are whole.
constexpr std::size_t reach_octets = longest_phrase + 2;
static_assert(reach_octets <= kept_octets, "what is wanted again is still there");

}  // namespace

InjectionStream::InjectionStream(std::shared_ptr<const InjectionPhrases> phrases, Folder::Quotes quotes, Search search)
    : phrases_(std::move(phrases)),
      folder_(quotes),
      search_(phrases_->anchors_ == nullptr ? Search::everywhere : search),
      last_(phrases_->phrases_.size()),
      seen_(phrases_->phrases_.size(), 0) {}

InjectionStream::~InjectionStream() {
  if (stream_ != nullptr) hs_close_stream(stream_, nullptr, nullptr, nullptr);
}

int InjectionStream::on_match(unsigned id, unsigned long long /*from*/, unsigned long long to, unsigned /*flags*/,
                              void* context) {
  auto& self = *static_cast<InjectionStream*>(context);
  const std::uint64_t end = self.stream_begin_ + to;
  std::uint64_t& seen = self.seen_[id];
  if (seen != 0 && end - seen < repeat_octets) return 0;
  seen = end;
  self.matches_.push_back({id, end});
  return 0;
}

/// Wanted is everything from as far before the anchor as a phrase with it may begin to as far behind it as one may end.
/// Anchors come in the order of their ends.
int InjectionStream::on_anchor(unsigned /*id*/, unsigned long long /*from*/, unsigned long long to, unsigned /*flags*/,
                               void* context) {
  auto& self = *static_cast<InjectionStream*>(context);
  const std::uint64_t end = self.anchors_begin_ + to;
  const std::uint64_t begin = end - std::min<std::uint64_t>(end, reach_octets);
  Span& last = self.wanted_.back();
  if (begin <= last.end)
    last.end = std::max(last.end, end + reach_octets);
  else
    self.wanted_.push_back({begin, end + reach_octets});
  return 0;
}

void InjectionStream::look_for_anchors() {
  const std::size_t begin = fresh_ - std::min(fresh_, phrases_->longest_anchor_ - 1);
  const std::string_view text = std::string_view(text_).substr(begin);
  anchors_begin_ = base_ + begin;
  work_ += text.size();
  if (!text.empty())
    failed_ = failed_ || hs_scan(phrases_->anchors_, text.data(), static_cast<unsigned>(text.size()), 0,
                                 phrases_->scratch_, &InjectionStream::on_anchor, this) != HS_SUCCESS;
}

/// Goes on where it stopped, or begins anew behind what nobody wanted. There it may take the middle of a word for its
/// begin; but a phrase that began there would hold an anchor, and more would have been wanted.
void InjectionStream::look_for_phrases(Span span) {
  span.begin = std::max(span.begin, read_to_);
  span.end = std::min(span.end, base_ + text_.size());
  if (span.begin >= span.end || failed_) return;
  if (stream_ == nullptr) {
    failed_ = hs_open_stream(phrases_->database_, 0, &stream_) != HS_SUCCESS;
    stream_begin_ = span.begin;
  } else if (span.begin > read_to_) {
    failed_ = hs_reset_stream(stream_, 0, nullptr, nullptr, nullptr) != HS_SUCCESS;
    stream_begin_ = span.begin;
  }
  const auto size = static_cast<std::size_t>(span.end - span.begin);
  work_ += size;
  failed_ = failed_ || hs_scan_stream(stream_, text_.data() + (span.begin - base_), static_cast<unsigned>(size), 0,
                                      phrases_->scratch_, &InjectionStream::on_match, this) != HS_SUCCESS;
  read_to_ = span.end;
}

void InjectionStream::scan(End end) {
  const std::lock_guard lock(phrases_->mutex_);
  const std::uint64_t total = base_ + text_.size();
  // What was wanted of the text that is here now: it goes on where it stopped.
  wanted_.assign(1, {read_to_, std::max(read_to_, wanted_to_)});
  if (search_ == Search::everywhere)
    wanted_.back().end = total;
  else
    look_for_anchors();
  for (const Span& span : wanted_) look_for_phrases(span);
  wanted_to_ = wanted_.back().end;
  fresh_ = text_.size();
  if (end == End::yes && !failed_ && stream_ != nullptr && read_to_ == total)
    failed_ = hs_reset_stream(stream_, 0, phrases_->scratch_, &InjectionStream::on_match, this) != HS_SUCCESS;
}

bool InjectionStream::has_mark(std::uint64_t first, std::uint64_t last) const {
  const std::vector<std::uint64_t>& marks = folder_.marks();
  const auto found = std::ranges::lower_bound(marks, first);
  return found != marks.end() && *found <= last;
}

InjectionSighting InjectionStream::describe(const Place& place) const {
  InjectionSighting sighting;
  sighting.phrase = phrases_->phrases_[place.phrase].id;
  sighting.family = phrases_->phrases_[place.phrase].family;
  // Folding drops and adds little: the share of what was read is where to look.
  const std::uint64_t folded = std::max<std::uint64_t>(1, base_ + text_.size());
  sighting.offset = static_cast<std::uint64_t>(static_cast<double>(folder_.raw()) * static_cast<double>(place.begin) /
                                               static_cast<double>(folded));
  const std::size_t begin = place.begin <= base_ + snippet_octets ? 0 : place.begin - base_ - snippet_octets;
  const std::size_t end = std::min<std::size_t>(text_.size(), place.end - base_ + snippet_octets);
  sighting.snippet = text_.substr(begin, end - begin);
  return sighting;
}

void InjectionStream::judge(End end, std::vector<InjectionSighting>& sightings) {
  const std::uint64_t total = base_ + text_.size();
  std::vector<Match> later;
  for (const Match& match : matches_) {
    if (over_) break;
    const std::string_view window(text_.data(), static_cast<std::size_t>(match.end - base_));
    const Place place{base_ + phrases_->begin_of(match.phrase, window), match.end, match.phrase};
    const bool opened = place.begin < place.end && has_mark(place.begin, place.begin);
    if (opened && end == End::no && match.end + closing_reach > total) {
      later.push_back(match);  // whether the mark is closed is still to come
      continue;
    }
    const bool mention = opened && has_mark(place.end, place.end + closing_reach);
    if (!told_) {
      told_ = true;
      sightings.push_back(describe(place));
      sightings.back().is_mention = mention;
    }
    if (mention) continue;
    const unsigned family = phrases_->families_[match.phrase];
    for (unsigned other = 0; other < last_.size(); ++other) {
      if (other == family || !last_[other]) continue;
      const Place& first = *last_[other];
      if (first.end > place.begin || place.begin - first.end > injection_reach) continue;
      sightings.push_back(describe(place));
      sightings.back().with = phrases_->phrases_[first.phrase].family;
      sightings.back().is_attempt = over_ = true;
      break;
    }
    last_[family] = place;
  }
  matches_ = std::move(later);
}

std::vector<InjectionSighting> InjectionStream::write(std::string_view bytes) {
  std::vector<InjectionSighting> sightings;
  while (!bytes.empty() && !over_ && !failed_) {
    folder_.write(bytes.substr(0, piece_octets), text_);
    bytes.remove_prefix(std::min(bytes.size(), piece_octets));
    scan(End::no);
    if (!matches_.empty()) judge(End::no, sightings);
    if (text_.size() > kept_octets) {
      base_ += text_.size() - kept_octets;
      text_.erase(0, text_.size() - kept_octets);
      fresh_ = text_.size();
      auto& marks = folder_.marks();
      marks.erase(marks.begin(), std::ranges::lower_bound(marks, base_));
    }
  }
  if (failed_ && !over_) {
    over_ = true;
    sightings.push_back({"detector-failure", "detector-failure", "", 0, "", false, true});
  }
  return sightings;
}

std::vector<InjectionSighting> InjectionStream::finish() {
  std::vector<InjectionSighting> sightings;
  if (over_ || failed_) return sightings;
  folder_.finish(text_);
  scan(End::yes);
  judge(End::yes, sightings);
  return sightings;
}

}  // namespace bot_bottle::dlp
