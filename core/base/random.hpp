// Random names and tokens from getrandom(2).
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace bot_bottle {

/// Fills with random bytes; aborts where the kernel has none (nothing safe can follow).
void random_bytes(std::span<unsigned char> out);
/// `count` characters of [0-9a-z], without modulo bias.
std::string random_base36(std::size_t count);

}  // namespace bot_bottle
