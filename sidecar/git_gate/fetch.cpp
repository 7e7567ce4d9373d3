// Fetches: the refs, fresh from the upstream, and upload-pack on the mirror.
#include <fmt/format.h>

#include <utility>

#include "sidecar/git_gate/child.hpp"
#include "sidecar/git_gate/exchanges.hpp"
#include "sidecar/git_gate/gate.hpp"
#include "sidecar/git_gate/pkt_line.hpp"
#include "sidecar/git_gate/upstream.hpp"

namespace bot_bottle::git_gate {
namespace {

/// An answer that git takes for "fatal: remote error: …", whatever the version of its protocol.
std::string error_packet(const Error& error, const GateHouse& house) {
  std::string out;
  std::string text = "git-gate: " + error.message;
  if (!error.hint.empty()) text += "; " + error.hint;
  write_pkt(out, "ERR " + house.redact(text));
  return out;
}

std::string service_header(Service service) {
  std::string out;
  write_pkt(out, service == Service::upload_pack ? "# service=git-upload-pack\n" : "# service=git-receive-pack\n");
  write_flush(out);
  return out;
}

std::string_view advertisement_type(Service service) {
  return service == Service::upload_pack ? "application/x-git-upload-pack-advertisement"
                                         : "application/x-git-receive-pack-advertisement";
}

/// A git whose output is the answer. Ends the answer, or cuts it where git failed in the middle of it.
class ServedGit final : public net::StreamHandler {
 public:
  ServedGit(GateHouse& house, Client& client, std::string_view type) : house_(house), client_(client), type_(type) {
    ++house_.children;
  }
  ServedGit(const ServedGit&) = delete;
  ServedGit& operator=(const ServedGit&) = delete;
  ~ServedGit() override { --house_.children; }

  Result<void> start(ProcessRequest request, std::string prefix) {
    prefix_ = std::move(prefix);
    BB_TRY(child_, Child::start(house_.loop, std::move(request), [this](int code) {
             code_ = code;
             try_end();
           }));
    child_->stream().set_handler(this);
    child_->stream().start_reading();
    return {};
  }
  void write(std::string_view bytes) {
    std::string copy(bytes);
    // git may have ended with an error before it had read all: its exit code tells.
    if (child_->stream().write(copy) != 0) return;
    if (child_->stream().unsent() > house_.bounds.high_water) client_.pause_body();
  }
  void finish_input() { child_->stream().finish(); }
  void on_client_drained() {
    if (paused_ && client_.unsent() < house_.bounds.high_water) {
      paused_ = false;
      child_->stream().start_reading();
    }
  }

  void on_bytes(std::string_view bytes) override {
    if (!client_.has_begun()) {
      client_.begin(type_);
      client_.write(prefix_);
    }
    client_.write(bytes);
    if (client_.unsent() > house_.bounds.high_water) {
      paused_ = true;
      child_->stream().stop_reading();
    }
  }
  void on_end() override {
    ended_ = true;
    try_end();
  }
  void on_failure(int /*code*/) override {
    ended_ = true;
    try_end();
  }
  void on_drained() override { client_.resume_body(); }

 private:
  void try_end() {
    if (!ended_ || !code_) return;
    if (*code_ == 0) {
      if (!client_.has_begun()) {
        client_.begin(type_);
        client_.write(prefix_);
      }
      client_.end();
    } else if (client_.has_begun()) {
      client_.abort();
    } else {
      client_.refuse(500, "git-gate: " + house_.redact(last_words(child_->errors())) + "\n");
    }
  }

  GateHouse& house_;
  Client& client_;
  std::string type_;
  std::string prefix_;
  std::unique_ptr<Child> child_;
  std::optional<int> code_;
  bool ended_ = false;
  bool paused_ = false;
};

ProcessRequest upload_pack(const Repository& repository, const std::string& protocol, bool advertise) {
  Workshop::Environment environment = repository.workshop().local_environment();
  if (!protocol.empty()) environment["GIT_PROTOCOL"] = protocol;
  std::vector<std::string> arguments{"upload-pack", "--strict", "--stateless-rpc"};
  if (advertise) arguments.emplace_back("--advertise-refs");
  arguments.push_back(repository.workshop().mirror().string());
  return repository.workshop().request(std::move(arguments), std::move(environment));
}

class RefsExchange final : public Exchange {
 public:
  RefsExchange(Gate& gate, Client& client, Repository& repository, Service service, std::string protocol)
      : gate_(gate), client_(client), repository_(repository), service_(service), protocol_(std::move(protocol)) {}

  void on_body(std::string_view /*bytes*/) override {}
  void on_body_end() override {
    repository_.fresh(alive_, [this](const Error* fault) { on_fresh(fault); });
  }
  void on_drained() override {
    if (git_) git_->on_client_drained();
  }

