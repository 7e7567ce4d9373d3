#include "sidecar/http1/chunks.hpp"

#include <algorithm>

#include "sidecar/http1/head.hpp"

namespace bot_bottle::http1 {
namespace {

constexpr std::size_t max_extension_bytes = 4096;
constexpr std::size_t max_trailer_bytes = std::size_t{16} << 10;
constexpr std::size_t max_trailer_fields = 64;
constexpr unsigned max_size_digits = 15;

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

void ChunkReader::reset() {
  state_ = State::size;
  problem_ = Problem::none;
  digits_ = 0;
  left_ = 0;
  extension_bytes_ = 0;
  trailer_bytes_ = 0;
  line_.clear();
  trailers_.clear();
}

ChunkReader::Event ChunkReader::fail(Problem problem) {
  state_ = State::failed;
  problem_ = problem;
  return Event::bad;
}

/// False when the octet cannot stand here.
bool ChunkReader::read_size(char octet) {
  if (const int value = hex_value(octet); value >= 0) {
    left_ = left_ * 16 + static_cast<unsigned>(value);
    return ++digits_ <= max_size_digits;
  }
  if (digits_ == 0) return false;
  if (octet == ';') {
    state_ = State::extension;
    return true;
  }
  if (octet != '\r') return false;
  state_ = State::size_end;
  return true;
}

ChunkReader::Event ChunkReader::next(std::string_view& input, std::string_view& data) {
  while (true) {
    if (state_ == State::failed) return Event::bad;
    if (state_ == State::done) return Event::end;
    if (state_ == State::trailers) return read_trailers(input);
    if (input.empty()) return Event::need_more;
    if (state_ == State::data) {
      const auto take = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size()));
      data = input.substr(0, take);
      input.remove_prefix(take);
      left_ -= take;
      if (left_ == 0) state_ = State::data_cr;
      return Event::data;
    }
    const char octet = input.front();
    input.remove_prefix(1);
    switch (state_) {
      case State::size:
        if (!read_size(octet)) return fail(Problem::bad_chunk_size);
        break;
      case State::extension: {
        const auto value = static_cast<unsigned char>(octet);
        if (octet == '\r') {
          state_ = State::size_end;
        } else if (++extension_bytes_ > max_extension_bytes || (value < 0x20 && value != '\t') || value >= 0x7f) {
          // A bare LF here is what makes two readers disagree about where the extension ends.
          return fail(Problem::bad_chunk_extension);
        }
        break;
      }
      case State::size_end:
        if (octet != '\n') return fail(Problem::bad_chunk_size);
        state_ = left_ == 0 ? State::trailers : State::data;
        digits_ = 0;
        break;
      case State::data_cr:
        if (octet != '\r') return fail(Problem::bad_chunk_end);
        state_ = State::data_lf;
        break;
      case State::data_lf:
        if (octet != '\n') return fail(Problem::bad_chunk_end);
        state_ = State::size;
        break;
      default:
        return fail(Problem::bad_chunk_size);
    }
  }
}

ChunkReader::Event ChunkReader::read_trailers(std::string_view& input) {
  while (!input.empty()) {
    const char octet = input.front();
    input.remove_prefix(1);
    if (++trailer_bytes_ > max_trailer_bytes) return fail(Problem::bad_trailer);
    if (octet != '\n') {
      line_.push_back(octet);
      continue;
    }
    if (line_.empty() || line_.back() != '\r') return fail(Problem::bare_line_feed);
    line_.pop_back();
    if (line_.empty()) {
      state_ = State::done;
      return Event::end;
    }
    if (trailers_.size() == max_trailer_fields) return fail(Problem::bad_trailer);
    if (const Problem problem = read_field_line(line_, true, trailers_); problem != Problem::none) return fail(problem);
    line_.clear();
  }
  return Event::need_more;
}

}  // namespace bot_bottle::http1
