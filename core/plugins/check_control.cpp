// What the suites ask a sidecar.
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "core/base/unique_fd.hpp"
#include "core/plugins/check.hpp"

namespace bot_bottle::plugins {

std::optional<json::object> control_call(const std::string& path, const std::string& call) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return std::nullopt;
  std::memcpy(address.sun_path, path.data(), path.size());
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
  if (!fd || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return std::nullopt;
  if (!write_all(fd.get(), to_text(json::object{{"id", 1}, {"call", call}}) + "\n")) return std::nullopt;
  std::string line;
  while (line.find('\n') == std::string::npos && line.size() < (std::size_t{1} << 20)) {
    pollfd entry{fd.get(), POLLIN, 0};
    constexpr int patience_ms = 5000;
    if (::poll(&entry, 1, patience_ms) <= 0) return std::nullopt;
    std::array<char, 4096> bytes{};
    const ssize_t got = ::read(fd.get(), bytes.data(), bytes.size());
    if (got <= 0) return std::nullopt;
    line.append(bytes.data(), static_cast<std::size_t>(got));
  }
  const auto answer = parse_json_object(trim(line));
  if (!answer) return std::nullopt;
  const json::object* ok = find_object(*answer, "ok");
  return ok == nullptr ? std::nullopt : std::optional<json::object>(*ok);
}

}  // namespace bot_bottle::plugins
