#include "sidecar/tls/channel.hpp"

#include <array>
#include <span>
#include <utility>

namespace bot_bottle::tls {
namespace {
/// Pieces of this size are encrypted where they are; smaller ones are gathered, so that a head and a small body share
/// one record and one packet.
constexpr std::size_t gather_below = 4096;
/// All records of one read of the socket at once: what is done for each call (a look at what is held back, a record of
/// its own for what is left over) is done a quarter as often as with one record a call.
constexpr std::size_t plain_buffer_bytes = std::size_t{128} << 10;
}  // namespace

Channel::Channel(net::Loop& loop, net::Stream stream, std::uint64_t* open)
    : loop_(loop), stream_(std::move(stream)), open_(open) {
  if (open_ != nullptr) ++*open_;
  stream_.set_handler(this);
}

Channel::~Channel() {
  if (open_ != nullptr) --*open_;
  if (marked_) loop_.forget_flush(this);
}

void Channel::mark() {
  if (marked_ || failed_) return;
  marked_ = true;
  loop_.flush_later(this);
}

void Channel::start_tls(std::unique_ptr<Session> session, std::string_view first) {
  encrypt_pending();
  flush();  // what was written before is plain
  session_ = std::move(session);
  decrypt(first);
}

void Channel::write(std::string_view bytes) {
  if (failed_ || finishing_ || bytes.empty()) return;
  if (plain_.capacity() == 0) plain_ = loop_.take_buffer();
  mark();
  if (!session_ || !secured_ || bytes.size() < gather_below) {
    plain_.append(bytes);
    return;
  }
  encrypt_pending();
  if (failed_) return;
  prepare_output();
  if (session_->write(bytes) != Status::ok) fail(session_->error());
}

/// A buffer for records, unless some are waiting: replacing those would lose them.
void Channel::prepare_output() {
  if (session_->output().empty() && session_->output().capacity() < 64) session_->output() = loop_.take_buffer();
}

void Channel::encrypt_pending() {
  if (!session_ || !secured_ || plain_.empty()) return;
  prepare_output();
  const Status status = session_->write(plain_);
  plain_.clear();
  if (status != Status::ok) fail(session_->error());
}

std::size_t Channel::unsent() const {
  const std::size_t records = session_ ? session_->output().size() : 0;
  return plain_.size() + records + stream_.unsent();
}

void Channel::flush() {
  marked_ = false;
  if (failed_) return;
  encrypt_pending();
  if (failed_) return;
  if (finishing_ && !finished_ && session_) session_->shut();
  std::string& bytes = output();
  const bool had_bytes = !bytes.empty();
  if (had_bytes) {
    if (const int code = stream_.write(bytes); code < 0) {
      fail(uv_strerror(code));
      return;
    }
  }
  if (bytes.empty()) loop_.give_buffer(std::exchange(bytes, {}));
  if (session_ && plain_.empty()) loop_.give_buffer(std::exchange(plain_, {}));
  if (finishing_ && !std::exchange(finished_, true)) stream_.finish();
  // Somebody may have seen what waited here and paused; what the kernel took at once brings no on_drained of its own,
  // and the pause would last for ever (guarded by the escape suite, 3.20: "behind 300 KiB of text").
  if (had_bytes && stream_.unsent() == 0 && handler_ != nullptr) handler_->on_drained();
}

void Channel::finish() {
  if (finishing_) return;
  finishing_ = true;
  mark();
}

void Channel::close() {
  handler_ = nullptr;
  failed_ = true;
  stream_.close();
}

void Channel::fail(std::string_view reason) {
  if (std::exchange(failed_, true)) return;
  // The alert that says why is worth sending; nothing depends on its arrival.
  if (session_ && !session_->output().empty()) (void)stream_.write(session_->output());
  stream_.stop_reading();
  if (ChannelHandler* handler = std::exchange(handler_, nullptr)) handler->on_failure(reason);
}

void Channel::on_bytes(std::string_view bytes) {
  if (failed_) return;
  if (session_) {
    decrypt(bytes);
  } else if (handler_ != nullptr) {
    handler_->on_bytes(bytes);
  }
}

void Channel::decrypt(std::string_view records) {
  session_->feed(records);
  if (!secured_) {
    const Status status = session_->handshake();
    if (!session_->output().empty()) mark();
    if (status == Status::failed || status == Status::closed) {
      fail(session_->error().empty() ? "the peer closed during the handshake" : session_->error());
      return;
    }
    if (status == Status::want_more) return;
    secured_ = true;
    if (!plain_.empty()) mark();
    if (handler_ != nullptr) handler_->on_secured();
  }
  std::array<char, plain_buffer_bytes> buffer;  // NOLINT(*-member-init): written before it is read
  while (!failed_) {
    std::size_t filled = 0;
    Status status = Status::ok;
    while (status == Status::ok && filled < buffer.size()) {
      std::size_t size = 0;
      status = session_->read(std::span(buffer).subspan(filled), size);
      if (status == Status::ok) filled += size;
    }
    if (!session_->output().empty()) mark();  // a key update's answer, an alert
    if (filled > 0 && handler_ != nullptr) handler_->on_bytes({buffer.data(), filled});
    if (failed_ || status == Status::want_more) return;
    if (status == Status::closed) {
      ended_ = true;
      stream_.stop_reading();
      if (handler_ != nullptr) handler_->on_end();
      return;
    }
    if (status == Status::failed) {
      fail(session_->error());
      return;
    }
  }
}

void Channel::on_end() {
  if (failed_ || ended_) return;
  ended_ = true;
  if (session_) {
    fail(secured_ ? "the connection was cut without a TLS close" : "the peer closed during the handshake");
  } else if (handler_ != nullptr) {
    handler_->on_end();
  }
}

void Channel::on_failure(int code) {
  fail(uv_strerror(code));
}

void Channel::on_drained() {
  if (!failed_ && handler_ != nullptr) handler_->on_drained();
}

}  // namespace bot_bottle::tls
