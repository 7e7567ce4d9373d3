// The documents of the host's services (docs/internals.md, plugin.h) as structs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bot_bottle/sdk/documents.hpp"

namespace bot_bottle::sdk {

struct ProcessRequest {
  static constexpr std::string_view schema = "bot-bottle.process-request/1";
  std::vector<std::string> argv;  // argv[0] is a path or is looked up on PATH; never a shell
  std::optional<StringMap> env;   // the whole environment; absent: the host's
  std::string cwd;
  std::string stdin_text;                             // "stdin"; run only
  std::int64_t timeout_ms = 30'000;                   // run only
  std::uint64_t max_output = std::uint64_t{4} << 20;  // run only; bytes per stream, more is dropped
  bool session = false;                               // spawn only: setsid(2)
  BB_SDK_FIELDS {
    visit("argv", self.argv);
    visit("env", self.env);
    visit("cwd", self.cwd);
    visit("stdin", self.stdin_text);
    visit("timeout_ms", self.timeout_ms);
    visit("max_output", self.max_output);
    visit("session", self.session);
  }
};

struct ProcessResult {
  static constexpr std::string_view schema = "bot-bottle.process-result/1";
  int code = 0;     // exit code, or 128 + signal
  std::string out;  // "stdout"; invalid UTF-8 is replaced
  std::string err;
  bool truncated = false;
  BB_SDK_FIELDS {
    visit("code", self.code);
    visit("stdout", self.out);
    visit("stderr", self.err);
    visit("truncated", self.truncated);
  }
};

struct HttpRequest {
  static constexpr std::string_view schema = "bot-bottle.http-request/1";
  std::string socket;  // absolute path
  std::string method = "GET";
  std::string target = "/";
  StringMap headers;
  std::string body;
  std::int64_t timeout_ms = 30'000;
  BB_SDK_FIELDS {
    visit("socket", self.socket);
    visit("method", self.method);
    visit("target", self.target);
    visit("headers", self.headers);
    visit("body", self.body);
    visit("timeout_ms", self.timeout_ms);
  }
};

struct HttpResponse {
  static constexpr std::string_view schema = "bot-bottle.http-response/1";
  int status = 0;
  StringMap headers;  // names in lower case; repeated ones joined by ", "
  std::string body;
  BB_SDK_FIELDS {
    visit("status", self.status);
    visit("headers", self.headers);
    visit("body", self.body);
  }
};

}  // namespace bot_bottle::sdk
