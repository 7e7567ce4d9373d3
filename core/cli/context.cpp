// Output to the operator, questions, and the things that are made only when a verb needs them.
#include "core/cli/context.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <iostream>

#include "core/base/error.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/cli/lazy.hpp"

namespace bot_bottle::cli {
namespace {

void write_line(std::FILE* stream, std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stream);
  std::fputc('\n', stream);
  // A full disk or a closed pipe is found here and not at the end, so that `logs -f | head` ends.
  if (std::fflush(stream) != 0 && stream == stdout)
    throw Failure(error_from_errno("writing to standard output", errno));
}

/// A line from standard input without its newline; nothing at the end of input.
std::optional<std::string> read_line() {
  std::string line;
  if (!std::getline(std::cin, line)) return std::nullopt;
  return line;
}

}  // namespace

Context::Context() : lazy_(std::make_unique<Lazy>()) {}
Context::~Context() = default;

const Home& Context::home() {
  if (!lazy_->home) lazy_->home = or_throw(Home::find(home_option));
  return *lazy_->home;
}

const Installation& Context::installation() {
  if (!lazy_->installation) lazy_->installation = or_throw(Installation::find());
  return *lazy_->installation;
}

manifest::Sources Context::sources() {
  std::error_code code;
  const std::filesystem::path here = std::filesystem::current_path(code);
  if (code)
    throw Failure(make_error(ErrorKind::failed_precondition, "cannot tell the working directory: " + code.message(),
                             "cd to a directory that exists"));
  return manifest::Sources::find(home(), here);
}

void Context::out(std::string_view text) const {
  write_line(stdout, text);
}

void Context::note(std::string_view text) const {
  if (!output.quiet) write_line(stderr, text);
}

void Context::detail(std::string_view text) const {
  if (output.verbose || output.debug) write_line(stderr, text);
}

void Context::warn(std::string_view text) const {
  std::string line = format_warning(text);
  if (output.color && ::isatty(STDERR_FILENO) == 1) line = paint("warning", Tone::warning) + line.substr(7);
  write_line(stderr, line);
}

std::string format_warning(std::string_view text) {
  return "warning: " + escape_untrusted_lines(text);
}

void Context::print_json(const json::value& value) const {
  std::string text = to_ascii_json(to_pretty_text(value));
  if (text.ends_with('\n')) text.pop_back();
  write_line(stdout, text);
}

std::string Context::paint(std::string_view text, Tone tone) const {
  if (!output.color || text.empty()) return std::string(text);
  std::string_view code;
  switch (tone) {
    case Tone::plain:
      return std::string(text);
    case Tone::good:
      code = "32";
      break;
    case Tone::bad:
      code = "1;31";
      break;
    case Tone::warning:
      code = "33";
      break;
    case Tone::dim:
      code = "2";
      break;
    case Tone::strong:
      code = "1";
      break;
  }
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

bool Context::stdin_is_terminal() const {
  return ::isatty(STDIN_FILENO) == 1;
}
bool Context::stdout_is_terminal() const {
  return ::isatty(STDOUT_FILENO) == 1;
}

bool Context::confirm(std::string_view question) const {
  if (!stdin_is_terminal()) return false;
  std::fprintf(stderr, "%s [y/N] ", std::string(question).c_str());
  std::fflush(stderr);
  const auto answer = read_line();
  if (!answer) std::fputc('\n', stderr);
  const std::string word = to_lower(trim(answer.value_or("")));
  return word == "y" || word == "yes";
}

std::string Context::ask(std::string_view question, std::string_view fallback) const {
  if (!stdin_is_terminal()) return std::string(fallback);
  std::fprintf(stderr, "%s [%s]: ", std::string(question).c_str(), std::string(fallback).c_str());
  std::fflush(stderr);
  const auto answer = read_line();
  if (!answer) std::fputc('\n', stderr);
  const std::string word(trim(answer.value_or("")));
  return word.empty() ? std::string(fallback) : word;
}

std::string to_ascii_json(std::string_view json_text) {
  std::string out;
  out.reserve(json_text.size());
  const auto put = [&out](std::uint32_t unit) { out += fmt::format("\\u{:04x}", unit); };
  std::size_t at = 0;
  while (at < json_text.size()) {
    const auto lead = static_cast<std::uint8_t>(json_text[at]);
    if (lead < 0x80) {
      if (lead == 0x7F)
        put(lead);
      else
        out += json_text[at];
      ++at;
      continue;
    }
    const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    const std::string_view character = json_text.substr(at, length);
    if (character.size() < length || !is_valid_utf8(character)) {  // the serialiser was given bad bytes
      put(0xFFFD);
      ++at;
      continue;
    }
    std::uint32_t point = lead & (0xFFU >> (length + 1));
    for (std::size_t i = 1; i < length; ++i) point = (point << 6U) | (static_cast<std::uint8_t>(character[i]) & 0x3FU);
    if (point >= 0x10000) {  // a surrogate pair, RFC 8259 section 7
      put(0xD800 + ((point - 0x10000) >> 10U));
      put(0xDC00 + ((point - 0x10000) & 0x3FFU));
    } else {
      put(point);
    }
    at += length;
  }
  return out;
}

}  // namespace bot_bottle::cli
