#include "sidecar/git_gate/gate.hpp"

#include <utility>

#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "sidecar/git_gate/connection.hpp"

namespace bot_bottle::git_gate {
namespace {

constexpr const char* pin_behind_proxy = "`hosts` cannot pin an address behind egress.upstream_proxy";

struct HeldPush final : net::Retirable {
  explicit HeldPush(std::shared_ptr<Push> the_push) : push(std::move(the_push)) {}
  std::shared_ptr<Push> push;
};

}  // namespace

Gate::Gate(const GateParts& parts, const policy::GitGate& config)
    : house_{.loop = parts.loop,
             .log = parts.log,
             .secrets = parts.secrets,
             .egress = parts.egress,
             .rules = parts.rules,
             .known_secrets = parts.known_secrets,
             .journal = parts.journal,
             .proposal_wait = std::chrono::milliseconds(config.proposal_wait_ms),
             .agent_asks = parts.agent_asks,
             .proxy_token_ref = parts.upstream_proxy ? parts.upstream_proxy->token_ref : std::string(),
             .bounds = {}} {}

Gate::~Gate() {
  listener_.close();
  connections_.clear();
  pushes_.clear();
  for (const auto& [name, repository] : repositories_) repository->workshop().wipe_key();
}

Result<std::unique_ptr<Gate>> Gate::create(const GateParts& parts, const policy::GitGate& config,
                                           const std::map<std::string, SecretBytes>& private_keys) {
  std::unique_ptr<Gate> gate(new Gate(parts, config));  // the constructor is private
  gate->surroundings_ = {.directory = parts.directory,
                         .programs = {},
                         .upstream_ca = parts.upstream_ca,
                         .upstream_proxy = parts.upstream_proxy};
  BB_TRY(gate->surroundings_.programs, Programs::find(config));
  for (const policy::GitRepo& repo : config.repos) {
    const auto key = private_keys.find(repo.name);
    const bool ssh = repo.upstream.transport == policy::GitUpstream::Transport::ssh;
    if (ssh && key == private_keys.end())
      return fail(ErrorKind::invalid_argument, "git_gate: repository '" + repo.name + "' has no private key");
    if (!ssh && parts.secrets.find(repo.token_ref) == nullptr)
      return fail(ErrorKind::invalid_argument, "git_gate: repository '" + repo.name + "' has no token");
    // A proxy resolves by itself; a pin that does not hold must not look as if it did.
    if (!ssh && parts.upstream_proxy && !repo.hosts.empty())
      return fail(ErrorKind::invalid_argument, "git_gate: repository '" + repo.name + "': " + pin_behind_proxy);
    BB_TRY(Workshop workshop,
           Workshop::create(gate->surroundings_, repo, ssh ? key->second.view() : std::string_view()));
    auto repository = std::make_unique<Repository>(gate->house_, std::move(workshop));
    if (!repo.scan.rules.empty()) {
      const dlp::OwnRules own{repo.scan.rules, repo.name + ": scan.config", dlp::OwnRules::For::files};
      BB_TRY(repository->own_rules, dlp::Rules::compile(parts.rules_directory, own));
    }
    gate->repositories_.emplace(repo.name, std::move(repository));
  }
  // What was approved in an earlier life holds; what was approved and not put into force is now (spec 06).
  const std::vector<supervise::Proposal> all = parts.journal.all();
  for (const supervise::Proposal& proposal : all) {
    if (proposal.kind != "git-allow") continue;
    if (proposal.state == supervise::State::applied) {
      BB_CHECK(gate->apply(proposal));
    } else if (proposal.state == supervise::State::approved || proposal.state == supervise::State::modified) {
      BB_CHECK(gate->apply(proposal));
      BB_CHECK(parts.journal.settle(proposal.id, std::nullopt));
    }
  }
  return gate;
}

Result<void> Gate::listen(const std::string& socket_path) {
  BB_TRY(listener_, net::Listener::listen_unix(house_.loop, socket_path, 0666,
                                               [this](net::Stream stream) { on_connection(std::move(stream)); }));
  return {};
}

Result<void> Gate::listen(const net::Address& address) {
  BB_TRY(listener_, net::Listener::listen_tcp(house_.loop, address,
                                              [this](net::Stream stream) { on_connection(std::move(stream)); }));
  return {};
}

void Gate::stop_listening() {
  listener_.close();
  std::vector<std::shared_ptr<Push>> all;
  for (const auto& [raw, push] : pushes_) all.push_back(push);
  for (const auto& push : all) push->end_waiting();
}

Repository* Gate::find(std::string_view name) {
  const auto found = repositories_.find(name);
  return found == repositories_.end() ? nullptr : found->second.get();
}

Result<void> Gate::apply(const supervise::Proposal& proposal) {
  const std::string repo = get_string(proposal.change, "repo");
  if (proposal.kind != "git-allow" || find(repo) == nullptr)
    return fail(ErrorKind::not_found, "this bottle's gate has no repository '" + repo + "'");
  for (std::string& fingerprint : get_strings(proposal.change, "fingerprints"))
    allowed_[repo].insert(std::move(fingerprint));
  return {};
}

void Gate::on_answer(const supervise::Proposal& proposal) {
  std::vector<std::shared_ptr<Push>> all;
  for (const auto& [raw, push] : pushes_) all.push_back(push);
  for (const auto& push : all) push->on_answer(proposal);
}

Push::Owner Gate::push_owner() {
  return {.allowed = [this](const std::string& repo) -> const Push::Allowed& { return allowed_[repo]; },
          .on_over =
              [this](Push* over) {
                const auto found = pushes_.find(over);
                if (found == pushes_.end()) return;
                house_.loop.retire(std::make_unique<HeldPush>(std::move(found->second)));
                pushes_.erase(found);
              }};
}

void Gate::start_push(std::shared_ptr<Push> push, Client* client) {
  Push* raw = push.get();
  pushes_.emplace(raw, std::move(push));
  raw->start(client);
}

std::filesystem::path Gate::make_quarantine(Repository& repository) {
  return repository.workshop().quarantine() / std::to_string(next_quarantine_++);
}

void Gate::remove(Connection* connection) {
  const auto found = connections_.find(connection);
  if (found == connections_.end()) return;
  house_.loop.retire(std::move(found->second));
  connections_.erase(found);
}

void Gate::on_connection(net::Stream stream) {
  if (connections_.size() >= house_.bounds.connections) return;  // closed unread
  auto connection = std::make_unique<Connection>(*this, std::move(stream));
  Connection* raw = connection.get();
  connections_.emplace(raw, std::move(connection));
}

}  // namespace bot_bottle::git_gate
