// What an attempt is, and the lists of them. Each add_* is one file; suite.cpp runs them all.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sidecar/attack/context.hpp"

namespace bot_bottle::attack {

enum class Verdict : std::uint8_t {
  blocked,  // the documented refusal was seen
  escaped,  // the attempt did what it must not
  error,    // anything else: no proof either way, so never a pass
};

struct Outcome {
  Verdict verdict = Verdict::error;
  std::string detail;
};
inline Outcome blocked(std::string detail) {
  return {Verdict::blocked, std::move(detail)};
}
inline Outcome escaped(std::string detail) {
  return {Verdict::escaped, std::move(detail)};
}
inline Outcome failed(std::string detail) {
  return {Verdict::error, std::move(detail)};
}
/// The worse of the two: escaped before error before blocked.
Outcome worse(Outcome a, Outcome b);

/// Whether the egress control (the allowed origin answers 200) has to hold before the attempt counts.
enum class Needs : std::uint8_t { nothing, egress };

struct Attempt {
  std::string id;     // "1.4.7": item 1 of the acceptance list, fourth subject, seventh variant
  std::string text;   // what an operator reads; names the catalogue's id
  std::string guard;  // what has to stop it: routes, names, grammar, dlp, ssrf, binding, scrub, git-push, netns,
                      // seccomp, caps, files, dns …
  std::function<Outcome(const Context&)> run;  // in a process of its own
  Needs needs = Needs::nothing;
  std::chrono::seconds limit{20};
};

/// Collects attempts of one subject and numbers them: "<subject>.1", "<subject>.2".
class Subject {
 public:
  Subject(std::vector<Attempt>& out, std::string id, std::string guard, Needs needs = Needs::nothing)
      : out_(out), id_(std::move(id)), guard_(std::move(guard)), needs_(needs) {}
  void add(std::string text, std::function<Outcome(const Context&)> run,
           std::chrono::seconds limit = std::chrono::seconds(20)) {
    out_.push_back({id_ + "." + std::to_string(++count_), std::move(text), guard_, std::move(run), needs_, limit});
  }

 private:
  std::vector<Attempt>& out_;
  std::string id_;
  std::string guard_;
  Needs needs_;
  int count_ = 0;
};

void add_reach_names(std::vector<Attempt>& out, const Context& context);        // 1.1 to 1.5
void add_reach_protocol(std::vector<Attempt>& out, const Context& context);     // 1.6 to 1.12
void add_reach_direct(std::vector<Attempt>& out, const Context& context);       // 1.20 to 1.23
void add_reach_sockets(std::vector<Attempt>& out, const Context& context);      // 1.24 to 1.26
void add_dns(std::vector<Attempt>& out, const Context& context);                // 2
void add_exfiltrate(std::vector<Attempt>& out, const Context& context);         // 3.1 to 3.6
void add_exfiltrate_body(std::vector<Attempt>& out, const Context& context);    // 3.20 to 3.29
void add_planted(std::vector<Attempt>& out, const Context& context);            // 3.40 to 3.42
void add_isolate_files(std::vector<Attempt>& out, const Context& context);      // 5.1 to 5.9
void add_isolate_processes(std::vector<Attempt>& out, const Context& context);  // 5.20 to 5.29
void add_isolate_kernel(std::vector<Attempt>& out, const Context& context);     // 5.30 to 5.39
void add_secrets(std::vector<Attempt>& out, const Context& context);            // 6
void add_resources(std::vector<Attempt>& out, const Context& context);          // 7, only when asked for

}  // namespace bot_bottle::attack
