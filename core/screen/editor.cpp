#include "core/screen/editor.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "core/base/file.hpp"
#include "core/base/paths.hpp"
#include "core/base/unique_fd.hpp"
#include "core/screen/jobs.hpp"

namespace bot_bottle::screen {
namespace {
constexpr std::size_t max_text = std::size_t{4} << 20;
}

Result<Edited> edit_text(std::string_view text, std::string_view extension) {
  std::error_code code;
  const std::filesystem::path directory = std::filesystem::temp_directory_path(code);
  std::string name = ((code ? std::filesystem::path("/tmp") : directory) / "bot-bottle-XXXXXX").string();
  name += extension;
  {
    const UniqueFd fd(::mkstemps(name.data(), static_cast<int>(extension.size())));  // 0600, and new
    if (!fd) return fail(error_from_errno("cannot make a file to edit", errno));
    BB_CHECK(write_all(fd.get(), text));
  }
  std::string editor = environment("VISUAL").value_or("");
  if (editor.empty()) editor = environment("EDITOR").value_or("");
  if (editor.empty()) editor = "vi";
  // As git does: the variable may hold options of the editor.
  auto ended = run_in_front({"/bin/sh", "-c", editor + " \"$1\"", editor, name});
  if (!ended || *ended != 0) {
    ::unlink(name.c_str());
    if (!ended) return fail(std::move(ended.error()));
    return fail(ErrorKind::failed_precondition, "the editor '" + editor + "' ended with " + std::to_string(*ended));
  }
  auto edited = read_file(name, max_text);
  if (!edited) return fail(std::move(edited.error()));
  return Edited{.text = std::move(*edited), .file = name};
}

void remove_edited(const Edited& edited) {
  ::unlink(edited.file.c_str());
}

}  // namespace bot_bottle::screen
