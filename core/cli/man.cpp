#include "core/cli/man.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "core/cli/completion.hpp"
#include "core/cli/help.hpp"
#include "core/cli/report.hpp"

namespace bot_bottle::cli {
namespace {

/// groff_char(7): '\' and '-' have meanings of their own, and what is not ASCII is named by its number.
std::string escape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x80) {
      const char c = text[i++];
      if (c == '\\')
        out += "\\e";
      else if (c == '-')
        out += "\\-";
      else if (c == '\'')
        out += "\\(aq";
      else if (c == '~')
        out += "\\(ti";
      else if (c == '^')
        out += "\\(ha";
      else if (c == '`')
        out += "\\(ga";
      else
        out += c;
      continue;
    }
    const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    std::uint32_t point = lead & (0xFFU >> (length + 1));
    for (std::size_t k = 1; k < length && i + k < text.size(); ++k)
      point = (point << 6U) | (static_cast<unsigned char>(text[i + k]) & 0x3FU);
    out += fmt::format("\\[u{:04X}]", point);
    i += length;
  }
  // A line that begins with a dot is a request.
  return out.starts_with('.') ? "\\&" + out : out;
}

std::string page_name(const CLI::App& app) {
  return app.get_parent() == nullptr ? app.get_name() : page_name(*app.get_parent()) + "-" + app.get_name();
}

std::string entry(std::string_view head, std::string_view text) {
  return fmt::format(".TP\n\\fB{}\\fR\n{}\n", escape(head), escape(text.empty() ? "(see above)" : text));
}

std::string options_of(const CLI::App& app) {
  std::string text;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional() || option->get_group().empty()) continue;
    text += entry(option_name(*option), option->get_description());
  }
  return text;
}

std::string arguments_of(const CLI::App& app) {
  std::string text;
  for (const CLI::Option* option : app.get_options())
    if (option->get_positional() && !option->get_group().empty())
      text += entry(option->get_name(true), option->get_description());
  return text;
}

std::string synopsis_of(const CLI::App& app) {
  std::string usage = usage_of(app);
  usage = std::string(trim(usage.substr(std::string_view("usage: ").size())));
  return ".SH SYNOPSIS\n.B " + escape(usage) + "\n";
}

std::string heading(const CLI::App& app, std::string_view summary) {
  const std::string name = page_name(app);
  return fmt::format(".TH {} 1 \"\" \"bot\\-bottle {}\" \"bot\\-bottle manual\"\n.SH NAME\n{} \\- {}\n", to_upper(name),
                     escape(version()), escape(name), escape(summary));
}

std::string examples_of(const CLI::App& app) {
  const std::string footer = app.get_footer();
  if (footer.empty()) return {};
  std::string text = ".SH EXAMPLES\n.nf\n";
  for (const std::string_view line : split(footer, '\n')) text += escape(line) + "\n";
  return text + ".fi\n";
}

constexpr std::string_view exit_status = R"(.SH EXIT STATUS
.TP
.B 0
It was done.
.TP
.B 1
An error; what went wrong and what to do next is on standard error.
.TP
.B 2
The command line was wrong.
.TP
.B 3
Refused by policy or by the operator.
.TP
.B 4
A backend, or something else that is needed, is not there.
.PP
.BR start ,
.BR run ", " resume ", " attach " and " exec
give the exit code of the agent or of the command.
)";

std::string see_also(const CLI::App& app) {
  std::string text = ".SH SEE ALSO\n";
  if (app.get_parent() != nullptr) return text + ".BR bot\\-bottle (1)\n";
  std::vector<std::string> pages;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; }))
    if (!verb->get_group().empty()) pages.push_back(escape(page_name(*verb)));
  std::ranges::sort(pages);
  for (std::size_t i = 0; i < pages.size(); ++i)
    text += fmt::format(".BR {} (1){}\n", pages[i], i + 1 < pages.size() ? "," : "");
  return text;
}

