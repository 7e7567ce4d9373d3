#include "sidecar/egress/event_log.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "core/base/clock.hpp"
#include "core/base/file.hpp"

namespace bot_bottle::egress {
namespace {

constexpr std::size_t max_pending = std::size_t{32} << 10;
constexpr std::chrono::milliseconds flush_after{200};
// An agent can cause as many events as it likes: the log is two files of this size at most (attack L: log flooding).
constexpr std::uint64_t max_file = std::uint64_t{64} << 20;
constexpr std::size_t max_text = 2048;

std::string_view name_of(Level level) {
  switch (level) {
    case Level::info:
      return "info";
    case Level::warn:
      return "warn";
    case Level::block:
      return "block";
  }
  return "info";
}

/// Octets of the UTF-8 sequence at the start of `text`, or 0 when it is not well formed (RFC 3629).
std::size_t utf8_sequence(std::string_view text) {
  const auto at = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const unsigned first = at(0);
  const auto follows = [&](std::size_t i) { return (at(i) & 0xc0U) == 0x80U; };
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (!follows(1) || !follows(2)) return 0;
    if ((first == 0xe0 && at(1) < 0xa0) || (first == 0xed && at(1) > 0x9f)) return 0;
    return 3;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (!follows(1) || !follows(2) || !follows(3)) return 0;
    if ((first == 0xf0 && at(1) < 0x90) || (first == 0xf4 && at(1) > 0x8f)) return 0;
    return 4;
  }
  return 0;
}

void append_member(std::string& out, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  out.append(",\"").append(name).append("\":");
  append_json_string(out, value, max_text);
}

void append_number(std::string& out, std::string_view name, std::optional<std::uint64_t> value) {
  if (value) fmt::format_to(std::back_inserter(out), ",\"{}\":{}", name, *value);
}

}  // namespace

void append_json_string(std::string& out, std::string_view text, std::size_t max_bytes) {
  out.push_back('"');
  const std::size_t end = out.size() + max_bytes;
  while (!text.empty()) {
    if (out.size() >= end) {
      out.append("…");
      break;
    }
    const std::size_t size = utf8_sequence(text);
    const char c = text.front();
    if (size == 0) {
      out.append("\xef\xbf\xbd");
    } else if (size > 1) {
      out.append(text.substr(0, size));
    } else if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out.push_back(c);
    }
    text.remove_prefix(size == 0 ? 1 : size);
  }
  out.push_back('"');
}

EventLog::EventLog(net::Loop& loop, std::string path, int level)
    : path_(std::move(path)), level_(level), timer_(loop, [this] { flush(); }) {}

Result<void> EventLog::open() {
  fd_.reset(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640));
  if (!fd_) return fail(error_from_errno(fmt::format("cannot open {}", path_), errno));
  struct stat status {};
  size_ = ::fstat(fd_.get(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
  return {};
}

void EventLog::write(const Event& event) {
  const bool wanted = event.kind == "egress" ? wants(event.level) : level_ >= 1;
  if (!wanted || !fd_) return;
  if (pending_.empty()) timer_.set(flush_after);
  const auto clean = [&](std::string_view text) {
    return redact_ && !text.empty() ? redact_(text) : std::string(text);
  };
  pending_.append("{\"time\":\"").append(format_time(now_ms())).append("\"");
  append_member(pending_, "kind", event.kind);
  append_member(pending_, "level", name_of(event.level));
  append_member(pending_, "event", event.event);
  append_member(pending_, "host", clean(event.host));
  append_member(pending_, "method", clean(event.method));
  append_member(pending_, "path", clean(event.path));
  if (event.status) append_number(pending_, "status", static_cast<std::uint64_t>(*event.status));
  append_member(pending_, "reason", clean(event.reason));
  append_member(pending_, "rule", event.rule);
  append_member(pending_, "where", clean(event.where));
  append_member(pending_, "snippet", event.snippet);
  append_number(pending_, "bytes_in", event.bytes_in);
  append_number(pending_, "bytes_out", event.bytes_out);
  append_number(pending_, "ms", event.ms);
  pending_.append("}\n");
  if (pending_.size() >= max_pending) flush();
}

void EventLog::flush() {
  timer_.clear();
  if (pending_.empty() || !fd_) return;
  rotate_when_large();
  // A full disk loses events and nothing else: the proxy must not stop for its log.
  if (write_all(fd_.get(), pending_)) size_ += pending_.size();
  pending_.clear();
}

void EventLog::rotate_when_large() {
  if (size_ < max_file) return;
  const std::string old = path_ + ".1";
  if (std::rename(path_.c_str(), old.c_str()) != 0) return;
  if (!open()) (void)std::rename(old.c_str(), path_.c_str());
}

}  // namespace bot_bottle::egress
