#include "sidecar/net/stream.hpp"

#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace bot_bottle::net {

/// Lives until libuv's close callback; `handler` is null from the moment the owner lets go.
struct Stream::Handle {
  union {
    uv_handle_t any;
    uv_stream_t stream;
    uv_pipe_t pipe;
    uv_tcp_t tcp;
  };
  Loop* loop = nullptr;
  StreamHandler* handler = nullptr;
  std::size_t unsent = 0;
  bool reading = false;
  bool finishing = false;
};

namespace {

using Handle = Stream::Handle;

constexpr int backlog = 4096;  // the kernel cuts it at net.core.somaxconn

struct WriteRequest {
  uv_write_t request{};
  std::string bytes;
};

Handle* handle_of(void* data) {
  return static_cast<Handle*>(data);
}

void on_alloc(uv_handle_t* raw, std::size_t /*suggested*/, uv_buf_t* buffer) {
  const std::span<char> shared = handle_of(raw->data)->loop->read_buffer();
  *buffer = uv_buf_init(shared.data(), static_cast<unsigned>(shared.size()));
}

void on_read(uv_stream_t* raw, ssize_t count, const uv_buf_t* buffer) {
  Handle* handle = handle_of(raw->data);
  if (count == 0 || handle->handler == nullptr) return;
  const Loop::Turn turn(*handle->loop);
  if (count > 0) {
    handle->handler->on_bytes({buffer->base, static_cast<std::size_t>(count)});
    return;
  }
  uv_read_stop(raw);
  handle->reading = false;
  if (count == UV_EOF) {
    handle->handler->on_end();
  } else {
    handle->handler->on_failure(static_cast<int>(count));
  }
}

void on_written(uv_write_t* request, int status) {
  const std::unique_ptr<WriteRequest> write(static_cast<WriteRequest*>(request->data));
  Handle* handle = handle_of(request->handle->data);
  handle->unsent -= write->bytes.size();
  if (handle->handler == nullptr) return;
  const Loop::Turn turn(*handle->loop);
  if (status < 0) {
    handle->handler->on_failure(status);
  } else if (handle->unsent == 0) {
    handle->handler->on_drained();
  }
}

void on_shut(uv_shutdown_t* request, int /*status*/) {
  delete request;
}  // paired with Stream::finish

void on_closed(uv_handle_t* raw) {
  delete handle_of(raw->data);
}

}  // namespace

Result<Stream> Stream::adopt(Loop& loop, UniqueFd fd) {
  int domain = 0;
  socklen_t size = sizeof domain;
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0)
    return fail(error_from_errno("socket", errno));
  auto handle = std::make_unique<Handle>();
  int status = 0;
  if (domain == AF_UNIX) {
    uv_pipe_init(loop.raw(), &handle->pipe, 0);
    status = uv_pipe_open(&handle->pipe, fd.get());
  } else {
    uv_tcp_init(loop.raw(), &handle->tcp);
    status = uv_tcp_open(&handle->tcp, fd.get());
    if (status == 0) uv_tcp_nodelay(&handle->tcp, 1);
  }
  handle->any.data = handle.get();
  handle->loop = &loop;
  Stream stream(handle.release());  // from here on the close callback frees it
  if (status != 0) return fail(ErrorKind::unavailable, fmt::format("cannot use the socket: {}", uv_strerror(status)));
  (void)fd.release();
  return stream;
}

Stream::Stream(Stream&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}

Stream& Stream::operator=(Stream&& other) noexcept {
  if (this != &other) {
    close();
    handle_ = std::exchange(other.handle_, nullptr);
  }
  return *this;
}

Stream::~Stream() {
  close();
}

void Stream::set_handler(StreamHandler* handler) {
  if (handle_ != nullptr) handle_->handler = handler;
}

void Stream::start_reading() {
  if (handle_ == nullptr || handle_->reading) return;
  handle_->reading = uv_read_start(&handle_->stream, on_alloc, on_read) == 0;
}

void Stream::stop_reading() {
  if (handle_ == nullptr || !handle_->reading) return;
  uv_read_stop(&handle_->stream);
  handle_->reading = false;
}

int Stream::write(std::string& bytes) {
  if (handle_ == nullptr) return UV_EPIPE;
  if (bytes.empty()) return 0;
  std::size_t sent = 0;
  if (handle_->unsent == 0) {
    uv_buf_t buffer = uv_buf_init(bytes.data(), static_cast<unsigned>(bytes.size()));
    const int count = uv_try_write(&handle_->stream, &buffer, 1);
    if (count < 0 && count != UV_EAGAIN) return count;
    if (count > 0) sent = static_cast<std::size_t>(count);
    if (sent == bytes.size()) {
      bytes.clear();
      return 0;
    }
  }
  auto write = std::make_unique<WriteRequest>();
  if (sent > 0) bytes.erase(0, sent);
  write->bytes.swap(bytes);
  write->request.data = write.get();
  uv_buf_t buffer = uv_buf_init(write->bytes.data(), static_cast<unsigned>(write->bytes.size()));
  const int status = uv_write(&write->request, &handle_->stream, &buffer, 1, on_written);
  if (status < 0) return status;
  handle_->unsent += write->bytes.size();
  (void)write.release();  // on_written owns it now
  return 0;
}

