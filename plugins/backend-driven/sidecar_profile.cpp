#include "plugins/backend-driven/sidecar_profile.hpp"

#include "core/base/text.hpp"

namespace bot_bottle::driven {
namespace {

/// A string of the profile's language (Scheme).
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out + "\"";
}

/// What Programs::executables (sidecar/git_gate) names on a Mac. /bin/sh is a program that runs the shell which a link
/// in /private/var/select names, one of three.
std::string git_gate_rules(const std::string& developer) {
  std::string programs;
  for (const char* name : {"/bin/sh", "/bin/bash", "/bin/dash", "/bin/zsh", "/usr/bin/ssh"})
    programs += " (literal " + quoted(name) + ")";
  programs += " (literal " + quoted(developer + "/usr/bin/git") + ")";
  programs += " (subpath " + quoted(developer + "/usr/libexec/git-core") + ")";
  return "(allow process-exec" + programs + ")\n(allow process-fork)\n(allow file-read*" + programs +
         " (literal \"/private/var/select/sh\") (subpath " + quoted(developer + "/usr/lib") + ") (subpath " +
         quoted(developer + "/usr/share/git-core") + "))\n";
}

}  // namespace

std::string developer_directory(std::string_view said) {
  const std::string_view path = trim(said);
  const bool is_plain = path.size() > 1 && path.front() == '/' && path.find('\n') == std::string_view::npos;
  return is_plain ? std::string(path) : std::string();
}

std::string sidecar_path(const std::string& developer) {
  return (developer.empty() ? std::string() : developer + "/usr/bin:") + "/usr/bin:/bin";
}

std::string sidecar_profile(const HostSidecar& sidecar, const std::string& libexec, const std::string& share,
                            const std::string& developer) {
  const std::string program = "(literal " + quoted(libexec + "/bot-bottle-sidecar") + ")";
  std::string text =
      "(version 1)\n(deny default)\n(import \"bsd.sb\")\n"
      "(allow signal (target same-sandbox))\n(allow sysctl-read)\n(allow system-socket)\n"
      "(allow network-outbound (remote ip \"*:*\"))\n"
      "(allow network-bind (local ip \"*:*\"))\n"
      "(allow network-inbound (local ip \"*:*\"))\n"
      "(allow network-outbound (literal \"/private/var/run/mDNSResponder\"))\n"
      "(allow file-read* (subpath \"/usr/lib\") (subpath \"/usr/share\") (subpath \"/System\") "
      "(subpath \"/private/etc/ssl\") (subpath \"/opt/homebrew/lib\") (subpath \"/opt/homebrew/opt\") "
      "(subpath \"/opt/homebrew/Cellar\") (literal \"/private/etc/hosts\") (literal \"/private/etc/resolv.conf\") "
      "(literal \"/private/etc/services\"))\n"
      "(allow mach-lookup (global-name \"com.apple.system.opendirectoryd.libinfo\") "
      "(global-name \"com.apple.dnssd.service\"))\n";
  text += "(allow process-exec " + program + ")\n";
  if (sidecar.has_git_gate) text += git_gate_rules(developer);
  text += "(allow file-read* (subpath " + quoted(share) + ") " + program + ")\n";
  if (!sidecar.rules_database.empty()) text += "(allow file-read* (literal " + quoted(sidecar.rules_database) + "))\n";
  for (const char* name : {"egress", "wire", "control", "logs", "git-gate", "supervise"})
    text += "(allow file-read* file-write* (subpath " + quoted(sidecar.state_dir + "/" + name) + "))\n";
  for (const char* name : {"wire", "control"}) {
    const std::string place = "unix-socket (subpath " + quoted(sidecar.state_dir + "/" + name) + ")))\n";
    text += "(allow network-bind (local " + place;
    text += "(allow network-inbound (local " + place;
    text += "(allow network-outbound (remote " + place;
  }
  return text;
}

}  // namespace bot_bottle::driven
