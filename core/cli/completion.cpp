#include "core/cli/completion.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "core/base/text.hpp"
#include "core/cli/help.hpp"
#include "core/cli/words.hpp"

namespace bot_bottle::cli {
namespace {

struct Line {
  std::vector<std::string> done;
  std::string current;
  std::string shown_from;  // bash alone: what stands before the part of the word that it replaces
};

/// One level of quotes, without any expansion: "$(x)" stays "$(x)".
std::string without_quotes(std::string_view text) {
  std::string out;
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote == 0 && (c == '\'' || c == '"'))
      quote = c;
    else if (c == quote)
      quote = 0;
    else if (c == '\\' && quote != '\'' && i + 1 < text.size())
      out += text[++i];
    else
      out += c;
  }
  return out;
}

/// bash gives "--color=red" as three words and "box:file" too (COMP_WORDBREAKS).
Line read_line(const std::string& shell, std::vector<std::string> words) {
  Line line;
  if (words.empty()) words.emplace_back();
  if (shell != "zsh")
    for (std::string& word : words) word = without_quotes(word);
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool last = i + 1 == words.size();
    if (shell == "bash" && words[i] == "=" && !last) continue;
    if (shell == "bash" && words[i] == ":" && !line.done.empty()) {
      std::string joined = line.done.back() + ":" + (last ? "" : words[++i]);
      line.done.pop_back();
      if (i + 1 >= words.size()) {
        line.shown_from = joined.substr(0, joined.rfind(':') + 1);
        line.current = std::move(joined);
      } else {
        line.done.push_back(std::move(joined));
      }
      continue;
    }
    if (last)
      line.current = words[i] == "=" && shell == "bash" ? "" : words[i];
    else
      line.done.push_back(words[i]);
  }
  return line;
}

bool is_shown(const CLI::Option& option) {
  return !option.get_group().empty();
}

bool takes_value(const CLI::Option& option) {
  return option.get_items_expected_max() > 0;
}

/// Of the verb, or (they are accepted after it) of those around it. `name` with its dashes.
const CLI::Option* find_option(const CLI::App& verb, std::string_view name) {
  for (const CLI::App* at = &verb; at != nullptr; at = at->get_parent())
    for (const CLI::Option* option : at->get_options()) {
      for (const std::string& one : option->get_lnames())
        if (name == "--" + one) return option;
      for (const std::string& one : option->get_snames())
        if (name == "-" + one) return option;
    }
  return nullptr;
}

const CLI::App* find_verb(const CLI::App& verb, const std::string& name) {
  for (const CLI::App* inner : verb.get_subcommands([](const CLI::App*) { return true; }))
    if (inner->get_name() == name) return inner;
  return nullptr;
}

/// "AGENT"; where help says only NAME, what it is the name of: --bottle NAME is a BOTTLE, plugin info NAME a PLUGIN.
std::string meaning_of(const CLI::Option& option, const CLI::App& verb) {
  std::string name = option.get_positional() ? option.get_name(true) : value_name(option);
  if (name != "NAME") return name;
  if (!option.get_lnames().empty()) return to_upper(option.get_lnames().front());
  return verb.get_parent() == nullptr ? name : to_upper(verb.get_parent()->get_name());
}

/// Where the line stands: in which verb, behind how many of its words, or behind an option that wants a value.
struct Position {
  const CLI::App* verb = nullptr;
  const CLI::Option* waiting = nullptr;
  std::size_t words = 0;
  bool behind_dashes = false;
  std::vector<std::string> options;  // those given
};

Position find_position(const CLI::App& app, Context& context, const std::vector<std::string>& done) {
  Position at{.verb = &app, .options = {}};
  for (const std::string& word : done) {
    if (at.waiting != nullptr) {
      if (at.waiting->check_lname("home")) context.home_option = word;
      at.waiting = nullptr;
    } else if (at.behind_dashes || word == "--") {
      at.behind_dashes = true;
    } else if (word.starts_with('-') && word.size() > 1) {
      const std::size_t equals = word.find('=');
      const CLI::Option* option = find_option(*at.verb, word.substr(0, equals));
      if (option == nullptr) continue;
      at.options.push_back(meaning_of(*option, *at.verb));
      if (equals == std::string::npos && takes_value(*option)) at.waiting = option;
      if (equals != std::string::npos && option->check_lname("home")) context.home_option = word.substr(equals + 1);
    } else if (const CLI::App* inner = at.words == 0 ? find_verb(*at.verb, word) : nullptr; inner != nullptr) {
      at.verb = inner;
    } else if (at.verb != &app || word != "help") {
      ++at.words;
    }
  }
  return at;
}

