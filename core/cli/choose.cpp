#include "core/cli/choose.hpp"

#include <unistd.h>

#include <algorithm>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/cli/show.hpp"
#include "core/manifest/settings.hpp"
#include "core/plugins/registry.hpp"
#include "core/state/slug.hpp"
#include "core/tui/label_form.hpp"
#include "core/tui/picker.hpp"
#include "core/tui/question.hpp"

namespace bot_bottle::cli {
namespace {

/// "✗ agents/x.md:3:1: …": the first fault of a file that cannot be used.
tui::PickerDetail broken(const Error& error) {
  const std::string_view fault = split(error.details.empty() ? error.message : error.details, '\n').front();
  std::string text = "broken: " + std::string(trim(fault));
  text += "  (bot-bottle config check)";
  return {std::move(text), tui::PickerDetail::Verdict::broken};
}

/// "bottle dev ← base, claude, 3 routes".
tui::PickerDetail describe_agent(const manifest::Sources& sources, const std::string& name) {
  try {
    const manifest::Manifest manifest = manifest::load(sources, name, std::nullopt);
    const std::size_t routes = manifest.egress.routes.size();
    std::string text = "bottle " + join(manifest.bottle_chain, " ← ") + ", " + manifest.provider.plugin;
    text += routes == 0 ? ", no network" : ", " + std::to_string(routes) + (routes == 1 ? " route" : " routes");
    if (!manifest.backend.empty()) text += ", on " + manifest.backend;
    return {std::move(text)};
  } catch (const Failure& failure) {
    return broken(failure.error());
  }
}

bool is_in_use(Context& context, const std::string& label) {
  std::error_code code;
  return state::is_slug(label) && std::filesystem::exists(context.home().state_of(label), code);
}

std::string in_use(const std::string& label) {
  return "a bottle named '" + label + "' exists";
}

std::string fault_of_label(Context& context, const std::string& label) {
  if (label.empty()) return {};
  try {
    state::slug_of_label(label);
  } catch (const Failure& failure) {
    // "use --label issue-42" is for the command line.
    constexpr std::string_view option = "use --label ";
    const std::string& hint = failure.error().hint;
    return hint.starts_with(option) ? "cannot name a bottle, but this could: " + hint.substr(option.size())
                                    : "cannot name a bottle: " + hint;
  }
  return is_in_use(context, label) ? in_use(label) : std::string();
}

}  // namespace

bool is_interactive(const Context& context) {
  return context.stdin_is_terminal() && tui::is_terminal(STDERR_FILENO);
}

std::string pick_agent(const Context& context, const manifest::Sources& sources) {
  tui::PickerQuestion question;
  for (const manifest::NamedFile& file : manifest::list_agents(sources).files)
    question.items.push_back(
        {file.name, (file.origin == manifest::Origin::repository ? "this repository, " : "") + short_path(file.file)});
  if (!is_interactive(context))
    throw Failure(make_error(ErrorKind::usage, "'start' needs an AGENT: this is no terminal, so nobody can be asked",
                             question.items.empty() ? "bot-bottle init" : "bot-bottle list agents"));
  if (question.items.empty())
    throw Failure(make_error(ErrorKind::not_found, "there is no agent yet", "bot-bottle init"));
  question.what = "agent";
  question.describe = [&sources](const std::string& name) { return describe_agent(sources, name); };
  question.look = tui::Look::find(STDERR_FILENO, context.no_color);
  const auto chosen = tui::pick(std::move(question));
  if (!chosen) throw Failure(make_error(ErrorKind::refused, "no agent was chosen"));
  return *chosen;
}

std::string choose_backend(Context& context, const LaunchOptions& options, const manifest::Manifest& manifest,
                           const launch::Backends& backends, int cancel_fd) {
  if (!manifest.backend.empty()) return manifest.backend;
  launch::Pick pick;
  if (is_interactive(context) && !options.yes && !options.dry_run)
    pick = [&](const std::vector<std::string>& names) {
      tui::PickerQuestion question;
      for (const std::string& name : names)
        question.items.push_back({name, context.registry().description_of("backend", name).description});
      question.what = "backend";
      question.look = tui::Look::find(STDERR_FILENO, context.no_color);
      question.cancel_fd = cancel_fd;
      auto chosen = tui::pick(std::move(question));
      if (chosen) {
        manifest::remember_backend(context.home(), *chosen);
        context.note("backend " + *chosen + ", from now on (" + short_path(context.home().config()) +
                     "; --backend takes another)");
      }
      return chosen;
    };
  return launch::choose_backend(backends, pick);
}

void ask_label(Context& context, LaunchOptions& options, const std::string& agent, const std::string& why,
               int cancel_fd) {
  const auto chosen =
      tui::ask_label({.why = why,
                      .choice = {options.label, options.color},
                      .agent = agent,
                      .fault = [&context](const std::string& label) { return fault_of_label(context, label); },
                      .look = tui::Look::find(STDERR_FILENO, context.no_color),
                      .cancel_fd = cancel_fd});
  if (!chosen) throw Failure(make_error(ErrorKind::refused, "no label was chosen"));
  options.label = chosen->label;
  options.color = chosen->color;
}

std::string choose_slug(Context& context, LaunchOptions& options, const std::string& agent, Ask ask, int cancel_fd) {
  if (!options.label.empty()) state::slug_of_label(options.label);  // throws where it cannot be one
  if (ask == Ask::yes && is_in_use(context, options.label)) ask_label(context, options, agent, "", cancel_fd);
  return options.label.empty() ? state::make_slug(agent) : state::slug_of_label(options.label);
}

void confirm_start(int cancel_fd) {
  switch (tui::confirm("Start it?", cancel_fd)) {
    case tui::Answer::yes:
      return;
    case tui::Answer::no:
      throw Failure(make_error(ErrorKind::refused, "not started"));
    case tui::Answer::cancelled:
      throw Failure(make_error(ErrorKind::cancelled, "not started: ended by Ctrl-C or a signal"));
  }
}

}  // namespace bot_bottle::cli
