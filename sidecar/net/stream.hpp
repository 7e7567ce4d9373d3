// A byte stream over a unix or TCP socket, and the listener that makes them.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "core/base/unique_fd.hpp"
#include "sidecar/net/address.hpp"
#include "sidecar/net/loop.hpp"

namespace bot_bottle::net {

/// Callbacks, each inside a turn. After on_end no more bytes come; after on_failure nothing more comes at all.
class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  /// `bytes` is valid during the call.
  virtual void on_bytes(std::string_view bytes) = 0;
  virtual void on_end() = 0;
  /// `code` is a libuv error (UV_ECONNRESET).
  virtual void on_failure(int code) = 0;
  /// Everything queued has been handed to the kernel.
  virtual void on_drained() = 0;
};

/// Move-only owner of a connected socket. Destroying it closes at once and drops what is unsent.
class Stream {
 public:
  Stream() = default;
  /// Takes a connected, non-blocking socket.
  static Result<Stream> adopt(Loop& loop, UniqueFd fd);
  Stream(Stream&& other) noexcept;
  Stream& operator=(Stream&& other) noexcept;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream();

  [[nodiscard]] bool is_open() const { return handle_ != nullptr; }
  void set_handler(StreamHandler* handler);
  void start_reading();
  void stop_reading();
  /// Sends all of `bytes` and empties it; what the kernel does not take now is queued. An error is a libuv code.
  [[nodiscard]] int write(std::string& bytes);
  /// Queued octets: stop producing while this is large.
  [[nodiscard]] std::size_t unsent() const;
  /// Ends our side (FIN) after what is queued.
  void finish();
  void close();
  /// The peer's user id on a unix socket, as of connect (SO_PEERCRED); nothing elsewhere.
  [[nodiscard]] std::optional<uid_t> peer_uid() const;

  struct Handle;
  explicit Stream(Handle* handle) : handle_(handle) {}

 private:
  Handle* handle_ = nullptr;
};

/// Listens on a unix socket; an old one at the path is replaced.
class Listener {
 public:
  using OnConnection = std::function<void(Stream)>;
  Listener() = default;
  /// `path` is at most 107 octets (sun_path). `mode` is set whatever the umask.
  static Result<Listener> listen_unix(Loop& loop, const std::string& path, mode_t mode, OnConnection on_connection);
  static Result<Listener> listen_tcp(Loop& loop, const Address& address, OnConnection on_connection);
  Listener(Listener&& other) noexcept;
  Listener& operator=(Listener&& other) noexcept;
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener();
  void close();

  struct Handle;

 private:
  explicit Listener(Handle* handle) : handle_(handle) {}
  /// Takes a bound socket. `name` is for errors.
  static Result<Listener> adopt(Loop& loop, UniqueFd fd, const std::string& name, OnConnection on_connection);
  Handle* handle_ = nullptr;
};

}  // namespace bot_bottle::net
