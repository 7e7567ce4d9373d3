#include "plugins/backend-local/etc_files.hpp"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "core/base/file.hpp"
#include "plugins/backend-local/java_trust.hpp"

namespace bot_bottle::backend_local {
namespace {

namespace fs = std::filesystem;

/// Where distributions keep their bundle of certification authorities.
constexpr std::array<const char*, 4> bundles{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                                             "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"};

/// Files that programs want and that say nothing of the operator.
constexpr std::array<const char*, 16> harmless{
    "ld.so.cache", "ld.so.conf", "localtime", "services",     "protocols", "mime.types", "os-release", "debian_version",
    "bash.bashrc", "inputrc",    "magic",     "locale.alias", "gai.conf",  "rpc",        "ethertypes", "xattr.conf"};
constexpr std::array<const char*, 5> harmless_directories{"alternatives", "ld.so.conf.d", "terminfo", "fonts",
                                                          "crypto-policies"};
/// A JDK of Debian's keeps its configuration there ("java-17-openjdk") and does not start without it.
constexpr std::string_view java_prefix = "java-";

/// Into a directory that was made new and that nobody reads yet.
Result<void> write_new(const std::string& path, std::string_view text) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!file) return fail(error_from_errno("cannot create " + path, errno));
  ::fchmod(file.get(), 0644);  // whatever the operator's umask is
  return write_all(file.get(), text);
}

/// Copies what `path` leads to; absent is fine.
Result<void> copy_file(const std::string& path, const std::string& dest) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
  const auto text = read_file(path);
  if (!text) return {};
  return write_new(dest, *text);
}

Result<void> write(const std::string& path, std::string_view text) {
  BB_CHECK(make_directories(fs::path(path).parent_path(), 0755));
  return write_new(path, text);
}

Result<void> write_accounts(const std::string& directory, const std::string& user, std::uint32_t uid, std::uint32_t gid,
                            const std::string& home) {
  const std::string ids = std::to_string(uid) + ":" + std::to_string(gid);
  BB_CHECK(
      write(directory + "/passwd", "root:x:0:0:root:/root:/usr/sbin/nologin\n" + user + ":x:" + ids + "::" + home +
                                       ":/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"));
  return write(directory + "/group", "root:x:0:\n" + user + ":x:" + std::to_string(gid) + ":\nnogroup:x:65534:\n");
}

Result<void> make_link(const std::string& target, const std::string& path) {
  BB_CHECK(make_directories(fs::path(path).parent_path(), 0755));
  if (::symlink(target.c_str(), path.c_str()) != 0) return fail(error_from_errno("cannot make " + path, errno));
  return {};
}

/// The bundle under every name that a distribution's libraries ask for.
Result<void> write_trust(const std::string& directory, const std::string& bundle) {
  BB_CHECK(write(directory + "/ssl/certs/ca-certificates.crt", bundle));
  BB_CHECK(make_link("certs/ca-certificates.crt", directory + "/ssl/cert.pem"));
  BB_CHECK(make_link("certs/ca-certificates.crt", directory + "/ssl/ca-bundle.pem"));
  BB_CHECK(make_link("../../../ssl/certs/ca-certificates.crt", directory + "/pki/tls/certs/ca-bundle.crt"));
  BB_CHECK(make_link("../../../../ssl/certs/ca-certificates.crt",
                     directory + "/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"));
  return copy_file("/etc/ssl/openssl.cnf", directory + "/ssl/openssl.cnf");
}

std::vector<std::string> harmless_directories_of_host() {
  std::vector<std::string> names(harmless_directories.begin(), harmless_directories.end());
  std::error_code code;
  for (const auto& entry : fs::directory_iterator("/etc", code))
    if (const std::string name = entry.path().filename().string(); name.starts_with(java_prefix)) names.push_back(name);
  return names;
}

Result<void> start_new(const std::string& directory) {
  BB_CHECK(remove_tree(directory));
  return make_directories(directory, 0755);
}

}  // namespace

std::string system_bundle() {
  for (const char* path : bundles)
    if (auto text = read_file(path)) return std::move(*text);
  return {};
}

std::string subject_hash(const std::string& pem) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())),
                                                      &BIO_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr),
                                                                &X509_free);
  ERR_clear_error();
  if (!certificate) return {};
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%08lx", X509_subject_name_hash(certificate.get()));
  return text.data();
}

Result<EtcResult> write_bottle_etc(const std::string& directory, const EtcOptions& options) {
  BB_CHECK(start_new(directory));
  BB_CHECK(write_accounts(directory, options.user, options.uid, options.gid, options.home));
  std::string hosts = "127.0.0.1 localhost bottle";
  for (const std::string& name : options.names) hosts += " " + name;
  BB_CHECK(write(directory + "/hosts", hosts + "\n::1 localhost ip6-localhost\n"));
  BB_CHECK(write(directory + "/hostname", "bottle\n"));
  // One server that answers at once: nothing is looked up, and no program waits for a timeout.
  BB_CHECK(write(directory + "/resolv.conf", "nameserver 127.0.0.1\noptions attempts:1 timeout:1\n"));
  BB_CHECK(write(directory + "/nsswitch.conf",
                 "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n"));
  BB_CHECK(write(directory + "/shells", "/bin/sh\n/bin/bash\n"));
  BB_CHECK(write(directory + "/profile", "export PATH=\"${PATH:-/usr/local/bin:/usr/bin:/bin}\"\n"));
  std::string bundle = system_bundle();
  if (!bundle.empty() && bundle.back() != '\n') bundle.push_back('\n');
  BB_CHECK(write_trust(directory, bundle));
  for (const char* name : harmless) BB_CHECK(copy_file(std::string("/etc/") + name, directory + "/" + name));
  EtcResult result;
  for (const std::string& name : harmless_directories_of_host()) {
    const std::string source = "/etc/" + name;
    struct stat status {};
    if (::stat(source.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) continue;
    BB_CHECK(make_directories(directory + "/" + name, 0755));
    result.binds.push_back(source);
  }
  return result;
}

Result<void> add_trusted_ca(const std::string& directory, const std::string& ca_pem) {
  BB_CHECK(write(directory + "/bot-bottle/ca.pem", ca_pem));
  const std::string path = directory + "/ssl/certs/ca-certificates.crt";
  BB_TRY(const std::string system, read_file(path));
  const UniqueFd bundle(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW));
  if (!bundle) return fail(error_from_errno("cannot open the bottle's trust store", errno));
  BB_CHECK(write_all(bundle.get(), ca_pem));
  // Always, not only where a JDK is: an agent may bring its own (a build tool's toolchain), and it costs a millisecond.
  BB_CHECK(write(directory + "/ssl/certs/java/cacerts", java_trust_store(system + ca_pem)));
  if (const std::string hash = subject_hash(ca_pem); !hash.empty())
    return make_link("../../bot-bottle/ca.pem", directory + "/ssl/certs/" + hash + ".0");
  return {};
}

Result<void> write_sidecar_etc(const std::string& directory, std::uint32_t uid, std::uint32_t gid) {
  BB_CHECK(start_new(directory));
  BB_CHECK(write_accounts(directory, "sidecar", uid, gid, "/run/sidecar"));
  BB_CHECK(write_trust(directory, system_bundle()));
  for (const char* name : {"resolv.conf", "hosts", "nsswitch.conf", "services", "protocols", "gai.conf", "host.conf",
                           "ld.so.cache", "localtime"})
    BB_CHECK(copy_file(std::string("/etc/") + name, directory + "/" + name));
  return {};
}

}  // namespace bot_bottle::backend_local
