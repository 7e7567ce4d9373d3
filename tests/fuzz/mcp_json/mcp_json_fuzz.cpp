// Any octets, as a body and as events: what is given out is what came, in order, and only after it was judged; every
// cut gives the same units; what is read as a message is read the same after it was written again. The first octet
// chooses the cuts.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/mcp/events.hpp"
#include "sidecar/mcp/message.hpp"
#include "sidecar/mcp/tools.hpp"

using namespace bot_bottle;       // NOLINT(google-build-using-namespace)
using namespace bot_bottle::mcp;  // NOLINT(google-build-using-namespace)

namespace {

void must(bool condition) {
  if (!condition) std::abort();
}

std::vector<std::string> units_of(AnswerUnits::Kind kind, std::string_view text, std::size_t piece) {
  std::vector<std::string> units;
  std::string out;
  AnswerUnits reader(kind, [&](std::string_view unit, AnswerUnits::Size size) {
    must(size == AnswerUnits::Size::fits);
    if (!unit.empty()) units.emplace_back(unit);
    return true;
  });
  for (std::size_t at = 0; at < text.size(); at += piece) {
    must(reader.write(text.substr(at, piece), out));
    must(text.starts_with(out));
  }
  must(reader.finish(out));
  must(out == text);
  return units;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1 || size > 16384) return 0;
  const std::size_t piece = 1 + data[0] % 32U;
  std::string text(size - 1, '\0');
  for (std::size_t i = 1; i < size; ++i) text[i - 1] = static_cast<char>(data[i]);

  const Look look = first_look(text);
  for (std::size_t at = 0; at <= text.size() && at < 80; ++at) {
    const Look early = first_look(std::string_view(text).substr(0, at));
    must(early == Look::need_more || early == look);
  }
  for (const auto kind : {AnswerUnits::Kind::events, AnswerUnits::Kind::whole})
    must(units_of(kind, text, piece) == units_of(kind, text, text.size() + 1));

  const auto document = read(text);
  if (!document) return 0;
  const Strings strings = strings_of(*document);
  for (const Strings::Piece& one : strings.pieces) must(one.begin < strings.each.size());
  const std::string form = canonical(*document);
  if (form.size() <= max_message_octets) must(canonical(*read(form)) == form);
  ToolBook book;
  for (const json::array* tools : tool_lists_of(*document)) {
    book.note("s", *tools);
    const json::value copy = *parse_json(to_text(*tools));
    std::vector<std::string> names;
    bool twice = false;
    for (const json::value& tool : *tools)
      if (const json::object* object = tool.if_object()) {
        const std::string name = get_string(*object, "name");
        for (const std::string& other : names) twice = twice || other == name;
        names.push_back(name);
      }
    if (!twice && tool_lists_of(*document).size() == 1) must(book.note("s", copy.as_array()).changed.empty());
  }
  return 0;
}
