#include "sidecar/control/sidecar.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>

#include "core/base/clock.hpp"
#include "core/base/file.hpp"
#include "core/base/paths.hpp"
#include "sidecar/control/memory.hpp"

namespace bot_bottle::sidecar {
namespace {

constexpr std::chrono::milliseconds end_step{20};
constexpr std::uint64_t end_patience_ms = 2000;
// Relative to the state directory, which is our working directory: a deep home must not exceed sun_path.
constexpr const char* egress_socket = "wire/egress.sock";
constexpr const char* gate_socket = "wire/git-gate.sock";
constexpr const char* supervise_socket = "wire/supervise.sock";
constexpr const char* report_socket = "wire/report.sock";
constexpr const char* control_socket = "control/control.sock";

/// What name lookups, TLS trust and libraries loaded late are read from.
std::vector<std::string> readable_paths(const Options& options) {
  std::vector<std::string> paths = {options.share.string(), "/etc",      "/usr",      "/lib",        "/lib64",
                                    "/run/systemd/resolve", "/run/nscd", "/dev/null", "/dev/urandom"};
  if (!options.rules_database.empty()) paths.push_back(options.rules_database.string());
  for (const char* name : {"SSL_CERT_FILE", "SSL_CERT_DIR"}) {
    if (auto value = environment(name)) paths.push_back(*value);
  }
  return paths;
}

}  // namespace

struct Sidecar::Signals {
  struct One {
    uv_signal_t signal{};
    Sidecar* owner = nullptr;
  };
  One* add(Sidecar& owner, int number) {
    One* one = new One;  // freed by the close callback
    one->owner = &owner;
    uv_signal_init(owner.loop_.raw(), &one->signal);
    one->signal.data = one;
    uv_signal_start(
        &one->signal,
        [](uv_signal_t* raw, int caught) {
          Sidecar* sidecar = static_cast<One*>(raw->data)->owner;
          const net::Loop::Turn turn(sidecar->loop_);
          sidecar->on_signal(caught);
        },
        number);
    uv_unref(reinterpret_cast<uv_handle_t*>(&one->signal));
    all.push_back(one);
    return one;
  }
  ~Signals() {
    for (One* one : all)
      uv_close(reinterpret_cast<uv_handle_t*>(&one->signal),
               [](uv_handle_t* raw) { delete static_cast<One*>(raw->data); });
  }
  std::vector<One*> all;
};

Sidecar::Sidecar() = default;

Sidecar::~Sidecar() {
  // Against the order of building; the loop goes last and waits for the handles to close.
  signals_.reset();
  end_timer_.reset();
  control_.reset();
  reports_.reset();
  supervise_.reset();
  desk_.reset();
  gate_.reset();
  proxy_.reset();
  if (log_) log_->flush();
}

Result<std::unique_ptr<Sidecar>> Sidecar::create(const Options& options, Config config) {
  std::unique_ptr<Sidecar> sidecar(new Sidecar);  // the constructor is private
  BB_CHECK(sidecar->build(options, std::move(config)));
  BB_CHECK(sidecar->listen());
  return sidecar;
}

Result<void> Sidecar::build(const Options& options, Config config) {
  started_at_ = format_time(now_ms());
  for (const char* name : {"egress", "wire", "control", "logs", "supervise"})
    BB_CHECK(make_directories(options.state / name));
  if (::chdir(options.state.c_str()) != 0) return fail(error_from_errno(options.state.string(), errno));

  log_.emplace(loop_, "logs/events.jsonl", config.log_level);
  BB_CHECK(log_->open());
  resolver_ = net::make_system_resolver(loop_);
  egress::House& house = house_.emplace(loop_, *log_, *resolver_);
  house.guards = config.guards;
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) house.bounds.fit_into(files.rlim_cur);
  house.secrets = std::move(config.secrets);
  const std::filesystem::path rules = options.share / "rules";
  const dlp::OwnRules own{config.egress.dlp_rules, "egress.dlp.rules"};
  if (options.rules_database.empty()) {
    BB_TRY(house.rules, dlp::Rules::compile(rules, own));
  } else {
    BB_TRY(house.rules, dlp::Rules::load(rules, options.rules_database, own));
  }
  std::vector<dlp::KnownSecret> known = house.secrets.known();
  const std::vector<dlp::KnownSecret> canaries = house.secrets.known_canaries();
  known.insert(known.end(), canaries.begin(), canaries.end());
  BB_TRY(house.known_secrets, dlp::KnownSecrets::create(known));
  house.has_canaries = !canaries.empty();
  house.freezes_on_canary = config.egress.on_canary == policy::OnCanary::freeze;
  // A reload may bring a route without known_secrets; without a secret both sets are one.
  if (house.secrets.empty() && house.has_canaries) house.canaries = house.known_secrets;
  if (!house.secrets.empty() && house.has_canaries) {
    BB_TRY(house.canaries, dlp::KnownSecrets::create(canaries));
  }
  house.fragments = std::make_unique<dlp::Fragments>(house.known_secrets, [this] { return loop_.now_ms(); });
  BB_TRY(house.no_secrets, dlp::KnownSecrets::create({}));
  // As with rules: none of them is a broken installation, never "nothing to look for".
  if (house.rules->injection() == nullptr)
    return fail(ErrorKind::failed_precondition, "there are no injection phrases in " + options.share.string(),
                "reinstall bot-bottle");
  log_->set_redact([&house](std::string_view text) { return house.redact(text); });
  BB_TRY(house.authority, tls::Authority::create(config.slug));
  const bool names = house.guards.is_on(egress::Guard::names);
  BB_TRY(house.server_tls,
         tls::ServerContext::create(names ? tls::ServerContext::NameCheck::on : tls::ServerContext::NameCheck::off));
  // Bad trust is found now and not in the first request; the store itself is loaded when it is needed.
  if (!config.egress.upstream_ca.empty()) BB_CHECK(tls::check_certificates(config.egress.upstream_ca));
  configured_ = config.egress;
  egress_address_ = options.egress_address ? options.egress_address : config.egress_address;
  report_address_ = options.report_address;
  BB_TRY(auto table, policy::RouteTable::create(std::move(config.egress)));
  proxy_.emplace(house);
  proxy_->use_routes(std::move(table));

