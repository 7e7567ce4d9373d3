#include "core/sync/text_diff.hpp"

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace bot_bottle::sync {
namespace {

constexpr std::size_t max_edits = 4000;  // Myers' D: memory and time grow with its square
constexpr std::size_t binary_look = 8000;

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1);
    lines.push_back(text.substr(0, end + 1));
    text.remove_prefix(end + 1);
  }
  return lines;
}

enum class Edit : std::uint8_t { keep, remove, add };

/// Myers, "An O(ND) Difference Algorithm" (1986), on line numbers; the trace of each D is kept. Nothing: too different.
std::vector<Edit> shortest_script(const std::vector<std::uint32_t>& a, const std::vector<std::uint32_t>& b,
                                  bool& found) {
  const auto n = static_cast<std::int64_t>(a.size());
  const auto m = static_cast<std::int64_t>(b.size());
  const std::int64_t most = std::min<std::int64_t>(n + m, max_edits);
  std::vector<std::int64_t> reach(static_cast<std::size_t>(2 * most + 3), 0);
  const auto at = [most](std::int64_t diagonal) { return static_cast<std::size_t>(diagonal + most + 1); };
  std::vector<std::vector<std::int64_t>> trace;
  std::int64_t depth = 0;
  found = false;
  for (; depth <= most && !found; ++depth) {
    trace.emplace_back(reach.begin() + static_cast<std::ptrdiff_t>(at(-depth) - 1),
                       reach.begin() + static_cast<std::ptrdiff_t>(at(depth) + 2));
    for (std::int64_t k = -depth; k <= depth; k += 2) {
      std::int64_t x =
          k == -depth || (k != depth && reach[at(k - 1)] < reach[at(k + 1)]) ? reach[at(k + 1)] : reach[at(k - 1)] + 1;
      while (x < n && x - k < m && x - k >= 0 && a[static_cast<std::size_t>(x)] == b[static_cast<std::size_t>(x - k)])
        ++x;
      reach[at(k)] = x;
      if (x >= n && x - k >= m) {
        found = true;
        break;
      }
    }
  }
  std::vector<Edit> script;
  if (!found) return script;
  std::int64_t x = n;
  std::int64_t y = m;
  for (std::int64_t d = depth - 1; d > 0; --d) {
    const std::vector<std::int64_t>& before = trace[static_cast<std::size_t>(d)];
    const auto was = [&](std::int64_t diagonal) { return before[static_cast<std::size_t>(diagonal + d + 1)]; };
    const std::int64_t k = x - y;
    const bool down = k == -d || (k != d && was(k - 1) < was(k + 1));
    const std::int64_t from = down ? k + 1 : k - 1;
    const std::int64_t from_x = was(from);
    const std::int64_t from_y = from_x - from;
    while (x > from_x + (down ? 0 : 1) && y > from_y + (down ? 1 : 0)) {
      script.push_back(Edit::keep);
      --x;
      --y;
    }
    script.push_back(down ? Edit::add : Edit::remove);
    x = from_x;
    y = from_y;
  }
  for (; x > 0 && y > 0; --x, --y) script.push_back(Edit::keep);
  std::ranges::reverse(script);
  return script;
}

/// Numbers for lines; equal lines have equal ones.
std::vector<std::uint32_t> number(const std::vector<std::string_view>& lines, std::size_t begin, std::size_t end,
                                  std::unordered_map<std::string_view, std::uint32_t>& known) {
  std::vector<std::uint32_t> numbers;
  for (std::size_t i = begin; i < end; ++i)
    numbers.push_back(known.emplace(lines[i], static_cast<std::uint32_t>(known.size())).first->second);
  return numbers;
}

void add_line(std::string& out, char mark, std::string_view line) {
  out += mark;
  out += line;
  if (line.empty() || line.back() != '\n') out += "\n\\ No newline at end of file\n";
}

std::string range_of(std::size_t begin, std::size_t count) {
  // diff -u: an empty range names the line before it.
  const std::string first = std::to_string(count == 0 ? begin : begin + 1);
  return count == 1 ? first : first + "," + std::to_string(count);
}

}  // namespace

bool is_binary(std::string_view bytes) {
  return bytes.substr(0, binary_look).find('\0') != std::string_view::npos;
}

std::string unified_hunks(std::string_view before, std::string_view after, std::size_t context) {
  const auto a = lines_of(before);
  const auto b = lines_of(after);
  std::size_t head = 0;
  while (head < a.size() && head < b.size() && a[head] == b[head]) ++head;
  std::size_t tail = 0;
  while (tail < a.size() - head && tail < b.size() - head && a[a.size() - 1 - tail] == b[b.size() - 1 - tail]) ++tail;
  if (head == a.size() && head == b.size()) return {};
  std::unordered_map<std::string_view, std::uint32_t> known;
  bool found = false;
  std::vector<Edit> middle =
      shortest_script(number(a, head, a.size() - tail, known), number(b, head, b.size() - tail, known), found);
  if (!found) {
    middle.assign(a.size() - tail - head, Edit::remove);
    middle.insert(middle.end(), b.size() - tail - head, Edit::add);
  }
  std::vector<Edit> script(head, Edit::keep);
  script.insert(script.end(), middle.begin(), middle.end());
  script.insert(script.end(), tail, Edit::keep);

  std::string out;
  std::size_t i = 0;  // in the script
  std::size_t in_a = 0;
  std::size_t in_b = 0;
  while (i < script.size()) {
    std::size_t next = i;
    while (next < script.size() && script[next] == Edit::keep) ++next;
    if (next == script.size()) break;
    const std::size_t lead = std::min(context, next - i);
    in_a += next - i - lead;
    in_b += next - i - lead;
    i = next - lead;
    // To the last change that is followed by more than two contexts of kept lines.
    std::size_t end = next;
    for (std::size_t j = next, kept = 0; j < script.size() && kept <= 2 * context; ++j) {
      kept = script[j] == Edit::keep ? kept + 1 : 0;
      if (script[j] != Edit::keep) end = j + 1;
    }
    end = std::min(end + context, script.size());
    std::string body;
    const std::size_t begin_a = in_a;
    const std::size_t begin_b = in_b;
    for (; i < end; ++i) {
      if (script[i] == Edit::add) {
        add_line(body, '+', b[in_b++]);
        continue;
      }
      add_line(body, script[i] == Edit::keep ? ' ' : '-', a[in_a++]);
      if (script[i] == Edit::keep) ++in_b;
    }
    out += "@@ -" + range_of(begin_a, in_a - begin_a) + " +" + range_of(begin_b, in_b - begin_b) + " @@\n" + body;
  }
  return out;
}

}  // namespace bot_bottle::sync
