// egress-load: see programs.hpp.
#include <sys/resource.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "programs.hpp"

int main(int argc, char** argv) {
  using namespace bot_bottle::load;
  std::signal(SIGPIPE, SIG_IGN);
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const auto number = [&](std::size_t at) { return std::strtoull(arguments.at(at).c_str(), nullptr, 10); };
  const std::string what = arguments.empty() ? "" : arguments[0];
  if (what == "origin" && arguments.size() == 3) return origin(arguments[1], arguments[2]);
  if (arguments.size() >= 4) {
    const Target target{arguments[1], arguments[2], arguments[3]};
    const auto count = [&](std::size_t at) { return static_cast<unsigned>(number(at)); };
    if (what == "requests" && arguments.size() == 6) return requests(target, count(4), count(5));
    if (what == "idle" && arguments.size() == 5) return idle(target, count(4));
    if (what == "upload" && arguments.size() == 8)
      return upload(target, number(4), arguments[5], arguments[6], arguments[7]);
  }
  std::fprintf(stderr,
               "egress-load origin CERTIFICATE KEY\n"
               "egress-load requests SOCKET CA HOST CONNECTIONS RATE\n"
               "egress-load idle SOCKET CA HOST COUNT\n"
               "egress-load upload SOCKET CA HOST SIZE SECRET length|chunked http/1.1|h2\n");
  return 2;
}