  reports_.emplace(loop_, house);
  control_.emplace(
      loop_, config.control_peer_uids,
      [this](const std::string& name, const json::object& arguments, ControlServer::Reply reply) {
        if (name == "watch")
          desk_->watch(arguments, std::move(reply));
        else
          reply(call(name, arguments));
      },
      [this]() -> std::optional<std::string> {
        if (!configured_.metrics) return std::nullopt;
        return house_->metrics.text(house_->counters);
      });
  end_timer_.emplace(loop_, [this] { begin_end(); });
  signals_ = std::make_unique<Signals>();
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) signals_->add(*this, number);
  BB_TRY(journal_, supervise::Journal::open("supervise"));
#ifdef BB_TEST_HOOKS
  journal_->set_kill_point_for_test(config.kill_point);
#endif
  BB_CHECK(build_gate(options, config));
  BB_CHECK(build_desk(options, config));
  // From here on nothing outside our own directory can be written, and little read; git, ssh and a shell can be
  // executed where there is a gate, and nothing at all where there is none.
  Access access{.writable = {"."}, .readable = readable_paths(options), .executable = {}};
  if (gate_) access.executable = gate_->executables();
  BB_TRY(confinement_, confine(access));
  return {};
}

Result<void> Sidecar::build_gate(const Options& options, Config& config) {
  if (!config.git_gate || config.git_gate->repos.empty()) return {};
  gate_address_ = options.git_gate_address ? options.git_gate_address : config.git_gate_address;
  const std::filesystem::path directory = std::filesystem::absolute(options.state) / "git-gate";
  BB_CHECK(make_directories(directory));
  const git_gate::GateParts parts{
      .loop = loop_,
      .log = *log_,
      .secrets = house_->secrets,
      .egress = *house_,
      .rules = house_->rules,
      .known_secrets = house_->known_secrets,
      .journal = *journal_,
      .directory = directory,
      .rules_directory = options.share / "rules",
      .upstream_ca = configured_.upstream_ca,
      .upstream_proxy = configured_.upstream_proxy,
      .agent_asks = config.supervise.enabled ? git_gate::AgentAsks::yes : git_gate::AgentAsks::no};
  BB_TRY(gate_, git_gate::Gate::create(parts, *config.git_gate, config.git_keys));
  config.git_keys.clear();  // they are in their files now, and nowhere else
  return {};
}

