// The freezer part of `plugin check`: a snapshot of the bottle under test, and a second bottle that starts from it
// (check_backend.cpp runs it, where the plugin has a freezer).
#include "core/base/random.hpp"
#include "core/base/text.hpp"
#include "core/plugins/check.hpp"

namespace bot_bottle::plugins {

namespace {

bool is_there(Freezer& freezer, const std::string& ref) {
  return freezer.exists(ref);
}

}  // namespace

std::optional<json::object> check_freeze(CheckContext& context, Freezer& freezer, const json::object& bottle) {
  const std::string name = "freezer:" + freezer.name();
  const std::string ref = get_string(bottle, "slug") + "." + random_base36(8);
  std::optional<json::object> snapshot;
  context.checker.check(name + ": what was never frozen does not exist, and removing it is success",
                        [&]() -> std::string {
                          freezer.remove(ref);
                          return is_there(freezer, ref) ? "it exists" : "";
                        });
  context.checker.check(name + ": a running bottle can be frozen", [&]() -> std::string {
    json::object request = bottle;
    request["snapshot"] = ref;
    json::object made = freezer.freeze(request);
    if (auto problems = schema_problems(context.schemas, made, "bot-bottle.snapshot/1"); !problems.empty())
      return problems;
    if (get_string(made, "ref") != ref) return "its ref is not the name that it was given";
    if (!is_there(freezer, ref)) return "it does not exist afterwards";
    snapshot = std::move(made);
    return leaked_secrets(context, *snapshot);
  });
  context.checker.check(name + ": a name is used once", [&]() -> std::string {
    if (!snapshot) return {};
    json::object request = bottle;
    request["snapshot"] = ref;
    try {
      static_cast<void>(freezer.freeze(request));
    } catch (const Failure&) {
      return is_there(freezer, ref) ? "" : "the first one is gone";
    }
    return "the snapshot was overwritten";
  });
  return snapshot;
}

void check_thaw(CheckContext& context, Freezer& freezer, const json::object& snapshot) {
  const std::string ref = get_string(snapshot, "ref");
  context.checker.check("freezer:" + freezer.name() + ": remove, twice", [&]() -> std::string {
    freezer.remove(ref);
    freezer.remove(ref);
    return is_there(freezer, ref) ? "it still exists" : "";
  });
}

}  // namespace bot_bottle::plugins