std::size_t Stream::unsent() const {
  return handle_ == nullptr ? 0 : handle_->unsent;
}

void Stream::finish() {
  if (handle_ == nullptr || handle_->finishing) return;
  handle_->finishing = true;
  auto request = std::make_unique<uv_shutdown_t>();
  if (uv_shutdown(request.get(), &handle_->stream, on_shut) == 0) (void)request.release();
}

void Stream::close() {
  Handle* handle = std::exchange(handle_, nullptr);
  if (handle == nullptr) return;
  handle->handler = nullptr;
  uv_close(&handle->any, on_closed);
}

std::optional<uid_t> Stream::peer_uid() const {
  uv_os_fd_t fd = -1;
  if (handle_ == nullptr || uv_fileno(&handle_->any, &fd) != 0) return std::nullopt;
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return std::nullopt;
  return credentials.uid;
}

struct Listener::Handle {
  uv_pipe_t pipe{};  // of a TCP socket too: libuv's pipes and sockets differ only in how they are bound
  Loop* loop = nullptr;
  OnConnection on_connection;
};

Result<Listener> Listener::listen_unix(Loop& loop, const std::string& path, mode_t mode, OnConnection on_connection) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(ErrorKind::invalid_argument, fmt::format("the socket path '{}' is longer than 107 octets", path),
                "use a shorter state directory");
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail(error_from_errno("socket", errno));
  ::unlink(path.c_str());
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail(error_from_errno(fmt::format("cannot listen on {}", path), errno));
  if (::chmod(path.c_str(), mode) != 0) return fail(error_from_errno(fmt::format("chmod {}", path), errno));

  return adopt(loop, std::move(fd), path, std::move(on_connection));
}

Result<Listener> Listener::listen_tcp(Loop& loop, const Address& address, OnConnection on_connection) {
  UniqueFd fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail(error_from_errno("socket", errno));
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  // Accepted sockets inherit it: an answer must not wait for an acknowledgement.
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const socklen_t size = address.storage.ss_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  if (::bind(fd.get(), address.raw(), size) != 0)
    return fail(error_from_errno(fmt::format("cannot listen on {}", address.text()), errno));
  return adopt(loop, std::move(fd), address.text(), std::move(on_connection));
}

Result<Listener> Listener::adopt(Loop& loop, UniqueFd fd, const std::string& name, OnConnection on_connection) {
  auto handle = std::make_unique<Handle>();
  handle->loop = &loop;
  handle->on_connection = std::move(on_connection);
  uv_pipe_init(loop.raw(), &handle->pipe, 0);
  handle->pipe.data = handle.get();
  int status = uv_pipe_open(&handle->pipe, fd.get());
  if (status == 0) (void)fd.release();
  Listener listener(handle.release());
  const auto accept = [](uv_stream_t* server, int error) {
    auto* self = static_cast<Handle*>(server->data);
    if (error < 0) return;
    const Loop::Turn turn(*self->loop);
    auto client = std::make_unique<Stream::Handle>();
    uv_pipe_init(self->loop->raw(), &client->pipe, 0);
    client->any.data = client.get();
    client->loop = self->loop;
    Stream::Handle* raw = client.release();  // the stream's close callback frees it
    Stream stream(raw);
    if (uv_accept(server, &raw->stream) == 0) self->on_connection(std::move(stream));
  };
  if (status == 0) status = uv_listen(reinterpret_cast<uv_stream_t*>(&listener.handle_->pipe), backlog, accept);
  if (status != 0)
    return fail(ErrorKind::unavailable, fmt::format("cannot listen on {}: {}", name, uv_strerror(status)));
  return listener;
}

Listener::Listener(Listener&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}

Listener& Listener::operator=(Listener&& other) noexcept {
  if (this != &other) {
    close();
    handle_ = std::exchange(other.handle_, nullptr);
  }
  return *this;
}

Listener::~Listener() {
  close();
}

void Listener::close() {
  Handle* handle = std::exchange(handle_, nullptr);
  if (handle == nullptr) return;
  uv_close(reinterpret_cast<uv_handle_t*>(&handle->pipe),
           [](uv_handle_t* raw) { delete static_cast<Handle*>(raw->data); });
}

}  // namespace bot_bottle::net
