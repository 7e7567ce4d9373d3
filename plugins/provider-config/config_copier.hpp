// What every provider's `config: copy` does with files and servers; which there are is its own. Pure but for reading.
// Derived from by plugins/provider-*/copy_config.cpp. Hostile input: files that came from elsewhere.
#pragma once

#include <bot_bottle/plugin.hpp>
#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "host_tree.hpp"

namespace bot_bottle::provider_config {

struct Places {
  std::string host_home;       // whose configuration it is
  std::string host_workspace;  // what becomes `guest_workspace`; may be empty
  std::string guest_home;
  std::string guest_workspace;
};

struct Copied {
  std::vector<sdk::GuestFile> files;
  sdk::json::object settings;         // below which the bottle's own are laid
  sdk::json::object mcp_servers;      // the user's
  std::vector<std::string> summary;   // what came over
  std::vector<std::string> warnings;  // what did not, and why; names and places, never a value
};

// A plan is a document of at most 4 MiB (plugin.h), and JSON may need six octets for one.
inline constexpr std::size_t max_copied_bytes = std::size_t{1} << 20;
inline constexpr std::size_t max_copied_files = 1000;
inline constexpr std::size_t max_settings_bytes = std::size_t{1} << 20;

class ConfigCopier {
 public:
  ConfigCopier(const ConfigCopier&) = delete;
  ConfigCopier& operator=(const ConfigCopier&) = delete;

 protected:
  /// `directory` of the host's becomes `name` (".claude") in the guest's home, and is shown as "~/.claude".
  ConfigCopier(const Places& places, std::string directory, std::string name);
  ~ConfigCopier() = default;

  [[nodiscard]] const Places& places() const { return places_; }
  [[nodiscard]] const HostTree& tree() const { return tree_; }
  [[nodiscard]] const std::string& directory() const { return directory_; }
  [[nodiscard]] std::string guest(const std::string& relative) const;
  [[nodiscard]] std::string shown(const std::string& relative) const { return "~/" + name_ + "/" + relative; }

  void warn(std::string text);
  void report(const std::string& where, const std::vector<std::string>& dropped);
  /// Paths of the host's become the guest's.
  void rewrite(sdk::json::value& value) const;
  void rewrite(sdk::json::object& object) const;

  /// True when it came over.
  bool copy_file(const std::string& relative, std::string path);
  /// Markdown files of a directory and those below it. Gives their number, as does copy_units.
  std::size_t copy_documents(const std::string& relative, int depth = 0);
  /// Directories in a directory, each whole or, when it does not fit, not at all. None that begins with a dot.
  std::size_t copy_units(const std::string& relative);
  /// All files of a directory, for `path` in the guest.
  void gather(const std::string& relative, const std::string& path, std::vector<sdk::GuestFile>& files, int depth = 0);
  bool add_if_it_fits(std::vector<sdk::GuestFile> files, const std::string& name);
  /// Of our own making.
  void add_document(std::string path, const sdk::json::object& document);
  void copy_servers(const sdk::json::value& servers, const std::string& where, sdk::json::object& into);

  /// "copied from ~/.claude: …" into the summary, and how many warnings were left out.
  Copied finish(const std::vector<std::string>& parts);

  Copied out;

 private:
  [[nodiscard]] std::string rewritten(std::string_view text) const;
  [[nodiscard]] bool fits(const std::vector<sdk::GuestFile>& files) const;
  std::optional<sdk::GuestFile> take(const std::string& relative, std::string path);
  void add(std::vector<sdk::GuestFile> files);
  void tell_what_is_missing(const sdk::json::object& server, const std::string& here);

  Places places_;
  std::string directory_;
  std::string name_;
  HostTree tree_;
  std::set<std::string> paths_;
  std::size_t bytes_ = 0;
  std::size_t left_out_ = 0;
};

}  // namespace bot_bottle::provider_config
