// The part of `plugin check` that runs programs in the bottle: codes, streams, environment, limits, cancellation.
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "core/base/file.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/plugins/check_bottle.hpp"

namespace bot_bottle::plugins {
namespace {

using Clock = std::chrono::steady_clock;

/// The kind of the failure that `body` ends with, and how long it took; nothing when it does not fail.
struct Ending {
  std::optional<Error> error;
  std::chrono::milliseconds took{};
};
template <typename Body>
Ending ending_of(Body&& body) {
  const auto begun = Clock::now();
  Ending ending;
  try {
    body();
  } catch (const Failure& failure) {
    ending.error = failure.error();
  }
  ending.took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begun);
  return ending;
}

void check_streams(BottleUnderTest& bottle) {
  bottle.check("exec gives codes and keeps streams apart", [&]() -> std::string {
    if (auto problem = expect(bottle.exec({"true"}), 0, ""); !problem.empty()) return problem;
    return expect(bottle.shell("echo out; echo err >&2; exit 7"), 7, "out\n", "err\n");
  });
  bottle.check("exec gives 128 and the signal", [&] { return expect(bottle.shell("kill -9 $$"), 137, ""); });
  bottle.check("exec reads its standard input", [&] {
    CheckPipe input;
    or_throw(write_all(input.write.get(), "from outside"));
    input.write.reset();
    return expect(bottle.exec({"cat"}, input.read.get()), 0, "from outside");
  });
  bottle.check("exec has the request's environment and directory", [&] {
    return expect(bottle.shell("echo $CHECKED; pwd; echo ${HOSTNAME_OF_CHECK-none}"), 0, "yes\n/workspace\nnone\n");
  });
  bottle.check("exec cuts long output and says so", [&]() -> std::string {
    json::object wanted = BottleUnderTest::request({"sh", "-c", "printf 0123456789"});
    wanted["max_output"] = 4;
    const json::object result = bottle.exec(wanted);
    if (!get_bool(result, "truncated", false)) return "truncated is not set";
    return get_string(result, "stdout") == "0123" ? "" : "stdout is " + to_text(result.at("stdout"));
  });
  bottle.check("a program that is not there is \"not found\"", [&]() -> std::string {
    const Ending ending = ending_of([&] { bottle.exec({"no-such-program-of-the-check"}); });
    if (!ending.error) return "it was found";
    return ending.error->kind == ErrorKind::not_found ? "" : "it is " + std::string(name_of(ending.error->kind));
  });
}

void check_endings(BottleUnderTest& bottle) {
  bottle.check("exec ends at its timeout", [&]() -> std::string {
    json::object wanted = BottleUnderTest::request({"sleep", "30"});
    wanted["timeout_ms"] = 300;
    const Ending ending = ending_of([&] { bottle.exec(wanted); });
    if (!ending.error) return "it ended as if there were none";
    return ending.error->kind == ErrorKind::timeout ? "" : "it failed with " + ending.error->message;
  });
  bottle.check("a cancelled call returns within 5 seconds", [&]() -> std::string {
    CheckPipe cancel;
    const int before = std::exchange(bottle.context.options.cancel_fd, cancel.read.get());
    // While it runs, as an operator's Ctrl-C comes.
    const pid_t operator_side = ::fork();  // a process: the plugin's threads are enough in this one
    if (operator_side < 0) throw Failure(error_from_errno("cannot start a process", errno));
    if (operator_side == 0) {
      ::poll(nullptr, 0, 200);
      static_cast<void>(write_all(cancel.write.get(), "x"));
      ::_exit(0);
    }
    const Ending ending = ending_of([&] { bottle.exec({"sleep", "15"}); });
    while (::waitpid(operator_side, nullptr, 0) < 0 && errno == EINTR) {
    }
    bottle.context.options.cancel_fd = before;
    if (!ending.error) return "it ended as if it had not been cancelled";
    if (ending.took > std::chrono::milliseconds(5200)) return "it took " + std::to_string(ending.took.count()) + " ms";
    return ending.error->kind == ErrorKind::cancelled ? "" : "it failed with " + ending.error->message;
  });
}

void check_attach(BottleUnderTest& bottle) {
  bottle.check("attach gives an argv without the request's values", [&]() -> std::string {
    json::object wanted = BottleUnderTest::request({"true"});
    wanted["env"] = json::object{{"HIDDEN", bottle.context.planted}};
    const json::object attach = bottle.backend.attach_argv(bottle.bottle, wanted);
    if (auto problems = schema_problems(bottle.context.schemas, attach, "bot-bottle.attach/1"); !problems.empty())
      return problems;
    return to_text(attach.at("argv")).find(bottle.context.planted) == std::string::npos
               ? ""
               : "a value of env is on argv, where ps shows it";
  });
  bottle.check("what attach names runs the request, with its streams and code", [&]() -> std::string {
    const json::object attach = bottle.backend.attach_argv(
        bottle.bottle, BottleUnderTest::request({"sh", "-c", "cat; echo $CHECKED; echo err >&2; exit 9"}));
    ProcessRequest run;
    run.argv = get_strings(attach, "argv");
    run.env = std::map<std::string, std::string>{{"PATH", "/usr/bin:/bin"}};
    for (const auto& [name, value] : attach.at("env").as_object())
      if (value.is_string()) (*run.env)[std::string(name)] = std::string(value.as_string());
    run.stdin_text = "typed ";
    run.timeout = std::chrono::seconds(20);
    run.max_output = 65'536;
    const auto done = or_throw(run_process(run));
    if (done.code != 9) return "its code is " + std::to_string(done.code) + ", not 9: " + done.err;
    if (done.out != "typed yes\n") return "its output is \"" + done.out + "\"";
    return done.err == "err\n" ? "" : "its standard error is \"" + done.err + "\"";
  });
}

}  // namespace

void check_use(BottleUnderTest& bottle) {
  check_streams(bottle);
  bottle.check("the workspace is a copy", [&] { return expect(bottle.shell("cat given.txt"), 0, "given\n"); });
  check_attach(bottle);
  bottle.check("enumerate lists the bottle",
               [&]() -> std::string { return bottle.enumerated() ? "" : "it is not there"; });
  check_endings(bottle);
}

}  // namespace bot_bottle::plugins
