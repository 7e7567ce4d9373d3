#include "plugins/backend-smolvm/image.hpp"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <utility>

#include "core/base/file.hpp"
#include "core/base/random.hpp"
#include "core/base/text.hpp"
#include "core/base/unique_fd.hpp"
#include "plugins/backend-driven/tar_text.hpp"
#include "plugins/backend-smolvm/sparse_file.hpp"

namespace bot_bottle::backend_smolvm {
namespace {

constexpr std::size_t max_document = std::size_t{4} << 20;
constexpr std::size_t max_entries = 4096;
constexpr std::size_t piece = std::size_t{1} << 20;
constexpr std::size_t max_init = std::size_t{64} << 20;
/// Changes when what we add to an image does.
constexpr const char* recipe = "machine image 1";

Result<std::string> read_part(int fd, std::uint64_t offset, std::uint64_t size) {
  if (size > max_document) return fail(ErrorKind::invalid_argument, "a document of it is larger than 4 MiB");
  std::string text(static_cast<std::size_t>(size), '\0');
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t got = ::pread(fd, text.data() + done, text.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return fail(ErrorKind::invalid_argument, "it is cut short");
    done += static_cast<std::size_t>(got);
  }
  return text;
}

/// Names, places and sizes of the plain files; contents stay where they are.
Result<std::map<std::string, ArchiveLayer>> list_archive(int fd, std::uint64_t file_size) {
  std::map<std::string, ArchiveLayer> entries;
  std::uint64_t at = 0;
  std::string long_name;
  while (at + guest::tar_block <= file_size) {
    BB_TRY(const std::string block, read_part(fd, at, guest::tar_block));
    if (block.find_first_not_of('\0') == std::string::npos) break;
    if (block.compare(257, 5, "ustar") != 0) return fail(ErrorKind::invalid_argument, "it is not a tar archive");
    const std::uint64_t size = parse_tar_number(std::string_view(block).substr(124, 12));
    const char type = block[156];
    const std::uint64_t content = at + guest::tar_block;
    if (size > file_size - content) return fail(ErrorKind::invalid_argument, "it is cut short");
    at = content + size + guest::tar_padding(size);
    if (type == 'L') {
      BB_TRY(long_name, read_part(fd, content, size));
      long_name = long_name.c_str();
      continue;
    }
    if (type == 'x') {
      BB_TRY(const std::string extended, read_part(fd, content, size));
      for (const std::string_view line : split(extended, '\n'))
        if (const std::size_t key = line.find(" path="); key != std::string_view::npos)
          long_name = line.substr(key + 6);
      continue;
    }
    std::string name(block.c_str(), strnlen(block.c_str(), 100));
    const std::string prefix(block.c_str() + 345, strnlen(block.c_str() + 345, 155));
    if (!prefix.empty()) name = prefix + "/" + name;
    if (!long_name.empty()) name = std::exchange(long_name, {});
    if (name.starts_with("./")) name.erase(0, 2);
    if (type == '0' || type == '\0') entries[name] = {name, content, size};
    if (entries.size() > max_entries) return fail(ErrorKind::invalid_argument, "it has too many entries");
  }
  return entries;
}

Result<std::string> make_layer(const MachineLayer& layer) {
  BB_TRY(const std::string program, read_file(layer.init, max_init));
  driven::TarText tar;
  tar.directory("opt", 0755);
  tar.directory("opt/bot-bottle", 0755);
  tar.file("opt/bot-bottle/bottle-init", 0755, program);
  for (const std::string& path : {layer.home, layer.workspace}) {
    for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1))
      tar.directory(path.substr(1, at - 1), 0755);
    if (path.size() > 1) tar.directory(path.substr(1), 0755, layer.uid, layer.gid);
  }
  return tar.finish();
}

