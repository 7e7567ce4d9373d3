// bottle-keeper: the host-side process around one sandbox (`run`), and the operator's end of a program in it
// (`attach`).
#include <string>
#include <string_view>

#include "core/base/file.hpp"
#include "keeper/attach.hpp"
#include "keeper/pause.hpp"
#include "keeper/run.hpp"

int main(int argc, char** argv) {
  using namespace bot_bottle;
  const std::string_view verb = argc > 1 ? argv[1] : "";
  if (verb == "run") {
    backend_local::KeeperOptions options;
    for (int i = 2; i < argc; ++i) {
      const std::string_view option = argv[i];
      options.lifeline = options.lifeline || option == "--lifeline";
      options.config = options.config || option == "--config";
      options.uid_lock = options.uid_lock || option == "--uid-lock";
    }
    return backend_local::run_keeper(options);
  }
  if (verb == "pause" && argc == 3) return backend_local::run_pause(argv[2]);
  if (verb == "attach" && argc == 4 && std::string_view(argv[2]) == "--socket")
    return backend_local::run_attach(argv[3]);
  if (auto told = write_all(2, "bottle-keeper is started by bot-bottle, not by hand\n"); !told) return 2;
  return 2;
}
