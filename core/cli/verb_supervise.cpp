// `supervise`: the operator's screen, and the same for scripts: what agents ask for, and answers.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <iterator>
#include <memory>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/terminal_text.hpp"
#include "core/cli/verbs.hpp"
#include "core/desk/answer.hpp"
#include "core/desk/ask.hpp"
#include "core/launch/approved_recipes.hpp"
#include "core/launch/backends.hpp"
#include "core/launch/control_client.hpp"
#include "core/launch/decisions.hpp"
#include "core/launch/removal.hpp"
#include "core/launch/test_hooks.hpp"
#include "core/plugins/registry.hpp"
#include "core/screen/screen.hpp"
#include "core/state/directory.hpp"

namespace bot_bottle::cli {
namespace {

constexpr auto look_time = std::chrono::seconds(5);
/// Applying may stop a bottle (capability-block).
constexpr auto answer_time = std::chrono::seconds(60);
constexpr std::size_t max_change_octets = std::size_t{1} << 20;
constexpr std::size_t most_of_a_text = 4000;
constexpr std::size_t most_of_a_line = 100;

enum class Verb : std::uint8_t { approve, reject, modify, answer };

struct SuperviseOptions {
  bool once = false;
  std::string id;
  std::string bottle;
  std::string hash;
  std::string reason;
  std::string text;
  std::string file;
  bool narrow_once = false;
  std::string narrow_time;
  std::string narrow_requests;
  std::string narrow_bytes;
};

std::string safe(std::string_view text, std::size_t most = 400) {
  return escape_untrusted(text, most);
}

std::vector<std::string> safe_lines(std::string_view text) {
  std::vector<std::string> lines;
  const std::string shown = escape_untrusted_lines(text, most_of_a_text);
  for (std::size_t begin = 0; begin <= shown.size();) {
    const std::size_t end = std::min(shown.find('\n', begin), shown.size());
    lines.push_back(shown.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

/// One text of a proposal, whole: what is approved by a script is what was printed. Cut into pieces behind marks of
/// ours, so that no terminal wraps it into something that looks like another line.
void put(const Context& context, std::string_view first, std::string_view next, std::string_view text,
         std::optional<Tone> tone = {}) {
  const std::string shown = escape_untrusted(text, 8 * max_change_octets);
  std::string_view rest = shown;
  std::string_view mark = first;
  do {
    std::size_t size = std::min(rest.size(), most_of_a_line);
    while (size < rest.size() && size > 0 && (static_cast<unsigned char>(rest[size]) & 0xC0U) == 0x80U) --size;
    const std::string line = std::string(mark) + std::string(rest.substr(0, size));
    context.out("  " + (tone ? context.paint(line, *tone) : line));
    rest.remove_prefix(size);
    mark = next;
  } while (!rest.empty());
}

/// What was computed first, what the agent says after it.
void show(const Context& context, const desk::Proposal& proposal) {
  context.out(
      fmt::format("{}  {}  {}  {}", proposal.id, safe(proposal.slug), safe(proposal.kind), safe(proposal.proposed_at)));
  for (const desk::Fact& fact : proposal.facts) put(context, safe(fact.label, 60) + ": ", "  > ", fact.text);
  if (!proposal.reason.empty()) context.out("  it was not applied: " + safe(proposal.reason));
  if (!proposal.justification.empty())
    for (const std::string& line : safe_lines(proposal.justification)) context.out("  the agent says: " + line);
  if (proposal.is_question())
    for (const std::string& line : safe_lines(get_string(proposal.change, "question")))
      context.out("  it asks: " + line);
  for (const std::string& choice : proposal.choices) context.out("  one choice: " + safe(choice));
  for (const desk::DiffLine& line : desk::diff_lines(proposal.before, proposal.after)) {
    using Kind = desk::DiffLine::Kind;
    switch (line.kind) {
      case Kind::added:
        put(context, "+ ", "+>", line.text, Tone::good);
        break;
      case Kind::removed:
        put(context, "- ", "->", line.text, Tone::bad);
        break;
      case Kind::same:
        put(context, "  ", " >", line.text);
        break;
      case Kind::hunk:
        break;
    }
  }
}

int list_once(Context& context) {
  const desk::AllPending all = desk::ask_pending(context.home(), look_time);
  for (const std::string& complaint : all.complaints) context.warn(complaint);
  if (context.output.json) {
    json::array out;
    for (const desk::Pending& one : all.pending) out.push_back(one.proposal.document);
    context.print_json(
        {{"schema", "bot-bottle.proposals/1"}, {"proposals", std::move(out)}, {"stop_due", to_array(all.stop_due)}});
    return 0;
  }
  for (const std::string& slug : all.stop_due)
    context.warn(
        fmt::format("{0} runs on, though a new image was approved: bot-bottle stop {0}, then resume {0}", slug));
  if (all.pending.empty()) context.note("nothing is asked");
  for (const desk::Pending& one : all.pending) show(context, one.proposal);
  if (!all.pending.empty()) context.note("answer: bot-bottle supervise approve ID, or reject ID --reason TEXT");
  return 0;
}

desk::Narrow read_narrow(const SuperviseOptions& options) {
  desk::Narrow narrow;
  int given = 0;
  narrow.once = options.narrow_once;
  given += narrow.once ? 1 : 0;
  const auto read = [&given](const std::string& text, const char* option, const char* example, auto parse,
                             std::uint64_t& value) {
    if (text.empty()) return;
    ++given;
    const auto parsed = parse(text);
    if (!parsed)
      throw Failure(make_error(ErrorKind::usage, fmt::format("{}: '{}' cannot be read", option, text),
                               fmt::format("{} {}", option, example)));
    value = *parsed;
  };
  read(options.narrow_time, "--for", "10m", desk::parse_seconds, narrow.seconds);
  read(options.narrow_requests, "--requests", "5", desk::parse_count, narrow.requests);
  read(options.narrow_bytes, "--bytes", "1MiB", desk::parse_bytes, narrow.bytes);
  if (given > 1)
    throw Failure(make_error(ErrorKind::usage,
                             "an approval is narrowed in one way: --once, --for, --requests or --bytes",
                             "bot-bottle supervise approve --help"));
  return narrow;
}

json::object read_change(const std::string& file) {
  std::string text;
  if (file == "-")
    text.assign(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
  else
    text = or_throw(read_file(file, max_change_octets));
  return or_throw<json::object>(desk::from_editable(text).map_error(in(file == "-" ? "standard input" : file)));
}

desk::Answer make_answer(const SuperviseOptions& options, Verb verb, const desk::Proposal& proposal) {
  desk::Answer answer;
  // The hash of what was just shown, or looked at before: if it is something else by now, the sidecar refuses (K3).
  answer.hash = options.hash.empty() ? proposal.hash : options.hash;
  answer.reason = options.reason;
  if (verb == Verb::reject) {
    answer.decision = desk::Answer::Decision::reject;
    return answer;
  }
  if (proposal.is_question() != (verb == Verb::answer))
    throw Failure(make_error(ErrorKind::usage,
                             proposal.is_question() ? "'" + proposal.id + "' is a question: it needs an answer's text"
                                                    : "'" + proposal.id + "' is no question",
                             proposal.is_question() ? "bot-bottle supervise answer " + proposal.id + " TEXT"
                                                    : "bot-bottle supervise approve " + proposal.id));
  if (verb == Verb::answer) answer.text = answer.reason = options.text;  // the reason is what the audit has
  if (verb == Verb::modify) {
    answer.decision = desk::Answer::Decision::modify;
    answer.change = read_change(options.file);
  }
  answer.narrow = read_narrow(options);
  return answer;
}

/// An approved capability change is built by the next resume: the bottle ends, and its state is kept.
void stop_for_resume(Context& context, const std::string& slug) {
  launch::stop_bottle(launch::Backends::of(context.registry()), context.home(), slug, launch::AfterStop::preserve,
                      [&context](std::string_view text) { context.warn(text); });
  context.note("stopped " + slug + "; with the change: bot-bottle resume " + slug);
}

int answer(Context& context, const SuperviseOptions& options, Verb verb) {
  [[maybe_unused]] const desk::Narrow checked = read_narrow(options);  // before anything is asked
  const desk::Pending pending = desk::find_pending(context.home(), options.id, options.bottle, look_time);
  const state::Directory directory = state::Directory::open(context.home(), pending.proposal.slug);
  const desk::Answer made = make_answer(options, verb, pending.proposal);
  if (!context.output.json) show(context, pending.proposal);
  // What cannot be recorded is not decided.
  [[maybe_unused]] const std::uint64_t recorded = launch::decisions_recorded(context.home(), directory);
  launch::act_on_step_hooks("answer-begin");
  if (made.decision != desk::Answer::Decision::reject && pending.proposal.kind == "capability-block")
    launch::record_approved_recipe(directory.path(), made.change.value_or(pending.proposal.change));
  json::object result;
  std::optional<Error> refused;
  try {
    result = launch::control_call(pending.socket, desk::to_request(made, pending.proposal.id, desk::operator_name()),
                                  answer_time);
  } catch (const Failure& failure) {
    refused = failure.error();
  }
  launch::act_on_step_hooks("answer-sent");
  try {
    launch::copy_decisions(context.home(), directory, look_time);
  } catch (const Failure& failure) {
    // It is in the bottle's journal, so the next look records it.
    context.warn("the decision is not in the audit yet: " + failure.error().message);
  }
  if (refused) {
    if (refused->hint.empty()) refused->hint = "bot-bottle supervise --once";
    throw Failure(std::move(*refused));
  }
  if (get_string(result, "then") == "stop") stop_for_resume(context, pending.proposal.slug);
  if (context.output.json) {
    result["schema"] = "bot-bottle.answer-result/1";
    context.print_json(result);
  }
  const std::string how = desk::describe(made.narrow);
  context.note(
      fmt::format("{}: {}{}", options.id, safe(get_string(result, "state")), how.empty() ? "" : " (" + how + ")"));
  return 0;
}

int open_screen(Context& context) {
  if (!context.stdin_is_terminal() || !context.stdout_is_terminal())
    throw Failure(
        make_error(ErrorKind::usage, "the screen of 'supervise' needs a terminal", "bot-bottle supervise --once"));
  return screen::run({.home = context.home(),
                      .program = context.installation().bin / "bot-bottle",
                      .color = context.output.color ? screen::Color::yes : screen::Color::no});
}

void add_narrow_options(CLI::App& verb, SuperviseOptions& options) {
  verb.add_flag("--once", options.narrow_once, "Only for the next request");
  verb.add_option("--for", options.narrow_time, "Only so long: 90s, 10m, 2h")->type_name("TIME");
  verb.add_option("--requests", options.narrow_requests, "Only so many requests")->type_name("N");
  verb.add_option("--bytes", options.narrow_bytes, "Only so much data: 512KiB, 1MiB")->type_name("SIZE");
}

}  // namespace

void add_supervise(CLI::App& app, Context& context) {
  CLI::App* verb = add_verb(app, "supervise", "See what agents ask for, and answer", "Everyday",
                            "bot-bottle supervise\nbot-bottle supervise --once\n"
                            "bot-bottle supervise approve k3x9p2ab --for 10m\n"
                            "bot-bottle supervise reject k3x9p2ab --reason 'use the test key'\n"
                            "bot-bottle supervise answer k3x9p2ab 'the blue one'");
  auto options = std::make_shared<SuperviseOptions>();
  verb->add_flag("--once", options->once, "Print what is pending and end");
  add_json_option(*verb, context);
  verb->require_subcommand(0, 1);
  const auto add = [&](const char* name, const char* summary, Verb which) {
    CLI::App* one = verb->add_subcommand(name, summary);
    one->add_option("ID", options->id, "Of the proposal")->required();
    one->add_option("--bottle", options->bottle, "Of this bottle alone")->type_name("SLUG");
    one->add_option("--hash", options->hash, "Only if it still is what has this hash (--once --json shows it)")
        ->type_name("HASH");
    add_json_option(*one, context);
    one->callback([&context, options, which] {
      context.action = [&context, options, which] { return answer(context, *options, which); };
    });
    return one;
  };
  CLI::App* approve = add("approve", "Let exactly this through", Verb::approve);
  add_narrow_options(*approve, *options);
  approve->add_option("--reason", options->reason, "The agent reads it")->type_name("TEXT");
  CLI::App* reject = add("reject", "Say no", Verb::reject);
  reject->add_option("--reason", options->reason, "The agent reads it")->type_name("TEXT");
  CLI::App* modify = add("modify", "Let something else through", Verb::modify);
  modify
      ->add_option("--file", options->file,
                   "The change as JSON ('-': standard input); --once --json shows what is asked")
      ->type_name("FILE")
      ->required();
  add_narrow_options(*modify, *options);
  modify->add_option("--reason", options->reason, "The agent reads it")->type_name("TEXT");
  CLI::App* reply = add("answer", "Answer a question (ask-operator)", Verb::answer);
  reply->add_option("TEXT", options->text, "The agent reads it")->required();
  verb->callback([&context, options, verb] {
    if (!verb->get_subcommands().empty()) return;  // its own callback came before
    context.action = [&context, options] { return options->once ? list_once(context) : open_screen(context); };
  });
}

}  // namespace bot_bottle::cli