 private:
  void on_fresh(const Error* fault) {
    if (fault != nullptr) {
      client_.begin(advertisement_type(service_));
      client_.write(service_header(service_) + error_packet(*fault, gate_.house()));
      client_.end();
    } else if (service_ == Service::receive_pack) {
      advertise_receive();
    } else if (gate_.house().children >= gate_.house().bounds.children) {
      client_.refuse(503, "git-gate: too many fetches at a time; try again\n");
    } else {
      git_ = std::make_unique<ServedGit>(gate_.house(), client_, advertisement_type(service_));
      const auto started = git_->start(upload_pack(repository_, protocol_, true), service_header(service_));
      if (!started) client_.refuse(500, "git-gate: " + started.error().message + "\n");
    }
  }

  /// Ours, not receive-pack's: the upstream's refs, and the few things that a push through here can do.
  void advertise_receive() {
    std::string out = service_header(service_);
    std::string capabilities("\0", 1);
    capabilities += "report-status delete-refs side-band-64k quiet atomic ofs-delta object-format=sha1 agent=git-gate";
    for (const auto& [name, oid] : *repository_.refs())
      write_pkt(out, oid + " " + name + std::exchange(capabilities, {}) + "\n");
    if (!capabilities.empty())
      write_pkt(out, std::string(zero_oid) + " capabilities^{}" + std::exchange(capabilities, {}) + "\n");
    write_flush(out);
    client_.begin(advertisement_type(service_));
    client_.write(out);
    client_.end();
  }

  Gate& gate_;
  Client& client_;
  Repository& repository_;
  Service service_;
  std::string protocol_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
  std::unique_ptr<ServedGit> git_;
};

class FetchExchange final : public Exchange {
 public:
  FetchExchange(Gate& gate, Client& client, Repository& repository, std::string protocol)
      : gate_(gate), client_(client), repository_(repository), protocol_(std::move(protocol)) {}

  void on_body(std::string_view bytes) override {
    octets_ += bytes.size();
    if (octets_ > gate_.house().bounds.request_octets) {
      client_.refuse(413, "git-gate: the request is larger than 32 MiB\n");
      return;
    }
    if (git_) {
      git_->write(bytes);
      return;
    }
    held_.append(bytes);
    if (!asked_ && held_.size() >= first_line) ask();
  }
  void on_body_end() override {
    ended_ = true;
    if (git_)
      git_->finish_input();
    else if (!asked_)
      ask();
  }
  void on_drained() override {
    if (git_) git_->on_client_drained();
  }

 private:
  // "0014command=ls-refs\n": version 2 lists refs in a request of its own, which must be as fresh as the first one.
  static constexpr std::size_t first_line = 20;

  void ask() {
    asked_ = true;
    const bool lists = held_.find("command=ls-refs") != std::string::npos;
    if (!lists && repository_.was_refreshed()) {
      start();
      return;
    }
    client_.pause_body();
    repository_.fresh(alive_, [this](const Error* fault) {
      if (fault != nullptr) {
        client_.begin("application/x-git-upload-pack-result");
        client_.write(error_packet(*fault, gate_.house()));
        client_.end();
        return;
      }
      start();
      client_.resume_body();
    });
  }

  void start() {
    if (gate_.house().children >= gate_.house().bounds.children) {
      client_.refuse(503, "git-gate: too many fetches at a time; try again\n");
      return;
    }
    auto git = std::make_unique<ServedGit>(gate_.house(), client_, "application/x-git-upload-pack-result");
    const auto started = git->start(upload_pack(repository_, protocol_, false), {});
    if (!started) {
      client_.refuse(500, "git-gate: " + started.error().message + "\n");
      return;
    }
    git_ = std::move(git);
    git_->write(std::exchange(held_, {}));
    if (ended_) git_->finish_input();
  }

  Gate& gate_;
  Client& client_;
  Repository& repository_;
  std::string protocol_;
  std::string held_;
  std::size_t octets_ = 0;
  bool asked_ = false;
  bool ended_ = false;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
  std::unique_ptr<ServedGit> git_;
};

}  // namespace

std::unique_ptr<Exchange> make_refs_exchange(Gate& gate, Client& client, Repository& repository, Service service,
                                             std::string protocol) {
  return std::make_unique<RefsExchange>(gate, client, repository, service, std::move(protocol));
}

std::unique_ptr<Exchange> make_fetch_exchange(Gate& gate, Client& client, Repository& repository,
                                              std::string protocol) {
  return std::make_unique<FetchExchange>(gate, client, repository, std::move(protocol));
}

}  // namespace bot_bottle::git_gate
