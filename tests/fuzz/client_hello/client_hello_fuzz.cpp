// ClientHellos of tunnels: an answer for a prefix is "need more" or final, and the name is part of the input.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "sidecar/tls/client_hello.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using Reading = bot_bottle::tls::ClientHello::Reading;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto whole = bot_bottle::tls::read_client_hello(text);
  if (whole.reading == Reading::complete && whole.server_name.size() > size) std::abort();
  if (size > 1) {
    const auto half = bot_bottle::tls::read_client_hello(text.substr(0, size / 2));
    if (half.reading == Reading::bad && whole.reading == Reading::complete) std::abort();
  }
  return 0;
}
