// Takes the chunked coding off a body (RFC 9112 §7.1). Hostile input: every byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "sidecar/http/fields.hpp"
#include "sidecar/http1/problem.hpp"

namespace bot_bottle::http1 {

/// Stricter than the RFC: size of 1 to 15 hex digits without leading or trailing white space, CR LF only, extensions of
/// printable octets and at most 4 KiB in a whole body (they are dropped), trailers of at most 16 KiB and 64 fields.
class ChunkReader {
 public:
  enum class Event : std::uint8_t {
    need_more,  // `input` is used up
    data,       // `data` is the next piece of the body
    end,        // the body and its trailers are complete; what is left in `input` is another message
    bad,        // final; see problem()
  };

  /// Advances `input`; `data` points into it. No copy of the body is made.
  Event next(std::string_view& input, std::string_view& data);
  [[nodiscard]] Problem problem() const { return problem_; }
  [[nodiscard]] const http::Fields& trailers() const { return trailers_; }
  void reset();

 private:
  enum class State : std::uint8_t { size, extension, size_end, data, data_cr, data_lf, trailers, done, failed };
  Event fail(Problem problem);
  bool read_size(char octet);
  Event read_trailers(std::string_view& input);

  State state_ = State::size;
  Problem problem_ = Problem::none;
  unsigned digits_ = 0;
  std::uint64_t left_ = 0;
  std::size_t extension_bytes_ = 0;
  std::size_t trailer_bytes_ = 0;
  std::string line_;
  http::Fields trailers_;
};

}  // namespace bot_bottle::http1