std::string section(std::string_view name, const std::string& text) {
  return text.empty() ? std::string() : fmt::format(".SH {}\n{}", name, text);
}

std::string page_of_verb(const CLI::App& app) {
  std::string text = heading(app, app.get_description()) + synopsis_of(app);
  text += section("ARGUMENTS", arguments_of(app));
  const auto inner = app.get_subcommands([](const CLI::App*) { return true; });
  if (!inner.empty()) text += ".SH VERBS\n";
  for (const CLI::App* verb : inner) {
    const std::string usage = usage_of(*verb);
    text += fmt::format(".SS {}\n{}\n.PP\n.B {}\n", escape(verb->get_name()), escape(verb->get_description()),
                        escape(trim(usage.substr(std::string_view("usage: ").size()))));
    text += arguments_of(*verb) + options_of(*verb);
  }
  text += section("OPTIONS", options_of(app));
  return text + examples_of(app) + std::string(exit_status) + see_also(app);
}

constexpr std::string_view surroundings = R"(.SH ENVIRONMENT
.TP
.B BOT_BOTTLE_HOME
Instead of
.IR \(ti/.bot\-bottle .
.TP
.B BOT_BOTTLE_BACKEND
What isolates, where neither the command line nor the bottle says it.
.TP
.BR VISUAL ", " EDITOR
The editor for routes and proposals.
.TP
.B NO_COLOR
No colours.
.SH FILES
.TP
.I \(ti/.bot\-bottle/bottles/NAME.md
What an agent may reach.
.TP
.I \(ti/.bot\-bottle/agents/NAME.md, ./.bot\-bottle/agents/NAME.md
Agents: yours, and those of a repository.
.TP
.I \(ti/.bot\-bottle/state/SLUG/
One bottle: its logs, its live routes, and what is kept of it.
.TP
.I \(ti/.bot\-bottle/audit/SLUG.jsonl
What was decided for a bottle.
)";

std::string page_of_program(const CLI::App& app) {
  std::string text = heading(app, app.get_description());
  text += ".SH SYNOPSIS\n.B bot\\-bottle\n.I VERB\n.RI [ OPTIONS ]\n";
  text +=
      ".SH DESCRIPTION\nbot\\-bottle runs a coding agent as if it were already compromised: with no network of its "
      "own, "
      "no real\ncredential inside, and every byte out inspected. Each verb has a page of its own.\n";
  std::vector<std::string> groups;
  const auto verbs = app.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* verb : verbs)
    if (!verb->get_group().empty() && std::ranges::find(groups, verb->get_group()) == groups.end())
      groups.push_back(verb->get_group());
  text += ".SH VERBS\n";
  for (const std::string& group : groups) {
    text += ".SS " + escape(group) + "\n";
    for (const CLI::App* verb : verbs)
      if (verb->get_group() == group) text += entry(verb->get_name(), verb->get_description());
  }
  text += section("OPTIONS", options_of(app));
  return text + std::string(surroundings) + std::string(exit_status) + see_also(app);
}

void write(const std::filesystem::path& file, const std::string& text) {
  or_throw(make_directories(file.parent_path(), 0755));
  or_throw(write_file_fast(file, text, 0644));
}

}  // namespace

std::string man_page(const CLI::App& app) {
  return app.get_parent() == nullptr ? page_of_program(app) : page_of_verb(app);
}

void write_manual(const CLI::App& app, const std::filesystem::path& share) {
  write(share / "man/man1/bot-bottle.1", man_page(app));
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; }))
    if (!verb->get_group().empty()) write(share / "man/man1" / (page_name(*verb) + ".1"), man_page(*verb));
  write(share / "bash-completion/completions/bot-bottle", completion_script("bash"));
  write(share / "zsh/site-functions/_bot-bottle", completion_script("zsh"));
  write(share / "fish/vendor_completions.d/bot-bottle.fish", completion_script("fish"));
}

}  // namespace bot_bottle::cli
