#include "core/plugins/trust.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <toml++/toml.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>

#include "core/base/file.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::plugins {
namespace {

constexpr std::size_t max_library_bytes = std::size_t{256} << 20;
constexpr std::size_t max_trust_bytes = std::size_t{1} << 20;

std::string toml_array(const std::vector<std::string>& items) {
  std::string out = "[";
  for (const std::string& item : items) out += (out.size() > 1 ? ", " : "") + to_text(json::value(item));
  return out + "]";
}

}  // namespace

std::optional<Refusal> refuse_foreign(const std::filesystem::path& path, const struct stat& status) {
  if (status.st_uid != 0 && status.st_uid != ::geteuid()) {
    return Refusal{path.string() + " belongs to user " + std::to_string(status.st_uid) + ", not to you or root",
                   "chown -R " + std::to_string(::geteuid()) + " " + path.string()};
  }
  // A link's own mode says nothing; what it points to is looked at where it is opened.
  if (!S_ISLNK(status.st_mode) && (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return Refusal{path.string() + " can be written by others", "chmod go-w " + path.string()};
  }
  return std::nullopt;
}

std::optional<Refusal> refuse_unsafe_directory(const std::filesystem::path& directory, const std::string& library) {
  struct stat status {};
  if (::stat(directory.c_str(), &status) == 0) {
    if (auto refusal = refuse_foreign(directory, status)) return refusal;
  }
  for (const std::string& file : {std::string("plugin.toml"), library}) {
    if (file.empty() || ::lstat((directory / file).c_str(), &status) != 0) continue;
    if (auto refusal = refuse_foreign(directory / file, status)) return refusal;
  }
  std::error_code code;
  const std::filesystem::path real = std::filesystem::canonical(directory, code);
  if (code) return std::nullopt;
  for (std::filesystem::path parent = real.parent_path();; parent = parent.parent_path()) {
    if (::stat(parent.c_str(), &status) == 0 && (status.st_mode & S_IWOTH) != 0 && (status.st_mode & S_ISVTX) == 0) {
      return Refusal{
          parent.string() + " can be written by everyone, who could put another plugin in the place of this one",
          "chmod o-w " + parent.string()};
    }
    if (parent == parent.parent_path()) return std::nullopt;
  }
}

CheckedLibrary open_library(const std::filesystem::path& directory, const std::string& library) {
  const std::filesystem::path path = directory / library;
  const UniqueFd parent(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent) throw Failure(error_from_errno("cannot open " + directory.string(), errno));
  struct stat status {};
  if (::fstat(parent.get(), &status) != 0)
    throw Failure(error_from_errno("cannot look at " + directory.string(), errno));
  if (const auto refusal = refuse_foreign(directory, status)) {
    throw Failure(make_error(ErrorKind::refused, refusal->reason, "run: " + refusal->fix));
  }
  // A link could be turned to another file after the check. Guarded by a_library_that_is_a_link_is_never_opened.
  CheckedLibrary out{
      UniqueFd(::openat(parent.get(), library.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)), path, {}};
  if (!out.fd && errno == ELOOP) {
    throw Failure(make_error(ErrorKind::refused, path.string() + " is a link", "put the library itself there"));
  }
  if (!out.fd) throw Failure(error_from_errno("cannot open " + path.string(), errno));
  if (::fstat(out.fd.get(), &status) != 0) throw Failure(error_from_errno("cannot look at " + path.string(), errno));
  if (!S_ISREG(status.st_mode)) throw Failure(make_error(ErrorKind::refused, path.string() + " is not a regular file"));
  if (const auto refusal = refuse_foreign(path, status)) {
    throw Failure(make_error(ErrorKind::refused, refusal->reason, "run: " + refusal->fix));
  }
  auto bytes = read_all(out.fd.get(), max_library_bytes);
  if (!bytes) throw Failure(std::move(bytes.error()).within("reading " + path.string()));
  out.sha256 = sha256_hex(*bytes);
  return out;
}

TrustStore TrustStore::load(const std::filesystem::path& file) {
  TrustStore store;
  store.file_ = file;
  struct stat status {};
  if (::lstat(file.c_str(), &status) != 0) return store;
  if (const auto refusal = refuse_foreign(file, status)) {
    store.problem_ = refusal->reason + " (run: " + refusal->fix + ")";
    return store;
  }
  // It may be a link (into somebody's dotfiles): what counts is the file that is read.
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!fd || ::fstat(fd.get(), &status) != 0) {
    store.problem_ = error_from_errno("cannot open " + file.string(), errno).message;
    return store;
  }
  if (const auto refusal = refuse_foreign(file, status); refusal || !S_ISREG(status.st_mode)) {
    store.problem_ = refusal ? refusal->reason + " (run: " + refusal->fix + ")" : file.string() + " is no regular file";
    return store;
  }
  const auto text = read_all(fd.get(), max_trust_bytes);
  if (!text) {
    store.problem_ = text.error().message;
    return store;
  }
  try {
    const toml::table table = toml::parse(*text, file.string());
    const toml::table* plugins = table["plugins"].as_table();
    if (plugins == nullptr) return store;
    for (const auto& [name, value] : *plugins) {
      const toml::table* entry = value.as_table();
      if (entry == nullptr) continue;
      TrustEntry out;
      out.name = std::string(name.str());
      out.sha256 = (*entry)["sha256"].value_or(std::string());
      out.library = (*entry)["library"].value_or(std::string());
      out.version = (*entry)["version"].value_or(std::string());
      if (const toml::array* provides = (*entry)["provides"].as_array()) {
        for (const auto& item : *provides) out.provides.push_back(item.value_or(std::string()));
      }
      store.entries_.push_back(std::move(out));
    }
  } catch (const toml::parse_error& error) {
    store.entries_.clear();
    store.problem_ =
        file.string() + ":" + std::to_string(error.source().begin.line) + ": " + std::string(error.description());
  }
  return store;
}

const TrustEntry* TrustStore::find(const std::string& name) const {
  for (const TrustEntry& entry : entries_) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

bool TrustStore::trusts(const std::string& name, const std::string& sha256) const {
  const TrustEntry* entry = find(name);
  return entry != nullptr && !sha256.empty() && entry->sha256 == sha256;
}

void TrustStore::record(TrustEntry entry) {
  if (!problem_.empty()) {
    throw Failure(make_error(ErrorKind::failed_precondition, "cannot record the trust: " + problem_,
                             "mend or remove " + file_.string()));
  }
  std::erase_if(entries_, [&](const TrustEntry& old) { return old.name == entry.name; });
  entries_.push_back(std::move(entry));
  std::string text = "# Plugins that may run, by the SHA-256 of their library. Written by `bot-bottle plugin trust`.\n";
  for (const TrustEntry& item : entries_) {
    // JSON's escapes are a subset of a TOML basic string's.
    text += "\n[plugins." + to_text(json::value(item.name)) + "]\nsha256 = " + to_text(json::value(item.sha256)) +
            "\nlibrary = " + to_text(json::value(item.library)) + "\n";
    if (!item.version.empty()) text += "version = " + to_text(json::value(item.version)) + "\n";
    if (!item.provides.empty()) text += "provides = " + toml_array(item.provides) + "\n";
  }
  or_throw(make_directories(file_.parent_path()));
  or_throw(write_file_atomic(file_, text));
}

}  // namespace bot_bottle::plugins
