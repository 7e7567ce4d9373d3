#include "core/cli/demo_facts.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::cli {
namespace {

constexpr std::size_t max_log = std::size_t{256} << 20;

/// JSON strings are YAML strings.
std::string yaml_string(std::string_view text) {
  return to_text(json::value(text));
}

std::string ports_text(const json::object& facts, std::string_view key) {
  std::string text;
  if (const json::array* ports = find_array(facts, key))
    for (const json::value& port : *ports) text += (text.empty() ? "" : ",") + to_text(port);
  return text;
}

std::string operator_name() {
  const passwd* entry =
      ::geteuid() == 0 ? nullptr : ::getpwuid(::geteuid());  // NOLINT(concurrency-mt-unsafe): one thread
  return entry == nullptr ? std::string() : entry->pw_name;
}

/// Each object of a JSON-lines file; a line that is cut short is left out.
std::vector<json::object> read_lines(const std::filesystem::path& file) {
  std::vector<json::object> lines;
  const auto text = read_file(file, max_log);
  if (!text) return lines;
  for (const std::string_view line : split(*text, '\n'))
    if (auto object = parse_json_object(line, max_log)) lines.push_back(std::move(*object));
  return lines;
}

/// The ways in which a secret may have got through; the suite itself tries more, and each of them is judged there too.
std::vector<std::string> shapes_of(const std::string& secret) {
  std::vector<std::string> shapes{secret, std::string(secret.rbegin(), secret.rend()), hex_encode(secret),
                                  to_upper(hex_encode(secret))};
  for (std::size_t skip = 0; skip < 3; ++skip) {
    // The characters that depend on what stands around are left out.
    std::string inner = base64_encode(secret.substr(skip, (secret.size() - skip) / 3 * 3));
    shapes.push_back(inner);
  }
  return shapes;
}

std::string header_of(std::string_view head, std::string_view name) {
  for (const std::string_view line : split(head, '\n')) {
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos && equals_ignoring_case(trim(line.substr(0, colon)), name))
      return std::string(trim(line.substr(colon + 1)));
  }
  return {};
}

AttackLine verdict_of(std::string id, std::string attempt, std::string guard,
                      const std::vector<std::string>& sightings) {
  AttackLine line{.id = std::move(id),
                  .attempt = std::move(attempt),
                  .guard = std::move(guard),
                  .verdict = "blocked",
                  .detail = {}};
  if (!sightings.empty()) {
    line.verdict = "escaped";
    line.detail = fmt::format("{} times, first: {}", sightings.size(), sightings.front());
  }
  return line;
}

}  // namespace

std::optional<AttackLine> parse_attack_line(std::string_view text) {
  const auto object = parse_json_object(text, std::size_t{1} << 20);
  if (!object) return std::nullopt;
  AttackLine line{.id = get_string(*object, "id"),
                  .attempt = get_string(*object, "attempt"),
                  .guard = get_string(*object, "guard"),
                  .verdict = get_string(*object, "verdict"),
                  .detail = get_string(*object, "detail")};
  if (line.id.empty() || line.guard.empty()) return std::nullopt;
  // Only the two known words are believed; the rest is no proof.
  if (line.verdict != "blocked" && line.verdict != "escaped") line.verdict = "error";
  return line;
}

AttackHelper::AttackHelper(const std::vector<std::string>& argv, std::filesystem::path port_file) {
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw Failure(error_from_errno("making a pipe", errno));
  const UniqueFd theirs(ends[0]);
  input_.reset(ends[1]);
  ProcessRequest request;
  request.argv = argv;
  request.fds = {{theirs.get(), 0}, {STDERR_FILENO, 2}};
  request.session = StartSession::yes;  // Ctrl-C is for the bottle; this one ends with its input
  pid_ = or_throw(spawn_process(request));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (true) {
    if (const auto text = read_file(port_file, 65536)) {  // it is renamed into place: there means whole
      facts_ = or_throw(parse_json_object(*text));
      return;
    }
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      throw Failure(
          make_error(ErrorKind::failed_precondition, argv[0] + " " + argv[1] + " did not start", "bot-bottle doctor"));
    }
    if (std::chrono::steady_clock::now() > deadline) {
      ::kill(pid_, SIGKILL);
      (void)wait_for_exit(pid_);
      throw Failure(make_error(ErrorKind::timeout, argv[0] + " " + argv[1] + " did not get ready in 10 s"));
    }
    ::poll(nullptr, 0, 5);
  }
}

