#include "sidecar/egress/grpc_guard.hpp"

#include <algorithm>
#include <utility>

#include "core/base/text.hpp"

namespace bot_bottle::egress {
namespace {
constexpr unsigned compressed = 1;
}

bool is_grpc(const http::Fields& fields) {
  constexpr std::string_view type = "application/grpc";
  const std::string_view value = fields.find("content-type").value_or("");
  if (!starts_with_ignoring_case(value, type)) return false;
  return value.size() == type.size() || value[type.size()] == '+' || value[type.size()] == ';';
}

std::optional<Coding> grpc_coding(const http::Fields& fields) {
  const auto encoding = fields.find("grpc-encoding");
  return encoding ? parse_coding(*encoding) : std::nullopt;
}

GrpcFrames::Event GrpcFrames::next(std::string_view& input, std::string_view& piece) {
  if (in_message_) {
    if (left_ == 0) {
      in_message_ = false;
      prefix_size_ = 0;
      return Event::end;
    }
    if (input.empty()) return Event::need_more;
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size()));
    piece = input.substr(0, size);
    input.remove_prefix(size);
    left_ -= size;
    return Event::data;
  }
  while (prefix_size_ < prefix_.size()) {
    if (input.empty()) return Event::need_more;
    prefix_[prefix_size_++] = input.front();
    input.remove_prefix(1);
  }
  left_ = 0;
  for (std::size_t i = 1; i < prefix_.size(); ++i) left_ = (left_ << 8U) | static_cast<unsigned char>(prefix_[i]);
  in_message_ = true;
  return Event::begin;
}

GrpcGuard::GrpcGuard(std::shared_ptr<const dlp::Rules> rules, std::shared_ptr<const dlp::KnownSecrets> secrets,
                     dlp::Detectors detectors, std::optional<Coding> coding, policy::OnUnscannable on_unscannable)
    : coding_(coding),
      on_unscannable_(on_unscannable),
      messages_(std::move(rules), std::move(secrets), detectors, on_unscannable) {}

std::optional<BodyGuard::Block> GrpcGuard::write(std::string_view bytes, std::string& released) {
  std::string_view piece;
  while (true) {
    switch (frames_.next(bytes, piece)) {
      case GrpcFrames::Event::need_more:
        return std::nullopt;
      case GrpcFrames::Event::begin: {
        const bool readable = frames_.flags() == 0 || (frames_.flags() == compressed && coding_);
        if (!readable && on_unscannable_ == policy::OnUnscannable::block)
          return BodyGuard::Block{std::nullopt, "a gRPC message is compressed in a way that cannot be read", false};
        messages_.begin(frames_.flags() == compressed ? coding_ : std::nullopt);
        released.append(frames_.prefix());
        break;
      }
      case GrpcFrames::Event::data:
        if (auto block = messages_.write(piece, released)) return block;
        break;
      case GrpcFrames::Event::end:
        if (auto block = messages_.end(released)) return block;
        break;
    }
  }
}

std::optional<BodyGuard::Block> GrpcGuard::finish(std::string& released) {
  // What is cut off in the middle is judged as it is.
  if (frames_.in_message()) return messages_.end(released);
  if (frames_.prefix().empty()) return std::nullopt;
  if (auto block = messages_.write(frames_.prefix(), released)) return block;
  return messages_.end(released);
}

bool GrpcScrubber::write(std::string_view bytes, std::string& released) {
  std::string_view piece;
  while (true) {
    switch (frames_.next(bytes, piece)) {
      case GrpcFrames::Event::need_more:
        return true;
      case GrpcFrames::Event::begin:
        if (frames_.flags() != 0 && on_unscannable_ == policy::OnUnscannable::block) return false;
        released.append(frames_.prefix());
        scrubber_.reset();
        in_ = out_ = 0;
        break;
      case GrpcFrames::Event::data: {
        if (!scrubber_) scrubber_.emplace(secrets_);
        const std::size_t before = released.size();
        replaced_ += scrubber_->write(piece, released);
        in_ += piece.size();
        out_ += released.size() - before;
        break;
      }
      case GrpcFrames::Event::end:
        end_message(released);
        break;
    }
  }
}

void GrpcScrubber::end_message(std::string& released) {
  if (!scrubber_) return;
  const std::size_t before = released.size();
  replaced_ += scrubber_->finish(released);
  out_ += released.size() - before;
  // The stars are never longer than what they stand for.
  if (out_ < in_) released.append(static_cast<std::size_t>(in_ - out_), '*');
  scrubber_.reset();
}

void GrpcScrubber::finish(std::string& released) {
  if (frames_.in_message()) {
    end_message(released);
  } else {
    released.append(frames_.prefix());
  }
}

}  // namespace bot_bottle::egress
