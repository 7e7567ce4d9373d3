// Pushes on their way in: the commands are read, the pack goes to the quarantine as it comes, and a Push takes over.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/base/file.hpp"
#include "sidecar/git_gate/exchanges.hpp"
#include "sidecar/git_gate/gate.hpp"
#include "sidecar/git_gate/pkt_line.hpp"

namespace bot_bottle::git_gate {
namespace {

constexpr std::string_view result_type = "application/x-git-receive-pack-result";

class ReceiveExchange final : public Exchange {
 public:
  ReceiveExchange(Gate& gate, Client& client, Repository& repository)
      : gate_(gate), client_(client), repository_(repository) {}
  ReceiveExchange(const ReceiveExchange&) = delete;
  ReceiveExchange& operator=(const ReceiveExchange&) = delete;
  ~ReceiveExchange() override {
    if (const auto push = push_.lock())
      push->client_gone();
    else if (!directory_.empty())
      (void)remove_tree(directory_);
  }

  void on_body(std::string_view bytes) override {
    if (over_) return;
    if (reading_ != ReceiveRequestReader::Reading::complete) {
      reading_ = reader_.feed(bytes);
      if (reading_ == ReceiveRequestReader::Reading::bad) {
        give_up(reader_.error().message, reader_.error().hint);
        return;
      }
      if (reading_ != ReceiveRequestReader::Reading::complete) return;
      begin_pack();
      store(reader_.take_rest());
      return;
    }
    store(bytes);
  }

  void on_body_end() override {
    if (over_) return;
    if (reading_ != ReceiveRequestReader::Reading::complete) {
      give_up("the request ends in the middle of its commands", {});
      return;
    }
    if (reader_.request().empty) {
      // A client's question whether it may begin, before a large push.
      client_.begin(result_type);
      client_.end();
      return;
    }
    const std::uint64_t most = repository_.repo().max_push_bytes;
    if (octets_ > most) {
      give_up(fmt::format("the push is larger than max_push_size ({} MiB)", most >> 20U), "push it in parts");
      return;
    }
    if (!fault_.empty()) {
      give_up(fault_, {});
      return;
    }
    pack_.reset();
    PushTask task;
    task.workshop = &repository_.workshop();
    task.directory = std::exchange(directory_, {});
    task.request = reader_.request();
    task.pack_octets = octets_;
    auto push = std::make_shared<Push>(gate_.house(), repository_, gate_.push_owner(), std::move(task));
    push_ = push;
    over_ = true;
    gate_.start_push(std::move(push), &client_);
  }

  void on_drained() override {}

 private:
  void begin_pack() {
    if (reader_.request().empty) return;
    if (gate_.house().pushes >= gate_.house().bounds.pushes) {
      client_.refuse(503, "git-gate: too many pushes at a time; try again\n");
      over_ = true;
      return;
    }
    directory_ = gate_.make_quarantine(repository_);
    const auto made = make_directories(directory_);
    pack_.reset(
        ::open((directory_ / "incoming.pack").c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!made || !pack_) fault_ = "the push cannot be stored";
  }

  /// What is too much is read and dropped, so that the client hears why.
  void store(std::string_view bytes) {
    octets_ += bytes.size();
    if (octets_ > repository_.repo().max_push_bytes || !fault_.empty() || bytes.empty() || !pack_) return;
    if (!write_all(pack_.get(), bytes)) fault_ = "the push cannot be stored: the disk is full";
  }

  /// A report as receive-pack writes it, for a push that never was one.
  void give_up(std::string_view message, std::string_view hint) {
    over_ = true;
    log_event(gate_.house(), {.event = "push_refused",
                              .level = egress::Level::block,
                              .host = repository_.repo().upstream.host,
                              .repo = repository_.repo().name,
                              .reason = message});
    const ReceiveRequest& request = reader_.request();
    if (!request.report_status || !request.side_band || request.updates.empty()) {
      client_.refuse(400, fmt::format("git-gate: {}{}{}\n", message, hint.empty() ? "" : "; ", hint));
      return;
    }
    std::string lines;
    write_pkt(lines, fmt::format("unpack {}\n", message));
    for (const RefUpdate& update : request.updates) write_pkt(lines, fmt::format("ng {} {}\n", update.name, message));
    write_flush(lines);
    std::string out;
    write_band(out, 2, fmt::format("git-gate: {}{}{}\n", message, hint.empty() ? "" : "; ", hint));
    write_band(out, 1, lines);
    write_flush(out);
    client_.begin(result_type);
    client_.write(out);
    client_.end();
  }

  Gate& gate_;
  Client& client_;
  Repository& repository_;
  ReceiveRequestReader reader_;
  ReceiveRequestReader::Reading reading_ = ReceiveRequestReader::Reading::need_more;
  std::filesystem::path directory_;
  UniqueFd pack_;
  std::uint64_t octets_ = 0;
  std::string fault_;
  bool over_ = false;
  std::weak_ptr<Push> push_;
};

}  // namespace

std::unique_ptr<Exchange> make_receive_exchange(Gate& gate, Client& client, Repository& repository) {
  return std::make_unique<ReceiveExchange>(gate, client, repository);
}

}  // namespace bot_bottle::git_gate