Result<void> Sidecar::build_desk(const Options& options, Config& config) {
  supervise::GateHooks hooks;
  if (gate_) {
    hooks.apply = [this](const supervise::Proposal& proposal) { return gate_->apply(proposal); };
    hooks.on_answer = [this](const supervise::Proposal& proposal) { gate_->on_answer(proposal); };
  }
  desk_ = std::make_unique<supervise::Desk>(supervise::DeskParts{.loop = loop_,
                                                                 .house = *house_,
                                                                 .proxy = *proxy_,
                                                                 .journal = *journal_,
                                                                 .gate = std::move(hooks),
                                                                 .automatic = config.supervise.automatic});
  BB_CHECK(desk_->start(configured_));
  if (!config.supervise.enabled) return {};
  supervise_address_ = options.supervise_address ? options.supervise_address : config.supervise.address;
  supervise_ = std::make_unique<supervise::Server>(
      loop_, *desk_,
      supervise::ToolSettings{.discloses = config.supervise.discloses,
                              .builds_images = config.supervise.builds_images,
                              .capabilities = std::move(config.supervise.capabilities)});
  return {};
}

Result<void> Sidecar::listen() {
  if (egress_address_) {
    BB_CHECK(proxy_->listen(*egress_address_));
  } else {
    BB_CHECK(proxy_->listen(egress_socket));
  }
  if (gate_) {
    if (gate_address_) {
      BB_CHECK(gate_->listen(*gate_address_));
    } else {
      BB_CHECK(gate_->listen(gate_socket));
    }
  }
  if (supervise_ && supervise_address_) {
    BB_CHECK(supervise_->listen(*supervise_address_));
  } else if (supervise_) {
    BB_CHECK(supervise_->listen(supervise_socket));
  }
  if (report_address_) {
    BB_CHECK(reports_->listen(*report_address_));
  } else {
    BB_CHECK(reports_->listen(report_socket));
  }
  // Last: whoever finds it accepting finds everything ready.
  BB_CHECK(control_->listen(control_socket));
  return {};
}

void Sidecar::run() {
  settle_memory();
  loop_.run();
}

void Sidecar::on_signal(int number) {
  if (number != SIGHUP) {
    begin_end();
    return;
  }
  (void)call_reload();  // the event log says how it went
}

/// Requests under way may end; nothing new begins.
void Sidecar::begin_end() {
  if (ending_since_ms_ == 0) {
    ending_since_ms_ = loop_.now_ms() + 1;
    proxy_->stop_listening();
    if (gate_) gate_->stop_listening();
    if (supervise_) supervise_->stop_listening();
  }
  const bool late = loop_.now_ms() > ending_since_ms_ + end_patience_ms;
  const bool idle = house_->counters.open_exchanges == 0 && (!gate_ || gate_->open_pushes() == 0);
  if (idle || late) {
    log_->flush();
    loop_.stop();
    return;
  }
  end_timer_->set(end_step);
}

Result<json::object> Sidecar::call(const std::string& name, const json::object& arguments) {
  if (name == "status") return call_status();
  if (name == "routes") return call_routes();
  if (name == "reload") return call_reload();
  if (name == "check") return call_check(arguments);
  if (name == "metrics") return json::object{{"text", house_->metrics.text(house_->counters)}};
  if (name == "lift_freeze") return call_lift_freeze();
  if (name == "flush") {
    log_->flush();
    return json::object{};
  }
  if (name == "proposals") return desk_->list();
  if (name == "answer") return desk_->answer(arguments);
  if (name == "decisions") return desk_->decisions(arguments);
  if (name == "set-routes") return desk_->set_routes(arguments);
  if (name == "shutdown") {
    end_timer_->set(end_step);  // after the answer
    return json::object{};
  }
  return fail(ErrorKind::unsupported, fmt::format("there is no call '{}'", name),
              "status, routes, set-routes, reload, check, metrics, proposals, watch, answer, decisions, lift_freeze, "
              "flush, shutdown");
}

}  // namespace bot_bottle::sidecar
