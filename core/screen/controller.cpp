#include "core/screen/controller.hpp"

#include <algorithm>
#include <memory>
#include <set>

#include "core/base/error.hpp"
#include "core/base/paths.hpp"
#include "core/base/text.hpp"
#include "core/desk/answer.hpp"
#include "core/launch/approved_recipes.hpp"
#include "core/launch/control_client.hpp"
#include "core/launch/decisions.hpp"
#include "core/launch/test_hooks.hpp"
#include "core/policy/decide.hpp"
#include "core/screen/editor.hpp"
#include "core/state/directory.hpp"

namespace bot_bottle::screen {
namespace {

using std::chrono::milliseconds;
constexpr milliseconds answer_time{60'000};
constexpr milliseconds check_time{2'000};
/// The operator waits in front of it.
constexpr milliseconds routes_time{2'000};

/// The last line of what a verb said: its error, or what it did.
std::string last_line(const std::string& output) {
  std::string last;
  for (const std::string_view line : split(output, '\n'))
    if (!trim(line).empty() && !line.starts_with("next:")) last = trim(line);
  return last;
}

}  // namespace

std::vector<std::string> Controller::argv(std::initializer_list<std::string> arguments) const {
  std::vector<std::string> all{program_.string(), "--home", watch_.home().root.string()};
  all.insert(all.end(), arguments);
  return all;
}

bool Controller::act(const Action& action) {
  using What = Action::What;
  try {
    switch (action.what) {
      case What::none:
        break;
      case What::quit:
        return false;
      case What::redraw:
        surface_.forget();
        break;
      case What::opened:
        ask_others(action);
        break;
      case What::approve: {
        desk::Answer answer{
            .hash = action.hash, .reason = {}, .text = std::nullopt, .change = std::nullopt, .narrow = action.narrow};
        if (!action.text.empty()) {
          answer.text = action.text;
          answer.reason = action.text;  // the reason is what the audit has
        }
        send(action, answer);
        break;
      }
      case What::reject:
        send(action, {.decision = desk::Answer::Decision::reject,
                      .hash = action.hash,
                      .reason = action.text,
                      .text = std::nullopt,
                      .change = std::nullopt,
                      .narrow = {}});
        break;
      case What::modify:
        modify(action);
        break;
      case What::resolve:
        resolve(action);
        break;
      case What::edit_routes:
        edit_routes(action.slug);
        break;
      case What::stop:
        run_verb("stop", action.slug);
        break;
      case What::commit:
        run_verb("commit", action.slug);
        break;
      case What::attach:
        attach(action.slug);
        break;
      case What::start:
        start_agent();
        break;
      case What::selected_bottle:
        if (tmux_) tmux_->follow(action.slug, surface_.columns());
        break;
    }
  } catch (const Failure& failure) {
    model_.answering.erase(action.key);
    model_.say(failure.error().message + (failure.error().hint.empty() ? "" : " (" + failure.error().hint + ")"),
               Tone::bad);
  }
  return true;
}

void Controller::send(const Action& action, const desk::Answer& answer) {
  // What cannot be recorded is not decided.
  const state::Directory directory = state::Directory::open(watch_.home(), action.slug);
  [[maybe_unused]] const std::uint64_t recorded = launch::decisions_recorded(watch_.home(), directory);
  launch::act_on_step_hooks("answer-begin");
  const desk::Proposal* proposal = model_.find(action.key);
  if (proposal != nullptr && answer.decision != desk::Answer::Decision::reject && proposal->kind == "capability-block")
    launch::record_approved_recipe(directory.path(), answer.change.value_or(proposal->change));
  const ProposalKey key = action.key;
  const std::string how = desk::describe(answer.narrow);
  watch_.call(action.slug, desk::to_request(answer, action.key.id, desk::operator_name()), answer_time,
              [this, key, how](Result<json::object> result) {
                launch::act_on_step_hooks("answer-sent");
                model_.answering.erase(key);
                if (!result) {
                  model_.say(key.id + ": " + result.error().message, Tone::bad);
                  return;
                }
                const std::string state = get_string(*result, "state");
                const std::string reason = get_string(*result, "reason");
                // An approved capability change is built by the next resume.
                if (get_string(*result, "then") == "stop") run_verb("stop", key.slug);
                const bool well = state != "pending" && state != "failed";
                model_.say(key.id + " of " + key.slug + ": " + state + (how.empty() ? "" : " (" + how + ")") +
                               (well || reason.empty() ? "" : ": " + reason),
                           well ? Tone::good : Tone::bad);
                if (get_string(*result, "then") == "stop")
                  model_.say("stopping " + key.slug + ": bot-bottle resume " + key.slug + " has the change",
                             Tone::good);
                if (well && model_.detail && model_.detail->key == key) {
                  model_.detail.reset();
                  model_.mode = Mode::panes;
                }
              });
}

void Controller::modify(const Action& action) {
  const desk::Proposal* proposal = model_.find(action.key);
  if (proposal == nullptr) return;
  const std::string before = desk::to_editable(proposal->change);
  Result<Edited> edited = fail(ErrorKind::internal, "");
  surface_.hand_over([&] { edited = edit_text(before, ".json"); });
  if (!edited) throw Failure(std::move(edited.error()));
  if (edited->text == before) {
    remove_edited(*edited);
    model_.say("nothing was changed: nothing was sent", Tone::plain);
    return;
  }
  auto change = desk::from_editable(edited->text);
  if (!change)
    throw Failure(
        make_error(ErrorKind::invalid_argument, change.error().message + "; your text is in " + edited->file));
  remove_edited(*edited);
  model_.answering.insert(action.key);
  // The hash of what was on the screen: if the live state moved while it was edited, the sidecar refuses.
  send(action, {.decision = desk::Answer::Decision::modify,
                .hash = action.hash,
                .reason = {},
                .text = std::nullopt,
                .change = std::move(*change),
                .narrow = {}});
}

void Controller::edit_routes(const std::string& slug) {
  const state::Directory directory = state::Directory::open(watch_.home(), slug);
  [[maybe_unused]] const std::uint64_t recorded = launch::decisions_recorded(watch_.home(), directory);
  const json::object live = launch::control_call(directory.control_socket(), {{"call", "routes"}}, routes_time);
  const std::string before = get_string(live, "text");
  const std::string hash = get_string(live, "hash");
  if (hash.empty())
    throw Failure(make_error(ErrorKind::unsupported, "the sidecar of '" + slug + "' cannot take edited routes"));
  Result<Edited> edited = fail(ErrorKind::internal, "");
  surface_.hand_over([&] { edited = edit_text(before, ".toml"); });
  if (!edited) throw Failure(std::move(edited.error()));
  if (edited->text == before) {
    remove_edited(*edited);
    model_.say("nothing was changed", Tone::plain);
    return;
  }
  const Edited kept = *edited;
  watch_.call(slug, {{"call", "set-routes"}, {"hash", hash}, {"egress", kept.text}, {"by", desk::operator_name()}},
              answer_time, [this, slug, kept](Result<json::object> result) {
                if (!result) {
                  // Where a credential would reach further, the verb shows it and asks.
                  const bool wants_word = result.error().kind == ErrorKind::refused;
                  model_.say(result.error().message +
                                 (wants_word ? "; bot-bottle routes edit " + slug + " --file "
                                             : std::string("; your text is in ")) +
                                 kept.file,
                             Tone::bad);
                  return;
                }
                remove_edited(kept);
                model_.say("the routes of " + slug + " are as you wrote them", Tone::good);
              });
}

void Controller::attach(const std::string& slug) {
  const desk::Bottle* bottle = model_.find_bottle(slug);
  if (bottle == nullptr || bottle->presence != desk::Presence::listening)
    throw Failure(make_error(ErrorKind::failed_precondition, slug + " does not run", "bot-bottle resume " + slug));
  if (tmux_) {
    or_throw(tmux_->open(slug, argv({"attach", slug}), surface_.columns()));
    return;
  }
  Result<int> ended = 0;
  surface_.hand_over([&] { ended = run_in_front(argv({"attach", slug})); });
  if (!ended) throw Failure(std::move(ended.error()));
  model_.say("the session in " + slug + " ended" + (*ended == 0 ? "" : " with " + std::to_string(*ended)),
             *ended == 0 ? Tone::plain : Tone::bad);
}

void Controller::start_agent() {
  Result<int> ended = 0;
  // Choice, preflight and progress are those of `start`; the bottle goes on by itself, Enter on it attaches.
  surface_.hand_over([&] { ended = run_in_front(argv({"start", "--detach"})); });
  if (!ended) throw Failure(std::move(ended.error()));
  model_.say(*ended == 0 ? "a bottle was started: Enter on it attaches" : "no bottle was started",
             *ended == 0 ? Tone::good : Tone::bad);
}

void Controller::resolve(const Action& action) {
  // getent is the system's own resolver in a process that can hang alone. The name is checked: never an option.
  const std::string host = or_throw(policy::normalise_host(action.text));
  const ProposalKey key = action.key;
  model_.detail->resolved = "asking";
  or_throw(jobs_.start({"timeout", "5", "getent", "ahosts", host}, [this, key](int code, const std::string& output) {
    if (!model_.detail || model_.detail->key != key) return;
    std::vector<std::string> addresses;
    for (const std::string_view line : split(output, '\n')) {
      const std::string address(line.substr(0, line.find(' ')));
      if (!address.empty() && std::ranges::find(addresses, address) == addresses.end()) addresses.push_back(address);
    }
    model_.detail->resolved =
        code == 0 && !addresses.empty() ? join(addresses, ", ") : "nothing: it does not resolve here";
  }));
}

/// Which other bottles may reach the host: each sidecar is asked, nothing is resolved or dialled.
void Controller::ask_others(const Action& action) {
  const auto host = policy::normalise_host(action.text);
  if (!host) return;
  struct Asked {
    std::size_t open = 0;
    std::set<std::string> allowed;
  };
  auto asked = std::make_shared<Asked>();
  const ProposalKey key = action.key;
  const auto finish = [this, asked, key] {
    if (asked->open == 0 && model_.detail && model_.detail->key == key)
      model_.detail->allowed_elsewhere = std::vector<std::string>(asked->allowed.begin(), asked->allowed.end());
  };
  ++asked->open;
  for (const desk::Bottle& bottle : model_.bottles) {
    if (bottle.slug == action.slug || bottle.presence != desk::Presence::listening) continue;
    ++asked->open;
    watch_.call(bottle.slug, {{"call", "check"}, {"method", "GET"}, {"url", "https://" + *host + "/"}}, check_time,
                [asked, finish, slug = bottle.slug](Result<json::object> answer) {
                  --asked->open;
                  // A route for the host is there, whether or not it lets this one request through.
                  if (answer && answer->contains("route")) asked->allowed.insert(slug);
                  finish();
                });
  }
  --asked->open;
  finish();
}

void Controller::run_verb(const std::string& verb, const std::string& slug) {
  model_.say(verb + " " + slug + " …", Tone::plain);
  or_throw(jobs_.start(argv({verb, slug}), [this, verb, slug](int code, const std::string& output) {
    const std::string said = last_line(output);
    model_.say(verb + " " + slug + ": " + (said.empty() ? (code == 0 ? "done" : "failed") : said),
               code == 0 ? Tone::good : Tone::bad);
  }));
}

/// By the desktop's own program (spec 06). The words are ours alone: what an agent wrote is read on the screen.
void Controller::notify(std::size_t count) {
  const std::string text = count == 1 ? "an agent asks for something" : std::to_string(count) + " things are asked for";
  const std::string path = environment("PATH").value_or("/usr/bin:/bin");
  std::vector<std::string> argv;
  const auto is_set = [](const char* name) { return !environment(name).value_or("").empty(); };
  if (is_set("DBUS_SESSION_BUS_ADDRESS") || is_set("DISPLAY") || is_set("WAYLAND_DISPLAY"))
    if (const auto program = find_program("notify-send", path))
      argv = {program->string(), "--app-name=bot-bottle", "bot-bottle", text};
  if (argv.empty())
    if (const auto program = find_program("osascript", path))
      argv = {program->string(), "-e", "display notification \"" + text + "\" with title \"bot-bottle\""};
  if (argv.empty()) return;
  [[maybe_unused]] const auto started = jobs_.start(std::move(argv), [](int, const std::string&) {});
}

}  // namespace bot_bottle::screen
