#include "sidecar/git_gate/receive_request.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "sidecar/git_gate/pkt_line.hpp"

namespace bot_bottle::git_gate {
namespace {

constexpr std::size_t max_commands = 1000;
constexpr std::size_t max_octets = std::size_t{1} << 20;
constexpr std::size_t oid_digits = 40;
constexpr std::size_t sha256_digits = 64;

std::size_t hex_digits(std::string_view text) {
  const auto end =
      std::ranges::find_if_not(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  return static_cast<std::size_t>(end - text.begin());
}

}  // namespace

bool is_oid(std::string_view text) {
  return text.size() == oid_digits && hex_digits(text) == oid_digits;
}

ReceiveRequestReader::Reading ReceiveRequestReader::fail_with(std::string message, std::string hint) {
  error_ = make_error(ErrorKind::invalid_argument, std::move(message), std::move(hint));
  return Reading::bad;
}

bool ReceiveRequestReader::read_command(std::string_view line) {
  if (line.ends_with('\n')) line.remove_suffix(1);
  std::string_view capabilities;
  const std::size_t nul = line.find('\0');
  if (nul != std::string_view::npos) {
    if (!first_) {
      fail_with("a NUL in a command that is not the first");
      return false;
    }
    capabilities = line.substr(nul + 1);
    line = line.substr(0, nul);
  }
  if (line.starts_with("shallow ")) {
    // The boundary of the client's history. Ours is whole: what lies beyond it is here, or the push is not connected.
    if (is_oid(line.substr(8))) return true;
    fail_with("a shallow line is not one");
    return false;
  }
  if (line.starts_with("push-cert")) {
    fail_with("signed pushes are not accepted", "push without --signed");
    return false;
  }
  if (std::exchange(first_, false)) {
    while (!capabilities.empty()) {
      const std::size_t space = capabilities.find(' ');
      const std::string_view one = capabilities.substr(0, space);
      request_.report_status = request_.report_status || one == "report-status";
      request_.side_band = request_.side_band || one == "side-band-64k";
      request_.quiet = request_.quiet || one == "quiet";
      if (one.starts_with("object-format=") && one != "object-format=sha1") {
        fail_with("git-gate does not take SHA-256 repositories", "use a repository with SHA-1 object names");
        return false;
      }
      capabilities = space == std::string_view::npos ? std::string_view() : capabilities.substr(space + 1);
    }
  }
  if (hex_digits(line) >= sha256_digits) {
    fail_with("git-gate does not take SHA-256 repositories", "use a repository with SHA-1 object names");
    return false;
  }
  RefUpdate update;
  const bool shaped = line.size() > 2 * oid_digits + 2 && line[oid_digits] == ' ' && line[2 * oid_digits + 1] == ' ';
  if (shaped) {
    update.before = std::string(line.substr(0, oid_digits));
    update.after = std::string(line.substr(oid_digits + 1, oid_digits));
    update.name = std::string(line.substr(2 * oid_digits + 2));
  }
  if (!shaped || !is_oid(update.before) || !is_oid(update.after)) {
    fail_with("a command is not `old new ref`");
    return false;
  }
  if (update.creates() && update.deletes()) {
    fail_with("a command from nothing to nothing");
    return false;
  }
  // Two commands for one ref: which of them would be the one that was checked?
  for (const RefUpdate& other : request_.updates)
    if (other.name == update.name) {
      fail_with("two commands for one ref");
      return false;
    }
  if (request_.updates.size() == max_commands) {
    fail_with(fmt::format("more than {} refs in one push", max_commands), "push them in parts");
    return false;
  }
  request_.updates.push_back(std::move(update));
  return true;
}

ReceiveRequestReader::Reading ReceiveRequestReader::feed(std::string_view bytes) {
  buffer_.append(bytes);
  std::string_view input = buffer_;
  std::string_view payload;
  while (true) {
    const std::size_t before = input.size();
    const PktReader::Event event = PktReader::next(input, payload);
    taken_ += before - input.size();
    if (event == PktReader::Event::need_more) break;
    if (event == PktReader::Event::data) {
      if (!read_command(payload)) return Reading::bad;
    } else if (event == PktReader::Event::flush) {
      request_.empty = request_.updates.empty();
      buffer_.erase(0, buffer_.size() - input.size());
      return Reading::complete;
    } else {
      return fail_with("the request is not pkt-lines");
    }
    if (taken_ > max_octets) return fail_with("the commands are larger than 1 MiB");
  }
  buffer_.erase(0, buffer_.size() - input.size());
  return Reading::need_more;
}

}  // namespace bot_bottle::git_gate
