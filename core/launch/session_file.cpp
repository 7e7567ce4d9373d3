#include "core/launch/session_file.hpp"

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/launch/test_hooks.hpp"

namespace bot_bottle::launch {
namespace {

constexpr std::chrono::seconds transcript_time{60};

}  // namespace

SessionFile make_session_file(const plan::Plan& plan, const std::map<std::string, std::string>& env) {
  SessionFile session;
  session.argv = get_strings(plan.provider_plan, "argv");
  session.resume_argv = get_strings(plan.provider_plan, "resume_argv");
  session.env = env;
  session.workspace = plan.guest.workspace;
  session.user = plan.guest.user;
  session.guest_home = plan.guest.home;
  session.title = plan.choices.label.empty() ? plan.name() : plan.choices.label + " (" + plan.name() + ")";
  session.color = plan.choices.color;
  if (const json::object* ui = find_object(plan.provider_plan, "ui")) {
    if (const std::string title = get_string(*ui, "title"); !title.empty()) session.title = title;
    if (const std::string color = get_string(*ui, "color"); !color.empty()) session.color = color;
  }
  session.transcript_paths = get_strings(plan.description, "state_paths");
  session.secret_names = plan.secret_names;
  session.has_history = plan.choices.has_history();
  return session;
}

void write_session_file(const state::Directory& directory, const SessionFile& session) {
  json::object env;
  for (const auto& [name, value] : session.env) env[name] = value;
  directory.write_document("session.json", {{"schema", "bot-bottle.session/1"},
                                            {"argv", to_array(session.argv)},
                                            {"resume_argv", to_array(session.resume_argv)},
                                            {"env", std::move(env)},
                                            {"workspace", session.workspace},
                                            {"user", session.user},
                                            {"guest_home", session.guest_home},
                                            {"title", session.title},
                                            {"color", session.color},
                                            {"transcript_paths", to_array(session.transcript_paths)},
                                            {"secret_names", to_array(session.secret_names)},
                                            {"has_history", session.has_history}});
}

SessionFile read_session_file(const state::Directory& directory) {
  const auto document = directory.find_document("session.json");
  if (!document)
    throw Failure(make_error(ErrorKind::failed_precondition,
                             "the bottle '" + directory.slug() + "' has not been launched to its end",
                             "bot-bottle list active"));
  SessionFile session;
  session.argv = get_strings(*document, "argv");
  session.resume_argv = get_strings(*document, "resume_argv");
  if (const json::object* env = find_object(*document, "env"))
    for (const auto& member : *env)
      if (member.value().is_string()) session.env[std::string(member.key())] = std::string(member.value().as_string());
  session.workspace = get_string(*document, "workspace");
  session.user = get_string(*document, "user", "agent");
  session.guest_home = get_string(*document, "guest_home", "/home/agent");
  session.title = get_string(*document, "title");
  session.color = get_string(*document, "color");
  session.transcript_paths = get_strings(*document, "transcript_paths");
  session.secret_names = get_strings(*document, "secret_names");
  session.has_history = get_bool(*document, "has_history", false);
  return session;
}

void collect_transcripts(plugins::Backend& backend, const json::object& bottle, const SessionFile& session,
                         const state::Directory& directory, const std::function<void(std::string_view)>& warn,
                         const Cancelling& cancelling) {
  const std::chrono::milliseconds time = patience(transcript_time);
  // One for all of them: the agent chooses how many bytes there are, and can stop the program that packs them.
  // Guarded by removal_test.cpp and an_agent_that_holds_its_transcript_back… of docker and smolvm.
  const CallLimit limit(time, cancelling);
  for (const std::string& path : session.transcript_paths) {
    // "/home/agent/.claude/projects" → transcript/.claude/projects
    std::filesystem::path relative =
        std::filesystem::path(path).lexically_normal().lexically_relative(session.guest_home);
    if (relative.empty() || *relative.begin() == "..")
      relative = std::filesystem::path(path).lexically_normal().relative_path();
    const std::filesystem::path destination = directory.path() / "transcript" / relative;
    try {
      // What an earlier session left is replaced: the tree is hostile, merging two of them is not worth a bug.
      or_throw(remove_tree(destination));
      or_throw(make_directories(destination.parent_path()));
      backend.copy_out(
          bottle,
          {{"schema", "bot-bottle.copy/1"}, {"source", path}, {"dest", destination.string()}, {"recursive", true}});
    } catch (const Failure& failure) {
      if (limit.has_passed()) {
        warn(fmt::format("the transcript {} was not saved, or only in part: the bottle did not give it within {:g} s",
                         path, std::chrono::duration<double>(time).count()));
        return;
      }
      if (failure.error().kind != ErrorKind::not_found)
        warn("the transcript " + path + " was not saved: " + failure.error().message);
    }
  }
}

}  // namespace bot_bottle::launch
