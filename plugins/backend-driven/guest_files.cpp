#include "plugins/backend-driven/guest_files.hpp"

#include "plugins/backend-driven/tar_text.hpp"
#include "plugins/backend-local/etc_files.hpp"
#include "plugins/backend-local/java_trust.hpp"

namespace bot_bottle::driven {
namespace {

/// For sh, between single quotes.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

std::string trust_archive(const std::string& ca_pem) {
  std::string bundle = backend_local::system_bundle();
  if (!bundle.empty() && bundle.back() != '\n') bundle.push_back('\n');
  bundle += ca_pem;
  TarText tar;
  for (const char* path : {"etc", "etc/ssl", "etc/ssl/certs", "etc/ssl/certs/java", "etc/pki", "etc/pki/tls",
                           "etc/pki/tls/certs", "etc/bot-bottle"})
    tar.directory(path, 0755);
  tar.file("etc/ssl/certs/ca-certificates.crt", 0644, bundle);
  tar.link("etc/ssl/cert.pem", "certs/ca-certificates.crt");
  tar.link("etc/pki/tls/certs/ca-bundle.crt", "../../../ssl/certs/ca-certificates.crt");
  tar.file("etc/ssl/certs/java/cacerts", 0644, backend_local::java_trust_store(bundle));
  tar.file("etc/bot-bottle/ca.pem", 0644, ca_pem);
  if (const std::string hash = backend_local::subject_hash(ca_pem); !hash.empty())
    tar.link("etc/ssl/certs/" + hash + ".0", "../../bot-bottle/ca.pem");
  return tar.finish();
}

std::string setup_script(const GuestIdentity& identity, Ownership ownership) {
  const std::string owner = std::to_string(identity.uid) + ":" + std::to_string(identity.gid);
  std::string hosts = "127.0.0.1 localhost bottle";
  for (const std::string& name : identity.names) hosts += " " + name;
  std::string script = "set -e\numask 022\n";
  script += "printf '%s\\n' " + quoted(hosts) + " >/etc/hosts\n";
  script += "rm -f /etc/resolv.conf 2>/dev/null || :\n";  // a link elsewhere goes; a bind mount stays and is written
  script += "printf '%s\\n' 'nameserver 127.0.0.1' >/etc/resolv.conf\n";
  const std::string uid = std::to_string(identity.uid);
  const std::string gid = std::to_string(identity.gid);
  script += "grep -q '^[^:]*:[^:]*:" + gid + ":' /etc/group 2>/dev/null || printf '%s\\n' " +
            quoted(identity.user + ":x:" + gid + ":") + " >>/etc/group\n";
  script += "grep -q '^[^:]*:[^:]*:" + uid + ":' /etc/passwd 2>/dev/null || printf '%s\\n' " +
            quoted(identity.user + ":x:" + uid + ":" + gid + "::" + identity.home + ":/bin/sh") + " >>/etc/passwd\n";
  for (const std::string& path : {identity.home, identity.workspace}) {
    if (path.empty()) continue;
    script += "mkdir -p " + quoted(path) + "\n";
    // -h: a link is given away itself, never what it leads to.
    script +=
        std::string("chown ") + (ownership == Ownership::repair ? "-R -h " : "-h ") + owner + " " + quoted(path) + "\n";
  }
  script += "mkdir -p /tmp && chmod 1777 /tmp\n";
  return script;
}

}  // namespace bot_bottle::driven
