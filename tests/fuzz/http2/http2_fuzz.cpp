// A server session and its handler under any octets: no stream speaks after its end, what is accepted can be written as
// HTTP/1, memory stays bounded, and pulling ends. The first octet chooses how the handler behaves.
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>

#include "sidecar/http2/session.hpp"

namespace http = bot_bottle::http;
namespace http2 = bot_bottle::http2;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

struct Handler final : http2::SessionHandler {
  http2::Session* session = nullptr;
  unsigned mode = 0;
  std::map<http2::StreamId, bool> open;  // ended
  http::Fields fields;

  void on_head(http2::StreamId id, http2::Head& head, http2::End end) override {
    require(open.emplace(id, end == http2::End::yes).second && open.size() <= 100);
    require(!head.method.empty() && (!head.authority.empty() || head.fields.has("host")));
    require(head.method.find_first_of(" \r\n") == std::string::npos);
    require(head.path.find_first_of(std::string_view(" \r\n\0", 4)) == std::string::npos);
    head.fields.each([](const http::Field& field) {
      require(http::is_token(field.name) && http::is_field_value(field.value));
      require(field.name != "transfer-encoding" && field.name != "connection" && field.name != "upgrade");
    });
    if ((mode & 1U) != 0) session->inform(id, 103, fields);
    if ((mode & 2U) != 0) answer(id);
    if ((mode & 4U) != 0) session->reset(id, http2::Code::cancel);
  }
  void answer(http2::StreamId id) {
    session->respond(id, 200, fields, {}, http2::End::no);
    session->send_data(id, std::string(1000, 'a'));
    session->send_end(id, (mode & 8U) != 0 ? &fields : nullptr);
    session->stop_reading_after_response(id);
  }
  void on_informational(http2::StreamId /*id*/, http2::Head& /*head*/) override { std::abort(); }
  void on_data(http2::StreamId id, std::string_view bytes) override {
    require(open.count(id) == 1 && !open[id]);
    if ((mode & 16U) == 0) session->consume(id, bytes.size());
  }
  void on_end(http2::StreamId id, http::Fields* /*trailers*/) override {
    require(open.count(id) == 1 && !open[id]);
    open[id] = true;
    if ((mode & 2U) == 0) answer(id);
  }
  void on_closed(http2::StreamId id, bool /*clean*/, http2::Code /*code*/) override { require(open.erase(id) == 1); }
  void on_stream_drained(http2::StreamId /*id*/) override {}
  void on_bad_head(http2::StreamId /*id*/, http2::Problem problem) override {
    require(problem != http2::Problem::none);
  }
  void on_goaway() override {}
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  Handler handler;
  handler.mode = data[0];
  handler.fields.add("x-a", "1");
  const std::size_t step = data[1] == 0 ? size : data[1];
  http2::SessionOptions options;
  options.extended_connect = (handler.mode & 32U) != 0;
  http2::Session session(options, handler);
  handler.session = &session;
  std::string_view rest(reinterpret_cast<const char*>(data) + 2, size - 2);
  // Most inputs are frames: the preface is given to them.
  if ((handler.mode & 64U) == 0) session.feed("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0);
  std::uint64_t now_ms = 0;
  while (!rest.empty() && !session.is_over()) {
    session.feed(rest.substr(0, step), ++now_ms);
    rest.remove_prefix(std::min(step, rest.size()));
    std::string out;
    std::size_t pulls = 0;
    while (session.pull(out)) require(++pulls < 100'000);
    require(out.size() < (std::size_t{8} << 20));
  }
  return 0;
}
