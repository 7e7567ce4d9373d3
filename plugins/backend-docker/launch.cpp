// build, start_sidecar and launch.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>

#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "core/base/safe_path.hpp"
#include "core/base/text.hpp"
#include "plugins/backend-docker/carry_over.hpp"
#include "plugins/backend-docker/container_start.hpp"
#include "plugins/backend-docker/containers.hpp"
#include "plugins/backend-docker/docker_backend.hpp"
#include "plugins/backend-docker/guest_stream.hpp"
#include "plugins/backend-docker/images.hpp"
#include "plugins/backend-docker/wire_network.hpp"
#include "plugins/backend-driven/guest_files.hpp"
#include "plugins/backend-driven/tar_text.hpp"
#include "plugins/backend-local/copy_progress.hpp"
#include "plugins/backend-local/layout.hpp"
#include "sidecar/guest/tree.hpp"

namespace bot_bottle::backend_docker {
namespace {

/// What the sidecar may write. The rest of the state is not there for it.
constexpr std::array<const char*, 5> sidecar_directories{"egress", "control", "logs", "git-gate", "supervise"};
constexpr std::size_t piece = std::size_t{1} << 20;

/// The network of a bottle whose own stack will take it as it is: made and sealed before anything of the agent's is
/// there.
void start_holder(Engine& engine, const sdk::Plan& plan, const WireNetwork& network) {
  if (const auto there = find_own(engine, plan.state_dir, "network"))
    engine.remove("/containers/" + there->id + "?force=1&v=1");
  const std::string holder =
      create_container(engine, resource_name(plan.state_dir, "network"), holder_container(plan, network));
  start_container(engine, holder, "the bottle's network");
  seal(engine, plan, network, holder);
}

/// Its own files only, and they may be hostile after an earlier run: nothing is followed.
void give_to_sidecar(const sdk::Plan& plan) {
  for (const char* name : sidecar_directories) {
    or_throw(make_directories(plan.state_dir + "/" + name, 0700));
    if (::geteuid() != 0) continue;
    const UniqueFd directory(
        ::open((plan.state_dir + "/" + name).c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory) throw Failure(error_from_errno("cannot open " + plan.state_dir + "/" + name, errno));
    or_throw(change_owner(directory.get(), static_cast<uid_t>(get_int(plan.data, "sidecar_uid", 0)),
                          static_cast<gid_t>(get_int(plan.data, "sidecar_gid", 0))));
  }
}

/// The operator's tree into a container that has not run yet.
void copy_workspace(Engine& engine, const sdk::Call& call, const sdk::Plan& plan, const std::string& home,
                    const std::string& container) {
  const std::string source = get_string(plan.data, "workspace_source");
  const UniqueFd root(::open(source.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) throw Failure(error_from_errno("cannot read the workspace " + source, errno));
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw Failure(error_from_errno("cannot make a pipe", errno));
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  std::string problem;
  bool packed = false;
  // Packing and sending are two ends of a pipe: neither waits for all of the other.
  std::thread packer([&] {
    guest::PackOptions options;
    options.owner = {static_cast<std::uint32_t>(get_int(plan.data, "uid", 1000)),
                     static_cast<std::uint32_t>(get_int(plan.data, "gid", 1000))};
    struct stat own {};
    // A workspace that holds our own home (cwd = ~) would copy the copy.
    if (::stat(home.c_str(), &own) == 0) options.skip.emplace_back(own.st_dev, own.st_ino);
    std::uint64_t entries = 0;
    std::uint64_t sent = 0;
    const auto tell = backend_local::copy_report(call, "copying the workspace");
    options.going = [&](std::uint64_t count) {
      tell(entries = count, sent);
      return !call.cancelled();
    };
    std::string pending;
    const auto sink = [&](std::string_view bytes) {
      pending += bytes;
      if (pending.size() < piece) return true;
      tell(entries, sent += pending.size());
      const bool written = write_all(write_end.get(), pending).has_value();
      pending.clear();
      return written;
    };
    packed = guest::pack_tree(root.get(), ".", "", options, sink, problem) && sink(guest::make_tar_end()) &&
             write_all(write_end.get(), pending).has_value();
    write_end.reset();
  });
  try {
    engine.send(
        "PUT", "/containers/" + container + "/archive?path=" + url_encoded(get_string(plan.data, "workspace_path")),
        [&]() -> std::optional<std::string> {
          std::string part(piece, '\0');
          const ssize_t got = ::read(read_end.get(), part.data(), part.size());
          if (got <= 0) return std::nullopt;
          part.resize(static_cast<std::size_t>(got));
          return part;
        },
        {}, build_patience);
  } catch (...) {
    read_end.reset();
    packer.join();
    throw;
  }
  read_end.reset();
  packer.join();
  call.check_cancelled();
  if (!packed)
    throw sdk::Error(sdk::Status::failed_precondition,
                     "the workspace could not be copied" + (problem.empty() ? "" : ": " + problem));
}

void put_archive(Engine& engine, const std::string& container, const std::string& path, std::string archive) {
  bool sent = false;
  engine.send("PUT", "/containers/" + container + "/archive?path=" + url_encoded(path),
              [&]() -> std::optional<std::string> {
                if (std::exchange(sent, true)) return std::nullopt;
                return std::move(archive);
              });
}

/// For mode mount: the tree's .git and its auto-run files read-only; a mount point that is missing is made and written
/// down.
void protect_workspace(const sdk::Plan& plan, json::object& data) {
  if (get_string(data, "workspace_mode") != "mount") return;
  const backend_local::MountProtection protection =
      or_throw(backend_local::protect_mounted_tree(get_string(data, "workspace_source"), true));
  or_throw(write_file_fast(plan.state_dir + "/backend/made.json", to_text(to_array(protection.made))));
  std::vector<std::string> paths;
  for (const std::string& path : protection.read_only)
    if (!path.starts_with(".git/") && path != ".git") paths.push_back(path);
  data["read_only"] = to_array(paths);
}

}  // namespace

void DockerBackend::build(const sdk::Call& call, const sdk::Plan& plan) {
  Engine& to = engine(call);
  const std::string libexec = host().path(call, "libexec");
  const json::object labels{{label_managed, "true"}, {label_version, get_string(plan.data, "version")}};
  const auto with = [&](const char* component) {
    json::object all = labels;
    all[label_component] = component;
    return all;
  };
  const std::string snapshot = get_string(plan.data, "snapshot");
  if (snapshot.empty() && !has_own_image(to, get_string(plan.data, "image"))) {
    const driven::Recipe recipe = or_throw(
        driven::read_recipe(get_string(plan.data, "dockerfile"),
                            {host().path(call, "home"), host().path(call, "operator-home")}, driven::Builder::plain));
    ensure_agent_image(to, call, get_string(plan.data, "image"), recipe, layer_of(plan.data, libexec), with("agent"));
  }
  ensure_sidecar_image(to, host(), call, get_string(plan.data, "sidecar_image"),
                       {libexec, host().path(call, "share"), get_bool(plan.data, "with_git", false)}, with("sidecar"));
}

void DockerBackend::prepare(const sdk::Call& call, const sdk::Plan& plan, Preparation& into) {
  // A connection of its own: it works beside the sidecar's.
  Engine own(engine_->socket(), call.cancel_fd());
  sdk::Plan made = plan;
  protect_workspace(plan, made.data);
  const auto network = network_of(plan);
  if (network && has_holder(plan.data)) start_holder(own, plan, *network);
  auto there = find_own(own, plan.state_dir, "agent");
  if (there && there->running)
    throw sdk::Error(sdk::Status::already_exists, "the bottle of " + plan.slug + " runs already");
  const bool reuse = get_bool(plan.data, "reuse", false);
  if (there && !reuse) {
    own.remove("/containers/" + there->id + "?force=1&v=1");
    there.reset();
  }
  // A recipe that was approved (capability-block) is another image; what the agent made goes into a container of it.
  // The old one goes last: until then a failure leaves everything as it was.
  // So it is where the network is another container's: an engine may remember that one's id.
  const bool renewed = there && (has_holder(plan.data) || (get_bool(plan.data, "recipe", false) &&
                                                           image_of(own, there->id) != get_string(plan.data, "image")));
  if (renewed) {
    const std::string name = resource_name(plan.state_dir, "agent");
    own.call("POST", "/containers/" + there->id + "/rename?name=" + url_encoded(name + "-old"));
    try {
      into.container = create_container(own, name, agent_container(made, network));
      carry_over(own, there->id, into.container, get_string(plan.data, "home"), plan.state_dir + "/backend");
      if (get_string(plan.data, "workspace_mode") == "copy")
        carry_over(own, there->id, into.container, get_string(plan.data, "workspace_path"),
                   plan.state_dir + "/backend");
    } catch (...) {
      if (!into.container.empty()) own.remove("/containers/" + into.container + "?force=1&v=1");
      own.call("POST", "/containers/" + there->id + "/rename?name=" + url_encoded(name));
      throw;
    }
    own.remove("/containers/" + there->id + "?force=1&v=1");
  } else if (there) {
    into.container = there->id;  // its home and workspace are in it
  } else {
    into.container = create_container(own, resource_name(plan.state_dir, "agent"), agent_container(made, network));
    const bool from_snapshot = !get_string(plan.data, "snapshot").empty();
    if (from_snapshot) {
      // It has the bottle-init of its day; everything else of the bottle's own is in it.
      driven::TarText tar;
      tar.file("run/bottle/bin/bottle-init", init_mode_of(plan.data),
               or_throw(read_file(host().path(call, "libexec") + "/bottle-init", std::size_t{64} << 20)));
      put_archive(own, into.container, "/", tar.finish());
    }
    if (get_string(plan.data, "workspace_mode") == "copy" && !reuse && !from_snapshot)
      copy_workspace(own, call, plan, host().path(call, "home"), into.container);
  }
  // gVisor keeps what it has seen of the root file system: there the certificates must come before the start.
  if (get_bool(plan.data, "own_kernel", false)) return;
  start_container(own, into.container, "the bottle");
  into.started = true;
}

sdk::Sidecar DockerBackend::start_sidecar(const sdk::Call& call, const sdk::Plan& plan, int config_fd,
                                          int lifeline_fd) {
  Engine& to = engine(call);
  drop_preparation();
  or_throw(make_directories(plan.state_dir + "/backend", 0700));
  give_to_sidecar(plan);
  if (get_bool(plan.data, "with_git", false))
    or_throw(write_file_fast(
        plan.state_dir + "/backend/sidecar-passwd",
        "root:x:0:0:root:/:/sbin/nologin\nsidecar:x:" + std::to_string(get_int(plan.data, "sidecar_uid", 0)) + ":" +
            std::to_string(get_int(plan.data, "sidecar_gid", 0)) + "::/tmp:/sbin/nologin\n",
        0644));
  ::unlink((plan.state_dir + "/control/control.sock").c_str());
  if (const auto there = find_own(to, plan.state_dir, "sidecar")) {
    if (there->running) throw sdk::Error(sdk::Status::already_exists, "the sidecar of " + plan.slug + " runs already");
    to.remove("/containers/" + there->id + "?force=1&v=1");
  }
  const auto network = make_network(to, plan);
  try {
    to.call("POST", "/volumes/create", wire_volume(plan));
    preparation_ = std::make_unique<Preparation>();
    preparation_->state_dir = plan.state_dir;
    preparation_->worker = std::thread([this, &call, &plan, into = preparation_.get()] {
      sigset_t all;
      ::sigfillset(&all);
      ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
      try {
        prepare(call, plan, *into);
      } catch (...) {
        into->failure = std::current_exception();
      }
    });
    const std::string rules = get_string(plan.data, "rules_database");
    const bool has_rules = !rules.empty() && ::access(rules.c_str(), R_OK) == 0;
    const std::string container = create_container(to, resource_name(plan.state_dir, "sidecar"),
                                                   sidecar_container(plan, network, has_rules, lifeline_fd >= 0));
    if (network) connect_sidecar(to, *network, container);
    std::string early;
    UniqueFd stream = to.hijack("/containers/" + container + "/attach?stream=1&stdin=1", json::object{}, early);
    stream_ = std::make_unique<SidecarStream>(std::move(stream), config_fd, plan.state_dir);
    start_container(to, container, "the sidecar");
    const pid_t process = process_of(to, container, "the sidecar");
    // The worker uses this call and this plan: both end with this function.
    preparation_->worker.join();
    sdk::Sidecar sidecar;
    sidecar.slug = plan.slug;
    sidecar.control = plan.state_dir + "/control/control.sock";
    if (process > 0) sidecar.pid = process;
    return sidecar;
  } catch (...) {
    // On failure nothing is left behind.
    const std::exception_ptr failure = std::current_exception();
    if (preparation_ && preparation_->worker.joinable()) preparation_->worker.join();
    to.set_cancel_fd(-1);
    try {
      sdk::Bottle all;
      all.slug = plan.slug;
      all.state_dir = plan.state_dir;
      all.data = plan.data;
      stop(call, all);
      drop_preparation();
    } catch (const std::exception& error) {
      host().warning(std::string("what a failed start made may be left: ") + error.what());
    }
    std::rethrow_exception(failure);
  }
}

void DockerBackend::drop_preparation() {
  if (!preparation_) return;
  const std::unique_ptr<Preparation> dropped = std::move(preparation_);
  if (dropped->worker.joinable()) dropped->worker.join();
  if (dropped->started && engine_) {
    Engine own(engine_->socket());
    own.ask("POST", "/containers/" + dropped->container + "/kill");
  }
}

sdk::Bottle DockerBackend::launch(const sdk::Call& call, const sdk::Plan& plan, const sdk::LaunchInputs& inputs,
                                  int /*lifeline_fd*/) {
  // The lifeline is the sidecar's stream: the agent's pid 1 follows the sidecar's.
  Engine& to = engine(call);
  if (preparation_ && preparation_->state_dir != plan.state_dir) drop_preparation();
  if (!preparation_) {
    preparation_ = std::make_unique<Preparation>();
    preparation_->state_dir = plan.state_dir;
    prepare(call, plan, *preparation_);
  }
  if (preparation_->failure) std::rethrow_exception(std::exchange(preparation_->failure, nullptr));
  const std::string container = preparation_->container;
  if (!inputs.ca_pem.empty()) put_archive(to, container, "/", driven::trust_archive(inputs.ca_pem));
  if (!preparation_->started) start_container(to, container, "the bottle");
  preparation_.reset();  // from here on it is the bottle's

  const auto network = network_of(plan);
  if (network && !has_holder(plan.data)) seal(to, plan, *network, container);
  sdk::Bottle bottle;
  bottle.slug = plan.slug;
  bottle.backend = backend_name;
  bottle.state_dir = plan.state_dir;
  bottle.data = plan.data;
  bottle.data["container"] = container;
  bottle.extra["selftest"] = selftest_argv(plan, network);
  if (const json::array* endpoints = find_array(plan.data, "endpoints"))
    for (const json::value& value : *endpoints)
      bottle.endpoints[get_string(value.as_object(), "name")] =
          "127.0.0.1:" + std::to_string(get_int(value.as_object(), "port", 0));
  return bottle;
}

}  // namespace bot_bottle::backend_docker