class Writer {
 public:
  Writer(std::string to, std::uint64_t keep_free)
      : to_(std::move(to)), partial_(to_ + "." + random_base36(8)), file_(partial_, keep_free) {}
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() {
    if (is_open_) ::unlink(partial_.c_str());
  }
  Result<void> open() {
    BB_CHECK(make_directories(std::filesystem::path(to_).parent_path(), 0700));
    is_open_ = true;
    return file_.open();
  }
  Result<void> text(const std::string& name, std::string_view content) {
    BB_CHECK(header(name, content.size()));
    BB_CHECK(file_.write(content));
    return pad(content.size());
  }
  Result<void> copy(const std::string& name, int from, std::uint64_t offset, std::uint64_t size) {
    BB_CHECK(header(name, size));
    std::string buffer(piece, '\0');
    for (std::uint64_t left = size; left > 0;) {
      const ssize_t got = ::pread(from, buffer.data(), std::min<std::uint64_t>(left, buffer.size()),
                                  static_cast<off_t>(offset + size - left));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return fail(ErrorKind::invalid_argument, "the image's archive is cut short");
      BB_CHECK(file_.write(std::string_view(buffer).substr(0, static_cast<std::size_t>(got))));
      left -= static_cast<std::uint64_t>(got);
    }
    return pad(size);
  }
  Result<void> finish() {
    BB_CHECK(file_.write(guest::make_tar_end()));
    BB_CHECK(file_.finish());
    if (::rename(partial_.c_str(), to_.c_str()) != 0) return fail(error_from_errno("cannot keep " + to_, errno));
    is_open_ = false;
    return {};
  }

 private:
  Result<void> header(const std::string& name, std::uint64_t size) {
    return file_.write(guest::make_tar_header({.path = name, .mode = 0644, .size = size}));
  }
  Result<void> pad(std::uint64_t size) { return file_.write(std::string(guest::tar_padding(size), '\0')); }
  std::string to_;
  std::string partial_;
  SparseFile file_;
  bool is_open_ = false;
};

/// The image's configuration as a machine's: root, so that bottle-init can be; nothing that runs by itself.
json::object machine_config(json::object config, const std::string& layer_digest) {
  json::object inner;
  if (const json::object* given = find_object(config, "config")) inner = *given;
  for (const char* key : {"Entrypoint", "Cmd", "Healthcheck", "Volumes", "ExposedPorts", "OnBuild"}) inner.erase(key);
  inner["User"] = "";
  inner["WorkingDir"] = "/";
  config["config"] = std::move(inner);
  json::object rootfs{{"type", "layers"}};
  json::array ids;
  if (const json::object* given = find_object(config, "rootfs"))
    if (const json::array* known = find_array(*given, "diff_ids")) ids = *known;
  ids.emplace_back("sha256:" + layer_digest);
  rootfs["diff_ids"] = std::move(ids);
  config["rootfs"] = std::move(rootfs);
  config.erase("history");  // it would have to tell of every layer
  return config;
}

}  // namespace

std::uint64_t parse_tar_number(std::string_view field) {
  std::uint64_t value = 0;
  if (!field.empty() && (static_cast<unsigned char>(field[0]) & 0x80U) != 0) {
    for (std::size_t i = field.size() - 8; i < field.size(); ++i)
      value = (value << 8U) | static_cast<unsigned char>(field[i]);
    return value;
  }
  for (const char c : field) {
    if (c >= '0' && c <= '7') value = value * 8 + static_cast<std::uint64_t>(c - '0');
    if (c == '\0' || (c == ' ' && value != 0)) break;
  }
  return value;
}

