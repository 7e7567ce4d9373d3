// Keys to actions.
#include <fmt/format.h>

#include <limits>

#include "core/screen/model.hpp"

namespace bot_bottle::screen {
namespace {

using Code = Key::Code;
constexpr std::size_t max_prompt = 500;
constexpr auto far = std::numeric_limits<int>::max();

std::string to_utf8(const std::u32string& text) {
  std::string out;
  for (const char32_t point : text) {
    if (point < 0x80) {
      out += static_cast<char>(point);
    } else if (point < 0x800) {
      out += static_cast<char>(0xC0 | (point >> 6U));
      out += static_cast<char>(0x80 | (point & 0x3FU));
    } else if (point < 0x10000) {
      out += static_cast<char>(0xE0 | (point >> 12U));
      out += static_cast<char>(0x80 | ((point >> 6U) & 0x3FU));
      out += static_cast<char>(0x80 | (point & 0x3FU));
    } else {
      out += static_cast<char>(0xF0 | (point >> 18U));
      out += static_cast<char>(0x80 | ((point >> 12U) & 0x3FU));
      out += static_cast<char>(0x80 | ((point >> 6U) & 0x3FU));
      out += static_cast<char>(0x80 | (point & 0x3FU));
    }
  }
  return out;
}

/// How far a key moves; nothing when it does not.
std::optional<int> movement(const Key& key, std::size_t page) {
  switch (key.code) {
    case Code::up:
      return -1;
    case Code::down:
      return 1;
    case Code::page_up:
      return -static_cast<int>(page);
    case Code::page_down:
      return static_cast<int>(page);
    case Code::home:
      return -far;
    case Code::end:
      return far;
    case Code::character:
      if (key.character == U'k') return -1;
      if (key.character == U'j') return 1;
      if (key.character == U'g') return -far;
      if (key.character == U'G') return far;
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

bool is_back(const Key& key) {
  return key.code == Code::escape || key.code == Code::backspace || key.code == Code::interrupt ||
         (key.code == Code::character && key.character == U'q');
}

}  // namespace

Action Model::press(const Key& key, Time now) {
  if (key.code == Code::redraw) {
    Action action;
    action.what = Action::What::redraw;
    return action;
  }
  message.clear();
  switch (mode) {
    case Mode::panes:
      return press_in_panes(key, now);
    case Mode::detail:
      return press_in_detail(key, now);
    case Mode::narrow_menu:
      return press_in_narrow_menu(key);
    case Mode::prompt:
      return press_in_prompt(key);
    case Mode::logs:
      return press_in_logs(key);
    case Mode::help:
      mode = detail ? Mode::detail : Mode::panes;
      return {};
    case Mode::confirm_stop: {
      mode = Mode::panes;
      Action action;
      if (key.code == Code::character && key.character == U'y') {
        action.what = Action::What::stop;
        action.slug = selected_bottle_;
      } else {
        say("nothing was stopped", Tone::plain);
      }
      return action;
    }
  }
  return {};
}

Action Model::press_in_panes(const Key& key, Time now) {
  const std::string before = selected_bottle_;
  if (const auto by = movement(key, 5)) {
    move(*by);
    return selection_moved(before);
  }
  Action action;
  switch (key.code) {
    case Code::tab:
      focus = static_cast<Pane>((static_cast<int>(focus) + 1) % 3);
      return {};
    case Code::back_tab:
      focus = static_cast<Pane>((static_cast<int>(focus) + 2) % 3);
      return {};
    case Code::enter:
      if (focus == Pane::proposals) return open_detail(now);
      if (focus == Pane::bottles && selected_bottle() != nullptr) {
        action.what = Action::What::attach;
        action.slug = selected_bottle_;
      }
      return action;
    case Code::interrupt:
      action.what = Action::What::quit;
      return action;
    case Code::character:
      break;
    default:
      return {};
  }
  const auto with_bottle = [&](Action::What what) {
    if (selected_bottle() == nullptr) {
      say("no bottle is selected", Tone::plain);
      return Action{};
    }
    Action chosen;
    chosen.what = what;
    chosen.slug = selected_bottle_;
    return chosen;
  };
  switch (key.character) {
    case U'q':
      action.what = Action::What::quit;
      return action;
    case U'?':
      mode = Mode::help;
      return {};
    case U'n':
      action.what = Action::What::start;
      return action;
    case U'e':
      return with_bottle(Action::What::edit_routes);
    case U'c':
      return with_bottle(Action::What::commit);
    case U'x':
      if (selected_bottle() != nullptr) mode = Mode::confirm_stop;
      return {};
    case U'l':
      if (selected_bottle() == nullptr) return {};
      mode = Mode::logs;
      logs_slug =
          focus == Pane::proposals && selected_proposal() != nullptr ? selected_proposal()->slug : selected_bottle_;
      events_back = 0;
      return {};
    case U'a':
    case U't':
    case U'm':
    case U'r': {
      // Nobody answers what they did not see: the first press shows it, the next one there answers.
      Action opened = open_detail(now);
      if (opened.what == Action::What::opened)
        say(fmt::format("look at it, then press {} again", static_cast<char>(key.character)), Tone::plain);
      return opened;
    }
    default:
      return {};
  }
}

Action Model::open_detail(Time now) {
  const desk::Proposal* proposal = selected_proposal();
  if (proposal == nullptr) {
    say("nothing is asked", Tone::plain);
    return {};
  }
  detail = Detail{.key = key_of(*proposal), .hash = proposal->hash, .since = now};
  mode = Mode::detail;
  Action action;
  action.what = Action::What::opened;
  action.key = detail->key;
  action.slug = proposal->slug;
  action.text = proposal->host();
  return action;
}

bool Model::may_answer(Time now) {
  if (answering.contains(detail->key)) {
    say("it is being answered", Tone::plain);
    return false;
  }
  // A change that arrived between the last look and this key was not read (attack K3).
  if (now - detail->since < least_look) {
    say("it has only just come up: look at it first", Tone::bad);
    return false;
  }
  if (!detail->end_was_seen) {
    say("it goes on below: look at all of it first (End)", Tone::bad);
    return false;
  }
  return true;
}

Action Model::answer(Action::What what, const desk::Proposal& proposal) {
  Action action;
  action.what = what;
  action.key = key_of(proposal);
  action.slug = proposal.slug;
  action.hash = detail->hash;
  if (what != Action::What::modify) answering.insert(action.key);
  return action;
}

void Model::ask(Prompt::What what, std::string question) {
  prompt = Prompt{.what = what, .question = std::move(question), .text = {}, .key = detail->key};
  mode = Mode::prompt;
}

Action Model::press_in_detail(const Key& key, Time now) {
  const desk::Proposal* proposal = find(detail->key);
  if (proposal == nullptr || is_back(key)) {
    leave_detail();
    return {};
  }
  if (const auto by = movement(key, page_)) {
    const auto to = static_cast<std::ptrdiff_t>(detail->scroll) + *by;
    detail->scroll = static_cast<std::size_t>(std::max<std::ptrdiff_t>(to, 0));  // `settle` knows the end
    return {};
  }
  if (key.code == Code::character && key.character == U' ') {
    detail->scroll += page_;
    return {};
  }
  if (key.code != Code::character) return {};
  switch (key.character) {
    case U'a':
      if (!may_answer(now)) return {};
      if (proposal->is_question()) {
        ask(Prompt::What::answer, proposal->choices.empty() ? "your answer:" : "your answer, or a choice's number:");
        return {};
      }
      return answer(Action::What::approve, *proposal);
    case U't':
      if (!may_answer(now)) return {};
      if (proposal->is_question())
        say("a question is answered with a", Tone::plain);
      else
        mode = Mode::narrow_menu;
      return {};
    case U'm':
      if (!may_answer(now)) return {};
      if (proposal->is_question()) {
        say("a question is answered with a", Tone::plain);
        return {};
      }
      return answer(Action::What::modify, *proposal);
    case U'r':
      // A no needs no end to have been seen.
      if (!answering.contains(detail->key)) ask(Prompt::What::reason, "no, because (the agent reads it):");
      return {};
    case U'w':
      detail->all_words = !detail->all_words;
      detail->end_was_seen = false;
      return {};
    case U'd': {
      if (proposal->host().empty()) return {};
      Action action;
      action.what = Action::What::resolve;
      action.key = detail->key;
      action.text = proposal->host();
      return action;
    }
    case U'?':
      mode = Mode::help;
      return {};
    default:
      return {};
  }
}

Action Model::press_in_narrow_menu(const Key& key) {
  const desk::Proposal* proposal = find(detail->key);
  mode = Mode::detail;
  if (proposal == nullptr || key.code != Code::character) return {};
  switch (key.character) {
    case U'o': {
      Action action = answer(Action::What::approve, *proposal);
      action.narrow.once = true;
      return action;
    }
    case U't':
      ask(Prompt::What::seconds, "for how long (90s, 10m, 2h):");
      return {};
    case U'r':
      ask(Prompt::What::requests, "for how many requests:");
      return {};
    case U'b':
      ask(Prompt::What::bytes, "for how much data (512KiB, 1MiB):");
      return {};
    default:
      return {};
  }
}

Action Model::press_in_prompt(const Key& key) {
  switch (key.code) {
    case Code::escape:
    case Code::interrupt:
      prompt.reset();
      mode = Mode::detail;
      return {};
    case Code::backspace:
      if (!prompt->text.empty()) prompt->text.pop_back();
      return {};
    case Code::clear:
      prompt->text.clear();
      return {};
    case Code::character:
      if (prompt->text.size() < max_prompt && key.character >= U' ' && key.character != 0x7F)
        prompt->text += key.character;
      return {};
    case Code::enter:
      break;
    default:
      return {};
  }
  const Prompt given = *prompt;
  const std::string text = to_utf8(given.text);
  const desk::Proposal* proposal = find(given.key);
  prompt.reset();
  mode = Mode::detail;
  if (proposal == nullptr) return {};
  desk::Narrow narrow;
  const auto take = [](std::uint64_t& value, std::optional<std::uint64_t> parsed) { value = parsed.value_or(0); };
  switch (given.what) {
    case Prompt::What::reason: {
      Action action = answer(Action::What::reject, *proposal);
      action.text = text;
      return action;
    }
    case Prompt::What::answer: {
      if (text.empty()) {
        say("an answer needs a text; nothing was sent", Tone::plain);
        return {};
      }
      Action action = answer(Action::What::approve, *proposal);
      action.text = text;
      const auto number = desk::parse_count(text);
      if (number && *number <= proposal->choices.size()) action.text = proposal->choices[*number - 1];
      return action;
    }
    case Prompt::What::seconds:
      take(narrow.seconds, desk::parse_seconds(text));
      break;
    case Prompt::What::requests:
      take(narrow.requests, desk::parse_count(text));
      break;
    case Prompt::What::bytes:
      take(narrow.bytes, desk::parse_bytes(text));
      break;
  }
  if (!narrow.is_set()) {
    say("'" + text + "' cannot be read: nothing was approved", Tone::bad);
    return {};
  }
  Action action = answer(Action::What::approve, *proposal);
  action.narrow = narrow;
  return action;
}

Action Model::press_in_logs(const Key& key) {
  if (is_back(key) || (key.code == Code::character && key.character == U'l')) {
    mode = Mode::panes;
    events_back = 0;
    return {};
  }
  if (const auto by = movement(key, page_)) {
    const auto back = static_cast<std::ptrdiff_t>(events_back) - *by;
    events_back =
        static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(back, 0, static_cast<std::ptrdiff_t>(events.size())));
  }
  return {};
}

}  // namespace bot_bottle::screen
