#include "plugins/backend-docker/carry_over.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <optional>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/unique_fd.hpp"

namespace bot_bottle::backend_docker {
namespace {

constexpr std::size_t piece = std::size_t{256} << 10;
constexpr std::uint64_t most = std::uint64_t{16} << 30;

}  // namespace

std::string image_of(Engine& engine, const std::string& container) {
  const auto document = engine.find("/containers/" + container + "/json");
  if (!document || !document->is_object()) return {};
  const json::object* config = find_object(document->as_object(), "Config");
  return config == nullptr ? std::string() : get_string(*config, "Image");
}

void carry_over(Engine& engine, const std::string& from, const std::string& to, const std::string& directory,
                const std::string& spool) {
  const UniqueFd file(::open(spool.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!file) throw Failure(error_from_errno("cannot keep what is copied in " + spool, errno));
  std::uint64_t size = 0;
  engine.receive(
      "/containers/" + from + "/archive?path=" + url_encoded(directory),
      [&](std::string_view bytes) {
        size += bytes.size();
        if (size > most)
          throw Failure(make_error(ErrorKind::failed_precondition, directory + " of the bottle is larger than 16 GiB"));
        or_throw(write_all(file.get(), bytes));
      },
      build_patience);
  if (::lseek(file.get(), 0, SEEK_SET) != 0) throw Failure(error_from_errno("cannot read what was copied", errno));
  const std::string parent = directory.substr(0, directory.rfind('/'));
  engine.send(
      "PUT", "/containers/" + to + "/archive?path=" + url_encoded(parent.empty() ? "/" : parent),
      [&]() -> std::optional<std::string> {
        std::string part(piece, '\0');
        const ssize_t got = ::read(file.get(), part.data(), part.size());
        if (got < 0) throw Failure(error_from_errno("cannot read what was copied", errno));
        if (got == 0) return std::nullopt;
        part.resize(static_cast<std::size_t>(got));
        return part;
      },
      {}, build_patience);
}

}  // namespace bot_bottle::backend_docker
