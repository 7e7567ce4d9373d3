#include "sidecar/http1/write.hpp"

#include <charconv>

namespace bot_bottle::http1 {

void write_request_line(std::string& out, std::string_view method, std::string_view target,
                        std::string_view authority) {
  out.append(method).append(" ").append(target).append(" HTTP/1.1\r\nhost: ").append(authority).append("\r\n");
}

void write_status_line(std::string& out, int status, std::string_view reason) {
  char digits[12] = {};
  const auto end = std::to_chars(std::begin(digits), std::end(digits), status).ptr;
  out.append("HTTP/1.1 ").append(digits, static_cast<std::size_t>(end - digits)).append(" ");
  out.append(reason.empty() ? reason_of(status) : reason).append("\r\n");
}

void write_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

void write_fields(std::string& out, const http::Fields& fields) {
  fields.each([&](const http::Field& field) { write_field(out, field.name, field.value); });
}

void write_head_end(std::string& out) {
  out.append("\r\n");
}

void write_chunk_begin(std::string& out, std::size_t size) {
  char digits[20] = {};
  const auto end = std::to_chars(std::begin(digits), std::end(digits), size, 16).ptr;
  out.append(digits, static_cast<std::size_t>(end - digits)).append("\r\n");
}

void write_last_chunk(std::string& out, const http::Fields* trailers) {
  out.append("0\r\n");
  if (trailers != nullptr) write_fields(out, *trailers);
  out.append("\r\n");
}

std::string_view reason_of(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 101:
      return "Switching Protocols";
    case 103:
      return "Early Hints";
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 408:
      return "Request Timeout";
    case 421:
      return "Misdirected Request";
    case 431:
      return "Request Header Fields Too Large";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "";
  }
}

}  // namespace bot_bottle::http1
