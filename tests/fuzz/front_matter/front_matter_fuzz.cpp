// A whole manifest file, read as an agent and as a bottle. Holds: nothing is thrown; every fault points into the text
// and shows no raw control character; reading is deterministic; a bottle merged with itself is itself; the JSON is
// valid.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/text.hpp"
#include "core/manifest/document.hpp"
#include "core/manifest/merge.hpp"
#include "core/manifest/schema.hpp"

namespace {

using namespace bot_bottle;
using namespace bot_bottle::manifest;

void hold(bool property, const char* what) {
  if (property) return;
  std::fprintf(stderr, "property broken: %s\n", what);
  std::abort();
}

struct Reading {
  bool usable = false;
  std::vector<Fault> agent_faults;
  std::vector<Fault> bottle_faults;
  std::string json;
  std::string merged_json;
};

Reading read(std::string_view text) {
  Reading reading;
  Faults faults;
  const Document document = read_document(text, "/f.md", faults);
  reading.usable = document.usable;
  hold(document.usable || faults.has_errors(), "what is refused has a fault");
  hold(document.root.is_map(), "the root is a map");
  const AgentFile agent = read_agent(document, faults);
  reading.agent_faults = faults.take();
  for (const auto& [name, place] : agent.skills)
    hold(name.find('/') == std::string::npos && !name.starts_with('.'), "a skill stays in the skills home");
  if (!document.usable) return reading;
  Manifest manifest;
  read_bottle(document.root, manifest, faults);
  static_cast<void>(read_extends(document.root, faults));
  reading.bottle_faults = faults.take();
  reading.json = bot_bottle::to_text(to_json(manifest));
  Manifest merged;
  read_bottle(merge(document.root, document.root), merged, faults);
  reading.merged_json = bot_bottle::to_text(to_json(merged));
  return reading;
}

void check_places(const std::vector<Fault>& faults, std::string_view text) {
  const auto lines = split(text, '\n');
  for (const Fault& fault : faults) {
    hold(!fault.message.empty(), "a fault has a message");
    const std::string shown = to_text(fault);
    hold(is_valid_utf8(shown), "a fault is valid UTF-8");
    hold(std::ranges::all_of(shown, [](char c) { return static_cast<unsigned char>(c) >= 0x20 || c == '\n'; }),
         "a fault shows no control character");
    hold(shown.size() < 2000, "a fault is short");
    const auto [file, line, column] = fault.place;
    if (line == 0) continue;
    // The body may begin behind the last line.
    hold(line <= lines.size() + 1, "the line is in the text");
    const std::size_t length = line <= lines.size() ? lines[line - 1].size() : 0;
    hold(column >= 1 && column <= length + 1, "the column is in the line");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Reading first = read(text);
  check_places(first.agent_faults, text);
  check_places(first.bottle_faults, text);
  const Reading second = read(text);
  hold(first.usable == second.usable && first.json == second.json, "reading is deterministic");
  if (first.usable) {
    hold(is_valid_utf8(first.json), "the JSON is valid UTF-8");
    hold(parse_json(first.json, std::size_t{64} << 20).has_value(), "the JSON can be read");
    if (first.bottle_faults.empty()) hold(first.json == first.merged_json, "a bottle merged with itself is itself");
  }
  return 0;
}
