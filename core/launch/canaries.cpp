#include "core/launch/canaries.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <set>

#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "core/base/unique_fd.hpp"

namespace bot_bottle::launch {
namespace {

constexpr const char* document_name = "canaries.json";
constexpr std::int64_t timeout_ms = 30'000;
constexpr std::size_t max_remembered = 32;

/// POSIX sh, with sha256sum where a file of an earlier launch is to be told from a changed one. The contents come on
/// standard input like all of it and are written by the shell's own printf: nothing of a canary is on an argv, and a
/// start does not wait for six more programs.
constexpr std::string_view prologue = R"SH(umask 077
plant() {
  if [ -e "$1" ] || [ -L "$1" ]; then
    if [ -n "$2" ] && [ -f "$1" ] && [ ! -L "$1" ] && [ "$(sha256sum <"$1" | cut -c 1-64)" = "$2" ]; then
      printf %s "$3" >"$1" && echo "planted $1" || echo "failed $1"
    fi
    return
  fi
  set -C
  { [ -d "${1%/*}" ] || mkdir -p "${1%/*}"; } && printf %s "$3" >"$1" && echo "planted $1" || echo "failed $1"
  set +C
}
plant_in_tree() {
  cd "${1%/*}" 2>/dev/null && [ -d .git ] && [ ! -L .git ] && [ -f .git/HEAD ] || return
  if command -v git >/dev/null 2>&1 && git ls-files --error-unmatch .env >/dev/null 2>&1 </dev/null; then
    return
  fi
  mkdir -p .git/info
  grep -qxF /.env .git/info/exclude 2>/dev/null || echo /.env >>.git/info/exclude || return
  plant "$1" "$2" "$3"
}
)SH";

std::string in_single_quotes(std::string_view text) {
  std::string out = "'";
  for (const char c : text)
    if (c == '\'')
      out += R"('\'')";
    else
      out += c;
  return out + "'";
}

std::string guest_path(const plan::Plan& plan, const plan::CanaryFile& file) {
  return (file.place == plan::CanaryFile::Place::home ? plan.guest.home : plan.guest.workspace) + "/" + file.path;
}

std::string script_for(const ProvisionContext& context, const plan::CanarySet& set, const PlantedBefore& before) {
  std::string script(prologue);
  for (const plan::CanaryFile& file : set.files) {
    const std::string path = guest_path(context.plan, file);
    const auto old = before.digests.find(path);
    script += fmt::format("{} {} {} {}\n", file.place == plan::CanaryFile::Place::home ? "plant" : "plant_in_tree",
                          in_single_quotes(path), in_single_quotes(old == before.digests.end() ? "" : old->second),
                          in_single_quotes(file.content));
  }
  return script + "exit 0\n";
}

/// The reading end of a pipe that holds all of `text`: it is smaller than a pipe's buffer (pipe(7): 64 KiB).
UniqueFd pipe_with(std::string_view text) {
  std::array<int, 2> fds{};
  if (::pipe2(fds.data(), O_CLOEXEC) != 0) throw Failure(error_from_errno("cannot make a pipe", errno));
  UniqueFd read_end(fds[0]);
  const UniqueFd write_end(fds[1]);
  ::fcntl(write_end.get(), F_SETFL, O_NONBLOCK);
  or_throw(write_all(write_end.get(), text));
  return read_end;
}

void remember(const plan::CanarySet& set, const PlantedBefore& before,
              const std::map<std::string, std::string>& digests, const state::Directory& directory) {
  json::array canaries;
  std::set<std::string> values;
  for (const auto* list : {&set.canaries, &before.canaries})
    for (const plan::Canary& canary : *list)
      if (canaries.size() < max_remembered && values.insert(canary.value).second)
        canaries.push_back(json::object{{"name", canary.name}, {"value", canary.value}});
  json::object files;
  for (const auto& [path, digest] : digests) files[path] = digest;
  directory.write_document(
      document_name,
      {{"schema", "bot-bottle.canaries/1"}, {"canaries", std::move(canaries)}, {"files", std::move(files)}});
}

}  // namespace

PlantedBefore PlantedBefore::load(const state::Directory& directory) {
  PlantedBefore before;
  const auto document = directory.find_document(document_name);
  if (!document) return before;
  if (const json::array* canaries = find_array(*document, "canaries"))
    for (const json::value& entry : *canaries)
      if (entry.is_object() && before.canaries.size() < max_remembered)
        before.canaries.push_back({get_string(entry.as_object(), "name"), get_string(entry.as_object(), "value")});
  if (const json::object* files = find_object(*document, "files"))
    for (const auto& member : *files)
      if (member.value().is_string()) before.digests[member.key()] = std::string(member.value().as_string());
  return before;
}

std::vector<std::string> plant_canaries(const ProvisionContext& context, const plan::CanarySet& set,
                                        const PlantedBefore& before, const state::Directory& directory) {
  if (set.files.empty()) return {};
  plan::ExecRequest request;
  request.argv = {"/bin/sh", "-s"};
  request.env = context.env;
  request.cwd = context.plan.guest.home;
  request.timeout_ms = timeout_ms;
  std::vector<std::string> planted;
  std::map<std::string, std::string> digests;
  try {
    const UniqueFd script = pipe_with(script_for(context, set, before));
    const json::object result = context.backend.exec(context.bottle, plan::to_json(request), script.get());
    const std::string said = get_string(result, "stdout");
    for (const plan::CanaryFile& file : set.files) {
      const std::string path = guest_path(context.plan, file);
      if (("\n" + said).find("\nfailed " + path + "\n") != std::string::npos)
        context.warn("no canary could be planted at " + path);
      if (("\n" + said).find("\nplanted " + path + "\n") == std::string::npos) continue;
      planted.push_back(path);
      digests[path] = sha256_hex(file.content);
    }
    if (get_int(result, "code", 1) != 0)
      context.warn("planting canaries failed: " + std::string(trim(get_string(result, "stderr"))));
  } catch (const Failure& failure) {
    if (failure.error().kind == ErrorKind::cancelled) throw;
    context.warn("planting canaries failed: " + failure.error().message);
  }
  remember(set, before, digests, directory);
  return planted;
}

}  // namespace bot_bottle::launch
