// Every archive that a bottle can send: read in two ways of cutting, the entries are the same, names have no NUL byte
// and end, and content is never more than was announced.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "sidecar/guest/tar.hpp"

namespace {

struct Recorder final : bot_bottle::guest::TarReader::Sink {
  bool begin(const bot_bottle::guest::TarEntry& entry) override {
    if (entry.path.size() > bot_bottle::guest::max_tar_path || entry.path.find('\0') != std::string::npos) std::abort();
    said += "<" + entry.path + "|" + entry.target + "|" + std::to_string(entry.size) + ">";
    left = entry.size;
    return true;
  }
  bool data(std::string_view bytes) override {
    if (bytes.size() > left) std::abort();
    left -= bytes.size();
    said += bytes;
    return true;
  }
  bool end() override {
    if (left != 0) std::abort();
    return true;
  }
  std::string said;
  std::uint64_t left = 0;
};

std::string read(std::string_view bytes, std::size_t piece) {
  Recorder recorder;
  bot_bottle::guest::TarReader reader(recorder);
  for (std::size_t at = 0; at < bytes.size(); at += piece)
    if (!reader.feed(bytes.substr(at, piece))) return recorder.said + "!" + reader.problem();
  return recorder.said + (reader.is_complete() ? "." : "");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (read(bytes, bytes.size() + 1) != read(bytes, 7)) std::abort();
  return 0;
}