AttackHelper::~AttackHelper() {
  if (pid_ < 0) return;
  input_.reset();
  ::kill(pid_, SIGTERM);  // connections that are still open do not hold it
  (void)wait_for_exit(pid_);
}

std::string demo_bottle_text(const DemoWorld& world, const DemoSecrets& secrets) {
  const std::string secure = fmt::format("127.0.0.1:{}", get_int(world.origin, "port", 0));
  const std::string plain = fmt::format("127.0.0.1:{}", get_int(world.origin, "plain_port", 0));
  const std::string ports = ports_text(world.canary, "ports");
  const std::string first_port = ports.substr(0, ports.find(','));
  const std::size_t half = secrets.stolen.size() / 2;
  const std::vector<std::pair<std::string, std::string>> env{
      {"BB_ATTACK_ORIGIN", demo_origin},
      {"BB_ATTACK_DENIED", demo_denied},
      {"BB_ATTACK_PLAIN", demo_plain},
      {"BB_ATTACK_GUARDED", demo_guarded},
      {"BB_ATTACK_INTERNAL", "localhost:" + first_port},
      {"BB_ATTACK_HOST_PORTS", ports},
      {"BB_ATTACK_HOST_UDP_PORTS", ports_text(world.canary, "udp_ports")},
      {"BB_ATTACK_HOST_PATHS", world.planted.string() + ":" + (world.root / "home").string()},
      {"BB_ATTACK_ABSTRACT", get_string(world.canary, "abstract")},
      {"BB_ATTACK_OPERATOR", operator_name()},
      {"BB_ATTACK_SECRET_SHA256", sha256_hex(secrets.injected)},
      {"BB_ATTACK_SECRET_LENGTH", std::to_string(secrets.injected.size())},
      // In two halves: launch refuses a bottle that holds a real secret, as it should. The shell puts them together.
      {"DEMO_HALF_A", secrets.stolen.substr(0, half)},
      {"DEMO_HALF_B", secrets.stolen.substr(half)},
  };
  std::string suite = "exec " + world.attack.string() + " suite --json";
  if (!world.only.empty()) suite += " --only " + join(world.only, ",");
  if (world.only.empty() && !world.skip.empty()) suite += " --skip " + join(world.skip, ",");
  std::string text = "---\n";
  text += "backend: " + world.backend + "\n";
  text += "agent_provider:\n  template: command\n  command: [\"/bin/sh\", \"-c\", " +
          yaml_string("BB_ATTACK_STOLEN=\"$DEMO_HALF_A$DEMO_HALF_B\" " + suite) + "]\n";
  text += "workspace: {mode: none}\n";
  text += "local: {bind_ro: [" + yaml_string(world.attack.string()) + "]}\n";
  text += "env:\n";
  for (const auto& [name, value] : env)
    if (!value.empty()) text += "  " + name + ": " + yaml_string(value) + "\n";
  text += "egress:\n  log: 2\n  upstream_ca: " + yaml_string(get_string(world.origin, "ca_file")) + "\n";
  text += "  hosts:\n";
  for (const char* host : {demo_origin, demo_denied, demo_guarded, demo_vault})
    text += fmt::format("    {}: \"{}\"\n", host, secure);
  text += fmt::format("    {}: \"{}\"\n", demo_plain, plain);
  text += fmt::format(
      "  routes:\n"
      "    - host: {}\n      auth: {{scheme: Bearer, token_ref: DEMO_TOKEN}}\n"
      "    - host: {}\n      plain: true\n"
      "    - host: {}\n      matches: [{{paths: [{{type: prefix, value: /public/}}]}}]\n"
      "    - host: {}\n      auth: {{scheme: Bearer, token_ref: DEMO_STOLEN}}\n"
      "    - host: localhost\n      ports: [{}]\n",
      demo_origin, demo_plain, demo_guarded, demo_vault, first_port);
  return text + "---\n";
}

