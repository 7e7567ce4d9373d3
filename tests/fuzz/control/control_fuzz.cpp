// Control messages: what comes in on the control socket (lines, or a scraper's GET), and the configuration on standard
// input. A reply is one JSON object a line, as many as whole lines came in; a configuration is taken or refused with a
// reason, and no reason holds the value of a secret. The first octet chooses: even a configuration, odd the socket.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "core/base/json.hpp"
#include "core/base/random.hpp"
#include "core/base/unique_fd.hpp"
#include "sidecar/control/config.hpp"
#include "sidecar/control/control_server.hpp"

using namespace bot_bottle;  // NOLINT(google-build-using-namespace)

namespace {

void must(bool condition) {
  if (!condition) std::abort();
}

struct Server {
  net::Loop loop;
  sidecar::ControlServer server{
      loop,
      {::geteuid()},
      [](const std::string& call, const json::object& arguments, const sidecar::ControlServer::Reply& reply) {
        if (call == "fail")
          reply(fail(ErrorKind::invalid_argument, get_string(arguments, "why")));
        else
          reply(json::object{{"call", call}});
      },
      [] { return std::string("text\n"); }};
  std::string path = "/tmp/bb-fuzz-control-" + random_base36(8);

  Server() { must(server.listen(path).has_value()); }

  UniqueFd connect() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    must(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    return fd;
  }
};

void one_connection(std::string_view input) {
  // Never destroyed: its loop would have to end first.
  static Server* const server = new Server;
  const UniqueFd client = server->connect();
  must(::send(client.get(), input.data(), input.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(input.size()));
  must(::shutdown(client.get(), SHUT_WR) == 0);
  std::string replies;
  std::array<char, 65536> piece{};
  while (true) {
    const ssize_t count = ::recv(client.get(), piece.data(), piece.size(), MSG_DONTWAIT);
    if (count > 0) {
      replies.append(piece.data(), static_cast<std::size_t>(count));
    } else if (count == 0 || errno != EAGAIN) {
      break;
    } else {
      server->loop.run_once();
    }
  }
  if (replies.empty() || replies.starts_with("HTTP/1.1 ")) return;
  must(replies.back() == '\n');
  must(std::ranges::count(replies, '\n') <= std::ranges::count(input, '\n'));
  for (std::string_view rest = replies; !rest.empty(); rest.remove_prefix(rest.find('\n') + 1)) {
    const auto reply = parse_json_object(rest.substr(0, rest.find('\n')));
    must(reply.has_value() && (reply->contains("ok") != reply->contains("error")));
  }
}

void one_configuration(std::string_view text) {
  constexpr std::string_view planted = "planted-value-4711";
  const auto config = sidecar::parse_config(text);
  if (config) return;
  must(!config.error().message.empty());
  // As the value of a secret; elsewhere in the document it is no secret.
  const std::string as_secret = "\"value\":\"" + std::string(planted) + "\"";
  if (text.find(as_secret) != std::string_view::npos &&
      text.find(planted) == text.find(as_secret) + as_secret.size() - planted.size() - 1 &&
      text.rfind(planted) == text.find(planted) && text.find("placeholders") == std::string_view::npos)
    must(config.error().message.find(planted) == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1 || size > 65536) return 0;  // a socket takes that much at once
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 2 == 0)
    one_configuration(input);
  else
    one_connection(input);
  return 0;
}
