#include "core/manifest/env.hpp"

#include <algorithm>

#include "core/base/file.hpp"
#include "core/base/paths.hpp"
#include "core/base/text.hpp"
#include "core/manifest/document.hpp"
#include "core/manifest/scalars.hpp"

namespace bot_bottle::manifest {
namespace {

constexpr std::string_view no_answer = "has no answer";

/// The value of one dotenv line, or why it has none.
Result<std::string> dotenv_value(std::string_view text) {
  text = trim(text);
  if (text.empty() || (text[0] != '"' && text[0] != '\'')) {
    const std::size_t comment = text.starts_with('#') ? 0 : text.find(" #");
    return std::string(trim(text.substr(0, comment)));
  }
  const char quote = text[0];
  std::string value;
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == quote) {
      const std::string_view rest = trim(text.substr(i + 1));
      if (!rest.empty() && rest[0] != '#') return fail(ErrorKind::invalid_argument, "text after the closing quote");
      return value;
    }
    if (quote == '"' && text[i] == '\\' && i + 1 < text.size()) {
      switch (text[++i]) {
        case 'n':
          value += '\n';
          break;
        case 't':
          value += '\t';
          break;
        case 'r':
          value += '\r';
          break;
        case '"':
        case '\\':
        case '$':
          value += text[i];
          break;
        default:
          value += '\\';
          value += text[i];
      }
    } else {
      value += text[i];
    }
  }
  return fail(ErrorKind::invalid_argument, "the quote is not closed on its line");
}

}  // namespace

Result<std::vector<TemplatePart>> parse_template(std::string_view text) {
  std::vector<TemplatePart> parts;
  std::string literal;
  const std::string hint = "write ${NAME} or ${NAME:-default}; $${ is a literal ${";
  while (!text.empty()) {
    if (text.starts_with("$${")) {
      literal += "${";
      text.remove_prefix(3);
      continue;
    }
    if (!text.starts_with("${")) {
      literal += text[0];
      text.remove_prefix(1);
      continue;
    }
    const std::size_t end = text.find('}');
    if (end == std::string_view::npos) return fail(ErrorKind::invalid_argument, "'${' is not closed", hint);
    const std::string_view inside = text.substr(2, end - 2);
    text.remove_prefix(end + 1);
    const std::size_t colon = inside.find(":-");
    const std::string_view name = inside.substr(0, colon);
    if (!is_variable_name(name))
      return fail(ErrorKind::invalid_argument, in_quotes(name) + " is not a variable's name", hint);
    TemplatePart part{.kind = TemplatePart::Kind::variable, .text = std::string(name), .fallback = std::nullopt};
    if (colon != std::string_view::npos) {
      part.fallback = std::string(inside.substr(colon + 2));
      if (part.fallback->find("${") != std::string::npos)
        return fail(ErrorKind::invalid_argument, "a default cannot hold another '${'", hint);
    }
    if (!literal.empty())
      parts.push_back({.kind = TemplatePart::Kind::text, .text = std::move(literal), .fallback = std::nullopt});
    literal.clear();
    parts.push_back(std::move(part));
  }
  if (!literal.empty())
    parts.push_back({.kind = TemplatePart::Kind::text, .text = std::move(literal), .fallback = std::nullopt});
  return parts;
}

std::vector<std::string> missing_variables(const std::vector<TemplatePart>& parts) {
  std::vector<std::string> missing;
  for (const TemplatePart& part : parts)
    if (part.kind == TemplatePart::Kind::variable && !part.fallback && !environment(part.text) &&
        std::ranges::find(missing, part.text) == missing.end())
      missing.push_back(part.text);
  return missing;
}

std::string fill_template(const std::vector<TemplatePart>& parts) {
  std::string out;
  for (const TemplatePart& part : parts) {
    if (part.kind == TemplatePart::Kind::text) {
      out += part.text;
      continue;
    }
    const auto value = environment(part.text);
    // As in sh: ":-" also replaces an empty value.
    out += part.fallback && value.value_or("").empty() ? *part.fallback : value.value_or("");
  }
  return out;
}

bool looks_like_credential(std::string_view name) {
  const std::string upper = to_upper(name);
  return upper.ends_with("_KEY") || upper.ends_with("_TOKEN") || upper.ends_with("_SECRET") ||
         upper.find("PASSWORD") != std::string::npos;
}

