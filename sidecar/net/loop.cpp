#include "sidecar/net/loop.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace bot_bottle::net {
namespace {
constexpr std::size_t read_buffer_bytes = std::size_t{128} << 10;
constexpr std::size_t max_kept_buffers = 16;
constexpr std::size_t max_kept_capacity = std::size_t{256} << 10;
}  // namespace

Loop::Loop() : read_buffer_(read_buffer_bytes) {
  if (uv_loop_init(&loop_) != 0) std::abort();  // no epoll: nothing can follow
}

Loop::~Loop() {
  while (!retired_.empty()) end_turn();
  uv_run(&loop_, UV_RUN_DEFAULT);
  uv_loop_close(&loop_);
}

void Loop::retire(std::unique_ptr<Retirable> object) {
  if (object) retired_.push_back(std::move(object));
}

void Loop::flush_later(Flushable* object) {
  to_flush_.push_back(object);
}

void Loop::forget_flush(Flushable* object) {
  for (Flushable*& entry : to_flush_) {
    if (entry == object) entry = nullptr;
  }
}

std::string Loop::take_buffer() {
  if (buffers_.empty()) return {};
  std::string buffer = std::move(buffers_.back());
  buffers_.pop_back();
  return buffer;
}

void Loop::give_buffer(std::string&& buffer) {
  if (buffers_.size() >= max_kept_buffers || buffer.capacity() > max_kept_capacity || buffer.capacity() < 1024) return;
  buffer.clear();
  buffers_.push_back(std::move(buffer));
}

void Loop::end_turn() {
  // A flush can end things, and an end can write: until both lists are empty. By index, because both grow meanwhile.
  while (!to_flush_.empty() || !retired_.empty()) {
    for (std::size_t i = 0; i < to_flush_.size(); ++i) {
      if (Flushable* object = std::exchange(to_flush_[i], nullptr)) object->flush();
    }
    to_flush_.clear();
    std::vector<std::unique_ptr<Retirable>> dead;
    dead.swap(retired_);
    dead.clear();
    if (retired_.empty() && dead.capacity() > 0) retired_.swap(dead);
  }
}

}  // namespace bot_bottle::net
