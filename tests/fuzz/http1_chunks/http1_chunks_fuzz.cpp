// Chunked bodies: the body and the verdict do not depend on how the octets arrived; data lies inside the input.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "sidecar/http1/chunks.hpp"

namespace {

using bot_bottle::http1::ChunkReader;

struct Decoded {
  ChunkReader::Event event = ChunkReader::Event::need_more;
  std::string body;
  std::size_t used = 0;
};

Decoded decode(std::string_view text, std::size_t step) {
  Decoded out;
  ChunkReader reader;
  for (std::size_t at = 0; at < text.size(); at += step) {
    std::string_view input = text.substr(at, step);
    const std::size_t given = input.size();
    while (true) {
      std::string_view data;
      const char* before = input.data();
      out.event = reader.next(input, data);
      if (out.event != ChunkReader::Event::data) break;
      if (data.empty() || data.data() < before || data.data() + data.size() > text.data() + text.size()) std::abort();
      out.body.append(data);
    }
    out.used = at + given - input.size();
    if (out.event != ChunkReader::Event::need_more) return out;
    if (!input.empty()) std::abort();
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Decoded whole = decode(text, size == 0 ? 1 : size);
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}}) {
    const Decoded cut = decode(text, step);
    if (cut.event != whole.event || cut.body != whole.body) std::abort();
    if (whole.event == ChunkReader::Event::end && cut.used != whole.used) std::abort();
  }
  return 0;
}
