// Help texts: the overall one grouped by task, one per verb with its example, all within 80 columns.
#include "core/cli/help.hpp"

#include <algorithm>
#include <map>

#include "core/base/text.hpp"
#include "core/cli/command_line.hpp"
#include "core/cli/context.hpp"

namespace bot_bottle::cli {
namespace {

constexpr std::size_t page_width = 80;

/// "  name      text", the text wrapped and indented below itself.
std::string entry(std::string_view name, std::string_view text, std::size_t column) {
  std::string out = "  " + std::string(name);
  if (out.size() + 2 > column)
    out += "\n" + std::string(column, ' ');
  else
    out.append(column - out.size(), ' ');
  std::size_t used = column;
  bool first = true;
  for (const std::string_view word : split(text, ' ')) {
    if (word.empty()) continue;
    const std::size_t width = display_width(word);
    if (!first && used + 1 + width > page_width) {
      out += "\n" + std::string(column, ' ');
      used = column;
    } else if (!first) {
      out += ' ';
      ++used;
    }
    out += word;
    used += width;
    first = false;
  }
  return out + "\n";
}

}  // namespace

std::string value_name(const CLI::Option& option) {
  if (option.get_items_expected_max() == 0) return {};
  std::string name = option.get_type_name();
  // CLI11's own type names tell a programmer's story; verbs set theirs with ->type_name("DIR").
  if (name.find_first_of("abcdefghijklmnopqrstuvwxyz:{") != std::string::npos || name == "TEXT" || name == "UINT" ||
      name == "INT")
    name = name == "UINT" || name == "INT" ? "N" : "VALUE";
  return name;
}

std::string option_name(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  const std::string value = value_name(option);
  return join(names, ", ") + (value.empty() ? "" : " " + value);
}

std::string usage_of(const CLI::App& app) {
  std::string path = app.get_name();
  for (const CLI::App* parent = app.get_parent(); parent != nullptr; parent = parent->get_parent())
    path = parent->get_name() + " " + path;
  std::string usage = "usage: " + path;
  const auto options = app.get_options();
  if (std::ranges::any_of(options,
                          [](const CLI::Option* one) { return !one->get_positional() && !one->get_group().empty(); }))
    usage += " [OPTIONS]";
  for (const CLI::Option* option : options) {
    if (!option->get_positional() || option->get_group().empty()) continue;
    std::string name = option->get_name(true);
    if (option->get_items_expected_max() > 1) name += "...";
    usage += option->get_required() ? " " + name : " [" + name + "]";
  }
  if (!app.get_subcommands([](const CLI::App*) { return true; }).empty())
    usage += app.get_require_subcommand_min() == 0 ? " [VERB]" : " VERB";
  return usage + "\n";
}

std::string HelpFormatter::make_help(const CLI::App* app, std::string /*name*/, CLI::AppFormatMode /*mode*/) const {
  if (app->get_parent() == nullptr) return format_overall_help(*app);
  std::string text = app->get_description() + "\n\n" + usage_of(*app);
  const auto verbs = app->get_subcommands([](const CLI::App*) { return true; });
  const auto options = app->get_options();
  std::size_t column = 8;
  for (const CLI::App* verb : verbs) column = std::max(column, std::min<std::size_t>(verb->get_name().size() + 4, 26));
  for (const CLI::Option* option : options) {
    const std::string name = option->get_positional() ? option->get_name(true) : option_name(*option);
    column = std::max(column, std::min<std::size_t>(name.size() + 4, 26));
  }
  if (!verbs.empty()) {
    text += "\n";
    for (const CLI::App* verb : verbs) text += entry(verb->get_name(), verb->get_description(), column);
  }
  text += "\n";
  for (const CLI::Option* option : options)
    if (option->get_positional() && !option->get_group().empty() && !option->get_description().empty())
      text += entry(option->get_name(true), option->get_description(), column);
  for (const CLI::Option* option : options)
    if (!option->get_positional() && !option->get_group().empty())
      text += entry(option_name(*option), option->get_description(), column);
  const std::string footer = app->get_footer();  // by value: the lines below are views of it
  if (!footer.empty()) {
    text += "\nexample:\n";
    for (const std::string_view line : split(footer, '\n')) text += "  " + std::string(line) + "\n";
  }
  return text;
}

std::string format_overall_help(const CLI::App& app) {
  std::string text =
      "bot-bottle runs a coding agent as if it were already compromised.\n\nusage: bot-bottle VERB [OPTIONS]\n";
  std::vector<std::string> groups;
  const auto verbs = app.get_subcommands([](const CLI::App*) { return true; });
  std::size_t column = 0;
  for (const CLI::App* verb : verbs) {
    if (std::ranges::find(groups, verb->get_group()) == groups.end()) groups.push_back(verb->get_group());
    column = std::max(column, verb->get_name().size() + 4);
  }
  for (const std::string& group : groups) {
    if (group.empty()) continue;
    text += "\n" + group + "\n";
    for (const CLI::App* verb : verbs)
      if (verb->get_group() == group) text += entry(verb->get_name(), verb->get_description(), column);
  }
  text += "\nOptions, before or after the verb\n";
  for (const CLI::Option* option : app.get_options())
    if (!option->get_group().empty()) text += entry(option_name(*option), option->get_description(), 20);
  text += "\nStart with: bot-bottle init        About one verb: bot-bottle VERB --help\n";
  return text;
}

}  // namespace bot_bottle::cli
