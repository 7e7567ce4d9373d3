// `audit [SLUG]` and `audit verify [SLUG]`: what operators decided, and whether the record is whole.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "core/audit/verify.hpp"
#include "core/base/error.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/cli/verbs.hpp"
#include "core/desk/proposal.hpp"
#include "core/launch/decisions.hpp"
#include "core/state/directory.hpp"
#include "core/state/slug.hpp"

namespace bot_bottle::cli {
namespace {

constexpr auto copy_time = std::chrono::seconds(2);

/// What the bottles that run decided since somebody looked (expiry, the bottle's own `auto`).
void copy_what_is_new(Context& context, const std::string& only) {
  for (const std::string& slug : state::list_slugs(context.home())) {
    if (!only.empty() && slug != only) continue;
    try {
      launch::copy_decisions(context.home(), state::Directory::open(context.home(), slug), copy_time);
    } catch (const Failure& failure) {
      const ErrorKind kind = failure.error().kind;
      if (kind != ErrorKind::unavailable && kind != ErrorKind::not_found)
        context.warn(slug + ": " + failure.error().message);
    }
  }
}

std::vector<std::string> chosen(Context& context, const std::string& slug) {
  if (slug.empty()) return audit::list_audits(context.home());
  state::need_slug(slug);
  std::vector<std::string> known = audit::list_audits(context.home());
  if (std::ranges::find(known, slug) == known.end()) {
    Error error = make_error(ErrorKind::not_found, "nothing was ever decided for '" + slug + "'", "bot-bottle audit");
    if (const auto near = nearest(slug, known)) error.details = "did you mean: " + *near;
    throw Failure(std::move(error));
  }
  return {slug};
}

std::string describe_narrow(const json::object& line) {
  const json::object* narrow = find_object(line, "narrow");
  return narrow == nullptr || narrow->empty() ? "" : " " + escape_untrusted(to_text(*narrow), 100);
}

/// "2026-11-28T19:00:00.123Z" without what nobody reads.
std::string to_the_second(std::string at) {
  if (at.size() == 24 && at[19] == '.') at.erase(19, 4);
  return at;
}

std::vector<std::string> changed_lines(const Context& context, const json::object& line) {
  std::vector<std::string> lines;
  for (const desk::DiffLine& diff : desk::diff_lines(get_string(line, "before"), get_string(line, "after"))) {
    const std::string text = escape_untrusted(diff.text, 1000);
    if (diff.kind == desk::DiffLine::Kind::added) lines.push_back(context.paint("  + " + text, Tone::good));
    if (diff.kind == desk::DiffLine::Kind::removed) lines.push_back(context.paint("  - " + text, Tone::bad));
  }
  return lines;
}

/// Each row of the table, and below it what its decision changed.
void print_with_changes(const Context& context, const Table& table,
                        const std::vector<std::vector<std::string>>& changes) {
  const std::string text = format_table(context, table, context.stdout_is_terminal() ? terminal_width() : 0);
  std::size_t row = 0;
  for (const std::string_view line : split(text, '\n')) {
    if (line.empty()) continue;
    context.out(line);
    if (row > 0 && row <= changes.size())
      for (const std::string& change : changes[row - 1]) context.out(change);
    ++row;  // the first is the header
  }
}

int show(Context& context, const std::string& slug) {
  copy_what_is_new(context, slug);
  json::array entries;
  Table table{.headers = {"TIME", "BOTTLE", "DECISION", "KIND", "PROPOSAL", "BY", "REASON"}, .rows = {}};
  std::vector<std::vector<std::string>> changes;
  for (const std::string& one : chosen(context, slug)) {
    audit::for_each_line(context.home(), one, [&](const json::object& line) {
      if (context.output.json) {
        entries.emplace_back(line);
        return;
      }
      const std::string decision = get_string(line, "decision");
      const Tone tone = decision == "reject" || decision == "fail" ? Tone::bad
                        : decision == "apply"                      ? Tone::good
                                                                   : Tone::plain;
      table.rows.push_back({to_the_second(get_string(line, "at")), one, Cell(decision + describe_narrow(line), tone),
                            get_string(line, "kind"), get_string(line, "proposal"), get_string(line, "by"),
                            get_string(line, "reason")});
      if (context.output.verbose) changes.push_back(changed_lines(context, line));
    });
  }
  if (context.output.json) {
    context.print_json({{"schema", "bot-bottle.audit/1"}, {"entries", std::move(entries)}});
    return 0;
  }
  if (table.rows.empty()) {
    context.note("nothing was decided yet");
    return 0;
  }
  print_with_changes(context, table, changes);
  return 0;
}

int verify(Context& context, const std::string& slug) {
  json::array bottles;
  int code = 0;
  for (const std::string& one : chosen(context, slug)) {
    const audit::Verdict verdict = audit::verify(context.home(), one);
    if (!verdict.is_whole()) code = exit_code_of(ErrorKind::failed_precondition);
    if (context.output.json) {
      bottles.push_back({{"slug", one},
                         {"whole", verdict.is_whole()},
                         {"lines", verdict.lines},
                         {"faults", to_array(verdict.faults)},
                         {"note", verdict.note}});
      continue;
    }
    const std::string word = verdict.is_whole() ? "whole" : "NOT what was written";
    context.out(fmt::format("{}: {} lines, {}{}", escape_untrusted(one), verdict.lines,
                            context.paint(word, verdict.is_whole() ? Tone::good : Tone::bad),
                            verdict.note.empty() ? "" : " (" + verdict.note + ")"));
    for (const std::string& fault : verdict.faults) context.out("  " + escape_untrusted(fault));
  }
  if (context.output.json) {
    context.print_json(
        {{"schema", "bot-bottle.audit-verify/1"}, {"whole", code == 0}, {"bottles", std::move(bottles)}});
    return code;
  }
  if (audit::list_audits(context.home()).empty()) context.note("nothing was decided yet");
  return code;
}

}  // namespace

void add_audit(CLI::App& app, Context& context) {
  CLI::App* verb = add_verb(app, "audit", "What was decided for a bottle, by whom", "Look",
                            "bot-bottle audit fixer-x7k2p\nbot-bottle audit -v fixer-x7k2p\nbot-bottle audit verify");
  auto slug = std::make_shared<std::string>();
  verb->add_option("SLUG", *slug, "One bottle, running or gone; -v shows what each decision changed");
  add_json_option(*verb, context);
  verb->require_subcommand(0, 1);
  CLI::App* check = verb->add_subcommand("verify", "Find lines that were changed, removed, moved or cut off");
  check->add_option("SLUG", *slug, "One bottle; all without it. Exit 1: it is not what was written");
  add_json_option(*check, context);
  verb->callback([&context, slug, check] {
    if (check->parsed())
      context.action = [&context, slug] { return verify(context, *slug); };
    else
      context.action = [&context, slug] { return show(context, *slug); };
  });
}

}  // namespace bot_bottle::cli