/// The meaning of the verb's next word; empty when it takes no more.
std::string next_word(const Position& at) {
  std::vector<std::string> names;
  for (const CLI::Option* option : at.verb->get_options()) {
    if (!option->get_positional() || !is_shown(*option)) continue;
    const std::string meaning = meaning_of(*option, *at.verb);  // `split` gives views of it
    for (const std::string_view name : split(meaning, ' ')) {
      // `check --agent A METHOD URL`: what stands in for the bottle takes its place.
      const bool replaced = name == "SLUG" && std::ranges::find(at.options, "AGENT") != at.options.end();
      if (!replaced) names.emplace_back(name);
    }
    const bool endless = option->get_items_expected_max() > 100;
    if (endless && at.words >= names.size() && !names.empty()) return names.back();
  }
  return at.words < names.size() ? names[at.words] : std::string();
}

class Answer {
 public:
  Answer(std::string shell, const Line& line) : shell_(std::move(shell)), line_(line) {}

  void offer(std::string_view word, std::string_view meaning, std::string_view before = {}) {
    if (!is_offerable(word)) return;
    std::string whole = std::string(before) + std::string(word);
    if (!whole.starts_with(line_.current)) return;
    if (!line_.shown_from.empty()) whole = whole.substr(line_.shown_from.size());
    text_ += whole;
    if (!meaning.empty()) text_ += "\t" + std::string(meaning);
    text_ += '\n';
  }

  /// Values of an option or a positional. `before` is what stands in the same word already ("--color=").
  void offer(const WordList& list, std::string before) {
    files_ = list.files;
    // bash replaces only what stands behind the '='.
    std::string value = line_.current.substr(before.size());
    if (list.ending == Ending::comma && value.find(',') != std::string::npos)
      before += value.substr(0, value.rfind(',') + 1);
    if (list.ending == Ending::colon) {
      if (value.find(':') != std::string::npos) files_ = FileWords::none;  // a path in the bottle
      nospace_ = true;
    }
    for (const std::string& word : list.words) offer(list.ending == Ending::colon ? word + ":" : word, "", before);
  }

  [[nodiscard]] std::string text() const {
    std::string first = "words";
    if (files_ == FileWords::files) first = "files";
    if (files_ == FileWords::directories) first = "directories";
    if (nospace_ && !text_.empty()) first += " nospace";
    return first + "\n" + text_;
  }

 private:
  std::string shell_;
  const Line& line_;
  std::string text_;
  FileWords files_ = FileWords::none;
  bool nospace_ = false;
};

void offer_options(Answer& answer, const CLI::App& verb) {
  for (const CLI::App* at = &verb; at != nullptr; at = at->get_parent())
    for (const CLI::Option* option : at->get_options())
      if (is_shown(*option) && (at == &verb || !option->check_lname("help")))
        for (const std::string& name : option->get_lnames()) answer.offer("--" + name, option->get_description());
}

}  // namespace

std::string complete_words(const CLI::App& app, Context& context, const std::vector<std::string>& arguments) {
  if (arguments.empty()) return {};
  const std::string& shell = arguments.front();
  const Line line = read_line(shell, {arguments.begin() + 1, arguments.end()});
  const Position at = find_position(app, context, line.done);
  Answer answer(shell, line);
  if (at.waiting != nullptr) {
    answer.offer(words_for(context, meaning_of(*at.waiting, *at.verb)), "");
  } else if (at.behind_dashes) {
    answer.offer(WordList{.words = {}, .files = FileWords::files}, "");
  } else if (line.current.starts_with("--") && line.current.find('=') != std::string::npos) {
    const std::string name = line.current.substr(0, line.current.find('='));
    const CLI::Option* option = find_option(*at.verb, name);
    if (option != nullptr && takes_value(*option))
      answer.offer(words_for(context, meaning_of(*option, *at.verb)), name + "=");
  } else if (line.current.starts_with('-')) {
    offer_options(answer, *at.verb);
  } else {
    if (at.words == 0)
      for (const CLI::App* verb : at.verb->get_subcommands([](const CLI::App*) { return true; }))
        if (!verb->get_group().empty()) answer.offer(verb->get_name(), verb->get_description());
    if (const std::string meaning = next_word(at); !meaning.empty()) answer.offer(words_for(context, meaning), "");
  }
  return answer.text();
}

}  // namespace bot_bottle::cli
