#include "plugins/backend-driven/sidecar_profile.hpp"

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

}  // namespace

std::string sidecar_profile(const HostSidecar& sidecar, const std::string& libexec, const std::string& share) {
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
  if (sidecar.has_git_gate)
    text += "(allow process-exec (literal \"/usr/bin/git\") (literal \"/usr/bin/ssh\"))\n(allow process-fork)\n";
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
