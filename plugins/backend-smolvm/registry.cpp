#include "plugins/backend-smolvm/registry.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "plugins/backend-driven/tool.hpp"

namespace bot_bottle::backend_smolvm {
namespace {

constexpr const char* manifest_type = "application/vnd.oci.image.manifest.v1+json";
constexpr const char* config_type = "application/vnd.oci.image.config.v1+json";
constexpr const char* layer_type = "application/vnd.oci.image.layer.v1.tar";
constexpr std::size_t max_request = 16384;
constexpr std::size_t piece = std::size_t{256} << 10;
constexpr int patience_ms = 30'000;

json::object descriptor(const std::string& type, const std::string& digest, std::uint64_t size) {
  return {{"mediaType", type}, {"digest", digest}, {"size", size}};
}

}  // namespace

Registry::Registry(const ImageArchive& image, const std::string& address)
    : archive_(::open(image.path.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (!archive_) throw Failure(error_from_errno("cannot read the image " + image.path, errno));
  const std::string config_digest = "sha256:" + sha256_hex(image.config);
  blobs_.push_back({.digest = config_digest, .text = image.config, .size = image.config.size(), .type = config_type});
  json::array layers;
  for (const ArchiveLayer& layer : image.layers) {
    std::array<char, 2> magic{};
    const bool zipped = ::pread(archive_.get(), magic.data(), 2, static_cast<off_t>(layer.offset)) == 2 &&
                        magic[0] == '\x1f' && magic[1] == '\x8b';
    Blob blob{.digest = "sha256:" + or_throw(sha256_of_part(archive_.get(), layer.offset, layer.size)),
              .offset = layer.offset,
              .size = layer.size,
              .type = std::string(layer_type) + (zipped ? "+gzip" : "")};
    layers.push_back(descriptor(blob.type, blob.digest, blob.size));
    blobs_.push_back(std::move(blob));
  }
  manifest_.text =
      bot_bottle::to_text(json::object{{"schemaVersion", 2},
                                       {"mediaType", manifest_type},
                                       {"config", descriptor(config_type, config_digest, image.config.size())},
                                       {"layers", std::move(layers)}});
  manifest_.digest = "sha256:" + sha256_hex(manifest_.text);
  manifest_.size = manifest_.text.size();
  manifest_.type = manifest_type;

  listener_.reset(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in place{};
  place.sin_family = AF_INET;
  socklen_t size = sizeof place;
  auto* const raw = reinterpret_cast<sockaddr*>(&place);
  if (!listener_ || ::inet_pton(AF_INET, address.c_str(), &place.sin_addr) != 1 ||
      ::bind(listener_.get(), raw, size) != 0 || ::listen(listener_.get(), 16) != 0 ||
      ::getsockname(listener_.get(), raw, &size) != 0)
    throw Failure(error_from_errno("cannot listen on " + address, errno));
  ::fcntl(listener_.get(), F_SETFD, FD_CLOEXEC);
  reference_ = address + ":" + std::to_string(ntohs(place.sin_port)) + "/bot-bottle/machine:latest";
  driven::PipeEnds stop = driven::make_pipe();
  stop_read_ = std::move(stop.read);
  stop_write_ = std::move(stop.write);
  thread_ = std::thread([this] { serve(); });
}

Registry::~Registry() {
  stop_write_.reset();
  if (thread_.joinable()) thread_.join();
}

void Registry::serve() {
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);  // signals are the host's; SIGPIPE must end nobody
  while (true) {
    std::array<pollfd, 2> polled{{{.fd = listener_.get(), .events = POLLIN, .revents = 0},
                                  {.fd = stop_read_.get(), .events = POLLIN, .revents = 0}}};
    if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) return;
    if (polled[1].revents != 0) return;
    if (polled[0].revents == 0) continue;
    const UniqueFd connection(::accept(listener_.get(), nullptr, nullptr));
    if (!connection) continue;
    ::fcntl(connection.get(), F_SETFD, FD_CLOEXEC);
    ::fcntl(connection.get(), F_SETFL, O_NONBLOCK);
    answer(connection.get());
  }
}

/// One request a connection: "Connection: close" is an answer that every client takes.
void Registry::answer(int connection) {
  std::string request;
  while (request.find("\r\n\r\n") == std::string::npos && request.size() < max_request) {
    std::array<pollfd, 2> polled{
        {{.fd = connection, .events = POLLIN, .revents = 0}, {.fd = stop_read_.get(), .events = POLLIN, .revents = 0}}};
    if (::poll(polled.data(), polled.size(), patience_ms) <= 0 || polled[1].revents != 0) return;
    std::array<char, 4096> bytes{};
    const ssize_t got = ::recv(connection, bytes.data(), bytes.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got <= 0) return;
    request.append(bytes.data(), static_cast<std::size_t>(got));
  }
  reply(connection, request);
}

bool Registry::send_text(int connection, std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = ::send(connection, text.data(), text.size(), 0);
    if (sent > 0) {
      text.remove_prefix(static_cast<std::size_t>(sent));
      continue;
    }
    pollfd entry{.fd = connection, .events = POLLOUT, .revents = 0};
    if (sent == 0 || (errno != EAGAIN && errno != EINTR) || ::poll(&entry, 1, patience_ms) <= 0) return false;
  }
  return true;
}

void Registry::reply(int connection, const std::string& request) {
  const std::size_t line_end = request.find("\r\n");
  const auto words = split(std::string_view(request).substr(0, std::min(line_end, request.size())), ' ');
  const bool head = words.size() == 3 && words[0] == "HEAD";
  if (words.size() != 3 || (words[0] != "GET" && !head)) {
    send_text(connection, "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    return;
  }
  const std::string path(words[1]);
  const Blob* found = nullptr;
  if (path == "/v2/" || path == "/v2") {
    send_text(connection, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    return;
  }
  const std::string name = path.substr(path.rfind('/') + 1);
  if (path.starts_with("/v2/bot-bottle/machine/manifests/") && (name == "latest" || name == manifest_.digest))
    found = &manifest_;
  if (path.starts_with("/v2/bot-bottle/machine/blobs/"))
    for (const Blob& blob : blobs_)
      if (blob.digest == name) found = &blob;
  if (found == nullptr) {
    send_text(connection, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    return;
  }
  if (!send_text(connection, "HTTP/1.1 200 OK\r\nContent-Type: " + found->type +
                                 "\r\nContent-Length: " + std::to_string(found->size) +
                                 "\r\nDocker-Content-Digest: " + found->digest + "\r\nConnection: close\r\n\r\n") ||
      head)
    return;
  if (!found->text.empty()) {
    send_text(connection, found->text);
    return;
  }
  std::string buffer(piece, '\0');
  for (std::uint64_t at = 0; at < found->size;) {
    const ssize_t got = ::pread(archive_.get(), buffer.data(), std::min<std::uint64_t>(buffer.size(), found->size - at),
                                static_cast<off_t>(found->offset + at));
    if (got <= 0 || !send_text(connection, std::string_view(buffer).substr(0, static_cast<std::size_t>(got)))) return;
    at += static_cast<std::uint64_t>(got);
  }
}

}  // namespace bot_bottle::backend_smolvm
