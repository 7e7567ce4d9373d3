#include "core/cli/show.hpp"

#include <fmt/format.h>

#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::cli {

std::string short_path(const std::filesystem::path& path) {
  const std::string text = path.string();
  const auto below = [&text](const std::filesystem::path& root) {
    const std::string prefix = root.string();
    return prefix.size() > 1 && text.size() > prefix.size() && text.starts_with(prefix) && text[prefix.size()] == '/';
  };
  // Asked once: listings call this per line.
  static const std::filesystem::path here = [] {
    std::error_code code;
    return std::filesystem::current_path(code);
  }();
  static const auto home = operator_home();
  if (below(here) && (!home || here != *home)) return "." + text.substr(here.string().size());
  if (home && below(*home)) return "~" + text.substr(home->string().size());
  return text;
}

std::string short_place(const manifest::Place& place) {
  if (place.file.empty()) return {};
  return place.line == 0 ? short_path(place.file) : fmt::format("{}:{}", short_path(place.file), place.line);
}

std::vector<std::string> describe_matches(const policy::Route& route) {
  std::vector<std::string> lines;
  for (const policy::Match& match : route.matches) {
    std::vector<std::string> parts;
    if (!match.methods.empty()) parts.push_back(join(match.methods, ","));
    for (const policy::PathMatch& path : match.paths) {
      const char* kind = path.type == policy::PathMatch::Type::prefix  ? "…"
                         : path.type == policy::PathMatch::Type::regex ? " (regex)"
                                                                       : "";
      parts.push_back(path.value + kind);
    }
    for (const policy::HeaderMatch& header : match.headers)
      parts.push_back(header.name + (header.type == policy::HeaderMatch::Type::regex ? "~" : "=") + header.value);
    lines.push_back(parts.empty() ? "all" : join(parts, " "));
  }
  return lines;
}

std::string describe_auth(const policy::Route& route) {
  if (!route.auth) return {};
  switch (route.auth->scheme) {
    case policy::Auth::Scheme::bearer:
      return "Bearer";
    case policy::Auth::Scheme::token:
      return "token";
    case policy::Auth::Scheme::basic:
      return "Basic";
    case policy::Auth::Scheme::header:
      return "header:" + route.auth->header;
  }
  return {};
}

std::string describe_dlp(const policy::Route& route) {
  if (route.tls == policy::Tls::passthrough) return "none (tunnel)";
  std::vector<std::string> parts;
  if (route.dlp.token_patterns && route.dlp.known_secrets)
    parts.emplace_back("out");
  else if (route.dlp.token_patterns)
    parts.emplace_back("out:patterns");
  else if (route.dlp.known_secrets)
    parts.emplace_back("out:known");
  if (route.dlp.financial) parts.emplace_back("financial");
  if (route.dlp.injection)
    parts.emplace_back("in");
  else if (route.dlp.recognised_injection)
    parts.emplace_back("in:mcp");
  return parts.empty() ? "off" : join(parts, "+");
}

void show_faults(Context& context, const std::vector<manifest::Fault>& faults) {
  for (manifest::Fault fault : faults) {
    fault.severity = manifest::Fault::Severity::error;  // warn() says the word already
    context.warn(manifest::to_text(fault));
  }
}

}  // namespace bot_bottle::cli