Result<std::string> sha256_of_part(int fd, std::uint64_t offset, std::uint64_t size) {
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> hash(::EVP_MD_CTX_new(), &::EVP_MD_CTX_free);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  std::string buffer(piece, '\0');
  bool good = hash && ::EVP_DigestInit_ex(hash.get(), ::EVP_sha256(), nullptr) == 1;
  for (std::uint64_t at = 0; good && at < size;) {
    const ssize_t got =
        ::pread(fd, buffer.data(), std::min<std::uint64_t>(buffer.size(), size - at), static_cast<off_t>(offset + at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return fail(ErrorKind::invalid_argument, "a layer is cut short");
    good = ::EVP_DigestUpdate(hash.get(), buffer.data(), static_cast<std::size_t>(got)) == 1;
    at += static_cast<std::uint64_t>(got);
  }
  if (!good || ::EVP_DigestFinal_ex(hash.get(), digest.data(), &length) != 1)
    return fail(ErrorKind::internal, "cannot hash a layer");
  return hex_encode({reinterpret_cast<const char*>(digest.data()), length});
}

Result<ImageArchive> read_image_archive(const std::string& path) {
  const auto wrong = [&](const Error& error) {
    return fail(error.kind, "the image " + path + " cannot be used: " + error.message,
                "give an archive of `docker save`");
  };
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) return fail(error_from_errno("cannot read the image " + path, errno));
  auto entries = list_archive(file.get(), static_cast<std::uint64_t>(status.st_size));
  if (!entries) return wrong(entries.error());
  const auto document = [&](const std::string& name) -> Result<std::string> {
    const auto found = entries->find(name);
    if (found == entries->end()) return fail(ErrorKind::invalid_argument, "it has no " + name);
    return read_part(file.get(), found->second.offset, found->second.size);
  };
  const auto text = document("manifest.json");
  if (!text) return wrong(text.error());
  const auto parsed = parse_json(*text);
  const json::array* images = parsed ? parsed->if_array() : nullptr;
  const json::object* manifest = images == nullptr || images->size() != 1 ? nullptr : images->front().if_object();
  if (manifest == nullptr)
    return wrong(make_error(ErrorKind::invalid_argument, "its manifest.json is not that of one image"));
  ImageArchive image;
  image.path = path;
  auto config = document(get_string(*manifest, "Config"));
  if (!config) return wrong(config.error());
  if (!parse_json_object(*config))
    return wrong(make_error(ErrorKind::invalid_argument, "its configuration is not JSON"));
  image.config = std::move(*config);
  for (const std::string& name : get_strings(*manifest, "Layers")) {
    const auto found = entries->find(name);
    if (found == entries->end()) return wrong(make_error(ErrorKind::invalid_argument, "it has no layer " + name));
    image.layers.push_back(found->second);
  }
  return image;
}

Result<std::string> machine_archive_digest(const ImageArchive& image, const MachineLayer& layer) {
  BB_TRY(const std::string text, make_layer(layer));
  // The configuration names every layer by its content.
  return sha256_hex(std::string(recipe) + "\n" + sha256_hex(image.config) + "\n" + sha256_hex(text)).substr(0, 32);
}

Result<void> write_machine_archive(const ImageArchive& image, const MachineLayer& added, const std::string& to,
                                   std::uint64_t keep_free) {
  BB_TRY(const std::string layer, make_layer(added));
  const UniqueFd file(::open(image.path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return fail(error_from_errno("cannot read the image " + image.path, errno));
  const std::string layer_digest = sha256_hex(layer);
  BB_TRY(json::object config, parse_json_object(image.config));
  const std::string config_text = to_text(machine_config(std::move(config), layer_digest));
  const std::string config_name = sha256_hex(config_text) + ".json";
  Writer writer(to, keep_free);
  BB_CHECK(writer.open());
  json::array names;
  for (std::size_t i = 0; i < image.layers.size(); ++i) {
    const std::string name = std::to_string(i) + "/layer.tar";
    names.emplace_back(name);
    BB_CHECK(writer.copy(name, file.get(), image.layers[i].offset, image.layers[i].size));
  }
  names.emplace_back("bottle-init/layer.tar");
  BB_CHECK(writer.text("bottle-init/layer.tar", layer));
  BB_CHECK(writer.text(config_name, config_text));
  BB_CHECK(writer.text("manifest.json",
                       to_text(json::array{json::object{{"Config", config_name},
                                                        {"RepoTags", json::array{"bot-bottle/machine:latest"}},
                                                        {"Layers", std::move(names)}}})));
  return writer.finish();
}

Result<driven::Recipe> read_machine_recipe(const std::string& dockerfile,
                                           const std::vector<std::filesystem::path>& kept) {
  return driven::read_recipe(dockerfile, kept, driven::Builder::buildkit);
}

Result<void> write_layer_archive(const std::string& layer, const std::string& to, std::uint64_t keep_free) {
  const UniqueFd file(::open(layer.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) return fail(error_from_errno("cannot read " + layer, errno));
  BB_TRY(const std::string digest, sha256_of_part(file.get(), 0, static_cast<std::uint64_t>(status.st_size)));
  const std::string config = to_text(json::object {
#if defined(__aarch64__)
    {"architecture", "arm64"},
#else
      {"architecture", "amd64"},
#endif
        {"os", "linux"}, {"config", json::object{{"Env", json::array{"PATH=/usr/local/bin:/usr/bin:/bin"}}}}, {
      "rootfs", json::object {
        {"type", "layers"}, {
          "diff_ids", json::array {
            "sha256:" + digest
          }
        }
      }
    }
  });
  const std::string config_name = sha256_hex(config) + ".json";
  Writer writer(to, keep_free);
  BB_CHECK(writer.open());
  BB_CHECK(writer.copy("0/layer.tar", file.get(), 0, static_cast<std::uint64_t>(status.st_size)));
  BB_CHECK(writer.text(config_name, config));
  BB_CHECK(writer.text("manifest.json", to_text(json::array{json::object{{"Config", config_name},
                                                                         {"RepoTags", json::array{}},
                                                                         {"Layers", json::array{"0/layer.tar"}}}})));
  return writer.finish();
}

}  // namespace bot_bottle::backend_smolvm