Dotenv parse_dotenv(std::string_view text, const std::filesystem::path& file, Faults& faults) {
  Dotenv out;
  if (text.size() > max_file_bytes || text.find('\0') != std::string_view::npos || !is_valid_utf8(text)) {
    faults.error({file, 0, 0}, {}, "not a dotenv file", "UTF-8 text without NUL bytes, at most 1 MiB");
    return out;
  }
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  std::size_t number = 0;
  for (const std::string_view raw : split(text, '\n')) {
    const Place place{file, ++number, 1};
    std::string_view line = trim(raw);
    if (line.empty() || line[0] == '#') continue;
    if (line.starts_with("export ")) line = trim(line.substr(7));
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) {
      // The line is not shown: it may be a pasted secret.
      faults.error(place, {}, "not a NAME=value line");
      continue;
    }
    const std::string_view name = trim(line.substr(0, equals));
    if (!is_variable_name(name)) {
      faults.error(place, {}, "the text before '=' is not a variable's name");
      continue;
    }
    auto value = dotenv_value(line.substr(equals + 1));
    if (!value) {
      faults.error(place, std::string(name), value.error().message);
      continue;
    }
    if (looks_like_credential(name)) {
      if (std::ranges::find(out.skipped, name) == out.skipped.end()) out.skipped.emplace_back(name);
      continue;
    }
    out.values.insert_or_assign(std::string(name), std::move(*value));
  }
  return out;
}

ResolvedEnv resolve_env(const Manifest& manifest, const std::map<std::string, std::string>& answers,
                        const std::function<std::string(const std::string& name, const std::string& question)>& ask) {
  ResolvedEnv resolved;
  Faults faults;
  if (!manifest.env_file.empty()) {
    const auto place = manifest.provenance.find("env_file");
    if (const auto text = read_file(manifest.env_file, max_file_bytes)) {
      Dotenv dotenv = parse_dotenv(*text, manifest.env_file, faults);
      resolved.values = std::move(dotenv.values);
      resolved.skipped = std::move(dotenv.skipped);
    } else {
      faults.error(place == manifest.provenance.end() ? Place{} : place->second, "env_file", text.error().message,
                   text.error().hint);
    }
  }
  for (const auto& [name, entry] : manifest.env) {
    const std::string path = join_path("env", name);
    if (answers.contains(name)) continue;
    switch (entry.kind) {
      case EnvEntry::Kind::literal:
        resolved.values.insert_or_assign(name, entry.text);
        break;
      case EnvEntry::Kind::interpolated: {
        const auto parts = or_throw(parse_template(entry.text));
        for (const std::string& variable : missing_variables(parts))
          faults.error(entry.place, path, "the host variable " + variable + " is not set",
                       "export " + variable + ", or give a default: ${" + variable + ":-value}");
        resolved.values.insert_or_assign(name, fill_template(parts));
        break;
      }
      case EnvEntry::Kind::prompt:
        if (!ask) faults.error(entry.place, path, std::string(no_answer), "answer it with --env " + name + "=…");
        break;
    }
  }
  // Asked last, so that nobody types a secret before an error that was known all along.
  if (faults.has_errors()) {
    const std::vector<Fault> found = faults.take();
    // Nothing is wrong with the file when all that is missing are answers.
    if (std::ranges::all_of(found, [](const Fault& fault) { return fault.message == no_answer; })) {
      Error error = make_error(ErrorKind::invalid_argument, "the bottle asks, and nobody is there to answer");
      for (const auto& [name, entry] : manifest.env) {
        if (entry.kind != EnvEntry::Kind::prompt || answers.contains(name)) continue;
        error.details += (error.details.empty() ? "" : "\n") + name + ": " + entry.text;
        error.hint += (error.hint.empty() ? "answer with: " : " ") + ("--env " + name + "=…");
      }
      throw Failure(std::move(error));
    }
    throw_faults("the environment", found);
  }
  for (const auto& [name, entry] : manifest.env)
    if (entry.kind == EnvEntry::Kind::prompt && !answers.contains(name))
      resolved.values.insert_or_assign(name, ask(name, entry.text));
  for (const auto& [name, value] : answers) resolved.values.insert_or_assign(name, value);
  return resolved;
}

}  // namespace bot_bottle::manifest
