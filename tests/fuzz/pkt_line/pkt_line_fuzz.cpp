// What a client sends to receive-pack: packets and commands read the same however the octets are cut, payloads lie in
// the input, a packet written again is the packet read, and no command gets through that is not `old new ref`.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "sidecar/git_gate/pkt_line.hpp"
#include "sidecar/git_gate/receive_request.hpp"
#include "sidecar/git_gate/ref_rules.hpp"

namespace {

using namespace bot_bottle::git_gate;

void must(bool holds) {
  if (!holds) std::abort();
}

void read_packets(std::string_view bytes) {
  std::string_view input = bytes;
  while (!input.empty()) {
    const std::string_view before = input;
    std::string_view payload;
    const auto event = PktReader::next(input, payload);
    if (event == PktReader::Event::bad || event == PktReader::Event::need_more) return;
    must(input.size() < before.size());
    if (event != PktReader::Event::data) continue;
    must(payload.data() >= bytes.data() && payload.data() + payload.size() <= bytes.data() + bytes.size());
    std::string again;
    write_pkt(again, payload);
    std::string_view rest = again;
    std::string_view same;
    must(PktReader::next(rest, same) == PktReader::Event::data && same == payload && rest.empty());
  }
}

struct Outcome {
  ReceiveRequestReader::Reading reading = ReceiveRequestReader::Reading::need_more;
  std::string rest;
  ReceiveRequest request;
};

Outcome read_request(std::string_view bytes, std::size_t piece) {
  ReceiveRequestReader reader;
  Outcome out;
  while (!bytes.empty() && out.reading == ReceiveRequestReader::Reading::need_more) {
    out.reading = reader.feed(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  if (out.reading == ReceiveRequestReader::Reading::complete) out.rest = reader.take_rest() + std::string(bytes);
  out.request = reader.request();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  read_packets(bytes);
  const Outcome whole = read_request(bytes, bytes.size() + 1);
  const Outcome cut = read_request(bytes, 1 + (size > 0 ? data[0] % 7 : 0));
  must(whole.reading == cut.reading && whole.request.updates.size() == cut.request.updates.size());
  if (whole.reading != ReceiveRequestReader::Reading::complete) return 0;
  must(whole.rest == cut.rest);
  must(whole.request.empty == whole.request.updates.empty());
  for (const RefUpdate& update : whole.request.updates) {
    must(is_oid(update.before) && is_oid(update.after) && !(update.creates() && update.deletes()));
    if (check_ref_name(update.name)) continue;
    // A name that is accepted has one reading for everybody.
    must(update.name.find("..") == std::string::npos && update.name.find('\0') == std::string::npos &&
         update.name.find(' ') == std::string::npos && update.name.find("//") == std::string::npos);
    must(is_branch(update.name) != is_tag(update.name));
  }
  return 0;
}
