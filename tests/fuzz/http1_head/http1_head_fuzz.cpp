// Request and response heads: views stay inside, what is accepted survives being written and read again, and the
// verdict does not depend on how the octets arrived.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "sidecar/http1/head.hpp"
#include "sidecar/http1/write.hpp"

namespace http1 = bot_bottle::http1;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void check_request(std::string_view text) {
  http1::HeadProgress progress;
  http1::RequestHead head;
  const http1::HeadResult result = http1::read_request_head(text, progress, head);
  http1::HeadProgress stepwise;
  http1::RequestHead slow;
  http1::HeadResult last;
  for (std::size_t size = 1; size <= text.size() && last.reading == http1::Reading::need_more; ++size)
    last = http1::read_request_head(text.substr(0, size), stepwise, slow);
  if (text.size() < 4096) require(last.reading == result.reading);
  if (result.reading != http1::Reading::complete) return;
  require(result.size <= text.size() && result.size == last.size);
  require(text.substr(0, result.size).ends_with("\r\n\r\n"));
  std::string written;
  const std::string host(head.fields.find("host").value_or(""));
  bot_bottle::http::Fields fields = head.fields;
  fields.remove("host");
  http1::write_request_line(written, head.method, head.target, host);
  http1::write_fields(written, fields);
  http1::write_head_end(written);
  if (head.minor_version == 0) return;  // what is written is always 1.1
  http1::HeadProgress fresh;
  http1::RequestHead again;
  const http1::HeadResult second = http1::read_request_head(written, fresh, again);
  // Writing adds a space after each colon, so a head at the limit may grow over it.
  if (second.problem == http1::Problem::head_too_large) return;
  require(second.reading == http1::Reading::complete && second.size == written.size());
  require(again.method == head.method && again.target == head.target && again.framing == head.framing);
  require(again.content_length == head.content_length && again.fields.size() == head.fields.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_request(text);
  http1::HeadProgress progress;
  http1::ResponseHead response;
  const http1::HeadResult result = http1::read_response_head(text, progress, response);
  if (result.reading == http1::Reading::complete) require(response.status >= 100 && response.status < 600);
  return 0;
}