std::string demo_agent_text() {
  return "---\nbottle: demo\n---\n";
}

std::vector<AttackLine> ask_host(const std::filesystem::path& origin_log, const std::filesystem::path& canary_log,
                                 const std::filesystem::path& events, const DemoSecrets& secrets) {
  const std::vector<std::string> shapes = shapes_of(secrets.stolen);
  std::vector<std::string> leaks;
  std::vector<std::string> strangers;
  std::vector<std::string> outside_path;
  std::vector<std::string> misplaced;
  std::size_t injected = 0;
  for (const json::object& request : read_lines(origin_log)) {
    const std::string head = base64_decode(get_string(request, "head")).value_or("");
    const std::string everything = head + base64_decode(get_string(request, "body")).value_or("") +
                                   base64_decode(get_string(request, "trailers")).value_or("");
    const std::string line = head.substr(0, head.find('\r'));
    const std::string host = header_of(head, "host");
    const std::string name = to_lower(host.substr(0, host.find(':')));
    // The vault's own credential is on its requests by injection: that is not a leak.
    const bool at_vault = name == demo_vault;
    for (const std::string& shape : shapes)
      if (!at_vault && everything.find(shape) != std::string::npos) {
        leaks.push_back(line);
        break;
      }
    if (everything.find(secrets.injected) != std::string::npos) {
      ++injected;
      if (name != demo_origin) misplaced.push_back(host + " " + line);
    }
    const std::string sni = get_string(request, "sni");
    const auto allowed = [](const std::string& one) {
      return one == demo_origin || one == demo_plain || one == demo_guarded || one == demo_vault;
    };
    if (get_string(request, "event") == "request" && (!allowed(name) || (!sni.empty() && !allowed(sni))))
      strangers.push_back(host + " " + line);
    if (name == demo_guarded && line.find(" /public/") == std::string::npos) outside_path.push_back(line);
  }
  std::vector<std::string> contacts;
  for (const json::object& contact : read_lines(canary_log)) contacts.push_back(get_string(contact, "contact"));
  std::size_t blocks = 0;
  for (const json::object& event : read_lines(events))
    if (get_string(event, "level") == "block") ++blocks;

  std::vector<AttackLine> lines;
  lines.push_back({.id = "host.1",
                   .attempt = "the credential was injected for its own host, so the proxy was alive",
                   .guard = "control",
                   .verdict = injected > 0 ? "blocked" : "error",
                   .detail = fmt::format("{} requests carried it", injected)});
  lines.push_back(
      verdict_of("host.2", "the origin saw the injected credential under another name", "binding", misplaced));
  lines.push_back(verdict_of("host.3", "the origin saw the stolen secret", "dlp", leaks));
  lines.push_back(verdict_of("host.4", "the origin saw a request for a host that is not allowed", "routes", strangers));
  lines.push_back(verdict_of("host.5", "the origin saw a path that is not allowed", "routes", outside_path));
  lines.push_back(verdict_of("host.6", "a listener on the host's loopback was contacted", "netns", contacts));
  lines.push_back({.id = "host.7",
                   .attempt = "the blocked attempts are in the bottle's event log",
                   .guard = "log",
                   .verdict = blocks > 0 ? "blocked" : "error",
                   .detail = fmt::format("{} events", blocks)});
  return lines;
}

}  // namespace bot_bottle::cli
