// From names to read documents: opening files, following `extends`, putting agent and bottle together.
// Hostile input: agent files of a repository (links, FIFOs, size).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/manifest/schema.hpp"

namespace bot_bottle::manifest {

/// Opens and reads one file; a repository's is never followed through a link, and nothing but a regular file is read.
Document open_document(const NamedFile& file, Faults& faults);

/// Both directories' agents, the repository's first; a name may be there twice.
std::vector<NamedFile> scan_agents(const Sources& sources, Faults& faults);

/// A bottle merged with everything it extends, as far as that could be read.
struct Chain {
  std::vector<std::string> names;  // the bottle, its parent, …
  std::optional<Node> root;
  bool complete = false;  // false: a link is missing or broken, and that is a fault already
};
Chain read_chain(const std::vector<NamedFile>& bottles, const NamedFile& bottle, Faults& faults);

/// Reads the bottle into `manifest`; false when its chain is not complete.
bool load_into(Manifest& manifest, const std::vector<NamedFile>& bottles, const NamedFile& bottle, Faults& faults);

const NamedFile* find_named(const std::vector<NamedFile>& files, std::string_view name);
std::vector<std::string> names_of(const std::vector<NamedFile>& files);
/// Skills that are in no program's home: ~/.claude/skills, ~/.codex/skills.
void check_skill(const std::string& name, const Place& place, const std::string& path, Faults& faults);

}  // namespace bot_bottle::manifest
