#include "sidecar/control/config.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <new>

#include "core/base/json.hpp"

namespace bot_bottle::sidecar {
namespace {

constexpr std::size_t max_canaries = 64;

/// Memory for a document with secrets: wiped before it is given back. The alignment is always new's own:
/// Boost.JSON 1.81 gives keys back with another alignment than it asked for (AddressSanitizer:
/// new-delete-type-mismatch), and asks for no larger one.
class WipingResource final : public json::memory_resource {
  void* do_allocate(std::size_t size, std::size_t alignment) override {
    if (alignment > __STDCPP_DEFAULT_NEW_ALIGNMENT__) std::abort();
    return ::operator new(size);
  }
  void do_deallocate(void* memory, std::size_t size, std::size_t /*alignment*/) override {
    wipe(memory, size);
    ::operator delete(memory);
  }
  [[nodiscard]] bool do_is_equal(const json::memory_resource& other) const noexcept override { return this == &other; }
};

/// A buffer of fixed place, wiped at its end: growing would leave copies behind.
class InputBuffer {
 public:
  InputBuffer() { text_.reserve(max_document_bytes + 1); }
  InputBuffer(const InputBuffer&) = delete;
  InputBuffer& operator=(const InputBuffer&) = delete;
  ~InputBuffer() { wipe(text_.data(), text_.size()); }
  bool append(std::string_view bytes) {
    if (text_.size() + bytes.size() > max_document_bytes) return false;
    text_.append(bytes);
    return true;
  }
  [[nodiscard]] std::string_view view() const { return text_; }

 private:
  std::string text_;
};

tl::unexpected<Error> bad(std::string message) {
  return fail(make_error(ErrorKind::invalid_argument, std::move(message)).within("sidecar configuration"));
}

Result<void> read_secrets(const json::object& document, egress::SecretStore& store) {
  if (const json::array* secrets = find_array(document, "secrets")) {
    for (const json::value& entry : *secrets) {
      const json::object* object = entry.if_object();
      if (object == nullptr) return bad("secrets: an entry is not an object");
      const json::value* name = object->if_contains("name");
      const json::value* value = object->if_contains("value");
      if (name == nullptr || !name->is_string() || value == nullptr || !value->is_string())
        return bad("secrets: an entry needs the texts `name` and `value`");
      // The first of two would be unknown to DLP from then on (F4).
      if (store.find(name->get_string()) != nullptr)
        return bad(fmt::format("secrets: '{}' is given twice", std::string_view(name->get_string())));
      // The view is into the wiped document: no copy in between.
      store.add(std::string(name->get_string()), SecretBytes(std::string_view(value->get_string())));
    }
  }
  if (const json::array* canaries = find_array(document, "canaries")) {
    if (canaries->size() > max_canaries) return bad("canaries: too many");
    for (const json::value& entry : *canaries) {
      const json::object* object = entry.if_object();
      if (object == nullptr) return bad("canaries: an entry is not an object");
      BB_TRY(std::string name, need_string(*object, "name"));
      BB_TRY(const std::string value, need_string(*object, "value"));
      store.add_canary(std::move(name), SecretBytes(std::string_view(value)));
    }
  }
  if (const json::array* placeholders = find_array(document, "placeholders")) {
    for (const json::value& entry : *placeholders) {
      const json::object* object = entry.if_object();
      if (object == nullptr) return bad("placeholders: an entry is not an object");
      BB_TRY(std::string value, need_string(*object, "value"));
      BB_TRY(std::string token_ref, need_string(*object, "token_ref"));
      for (const egress::Placeholder& other : store.placeholders())
        if (other.value == value && other.token_ref != token_ref)
          return bad(fmt::format("placeholders: '{}' and '{}' have the same one", other.token_ref, token_ref));
      store.add_placeholder({std::move(value), std::move(token_ref)});
    }
  }
  return {};
}

/// The views are into the wiped document: no copy in between.
Result<void> read_git_keys(const json::object& document, std::map<std::string, SecretBytes>& keys) {
  const json::array* given = find_array(document, "git_keys");
  if (given == nullptr) return {};
  for (const json::value& entry : *given) {
    const json::object* object = entry.if_object();
    const json::value* repo = object == nullptr ? nullptr : object->if_contains("repo");
    const json::value* key = object == nullptr ? nullptr : object->if_contains("private_key");
    if (repo == nullptr || !repo->is_string() || key == nullptr || !key->is_string())
      return bad("git_keys: an entry needs the texts `repo` and `private_key`");
    keys[std::string(repo->get_string())] = SecretBytes(std::string_view(key->get_string()));
  }
  return {};
}

Result<void> read_supervise(const json::object& document, Config& config) {
  if (const json::object* given = find_object(document, "supervise")) {
    SuperviseConfig& supervise = config.supervise;
    supervise.enabled = true;
    supervise.discloses = get_bool(*given, "disclose", true);
    supervise.builds_images = get_bool(*given, "images", false);
    if (const json::object* capabilities = find_object(*given, "capabilities")) supervise.capabilities = *capabilities;
    if (const json::value* rules = given->if_contains("auto")) {
      policy::Problems problems;
      supervise.automatic = policy::read_automatic(*rules, "supervise.auto", problems);
      if (!problems.empty()) return bad(problems.front().path + ": " + problems.front().message);
    }
  }
  if (const json::object* point = find_object(document, "kill_point")) {
#ifdef BB_TEST_HOOKS
    config.kill_point.seq = static_cast<std::uint64_t>(get_int(*point, "seq", 0));
    using When = supervise::KillPoint::When;
    config.kill_point.when = get_string(*point, "when") == "before" ? When::before : When::after;
#else
    static_cast<void>(point);
    return bad("kill_point: this build has no test hooks");
#endif
  }
  return {};
}

Result<policy::Egress> read_egress(const json::object& document) {
  const json::value* egress = document.if_contains("egress");
  if (egress == nullptr) return bad("egress is missing");
  policy::ParsedEgress parsed = policy::parse_egress(*egress);
  if (parsed.problems.empty()) return std::move(parsed.egress);
  std::string message;
  for (const policy::Problem& problem : parsed.problems) {
    if (!message.empty()) message += "; ";
    message += fmt::format("egress.{}: {}", problem.path, problem.message);
  }
  return bad(std::move(message));
}

}  // namespace

Result<net::Address> read_address(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  std::uint16_t port = 0;
  const char* end = text.data() + text.size();
  if (colon != std::string::npos && std::from_chars(text.data() + colon + 1, end, port).ptr == end && port != 0) {
    std::string host = text.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
    if (auto address = net::Address::parse(host, port)) return *address;
  }
  return bad("listen: '" + text + "' is not ADDRESS:PORT");
}

Result<Config> parse_config(std::string_view text) {
  WipingResource memory;
  json::parse_options options;
  options.max_depth = 32;
  json::parser parser(json::storage_ptr(&memory), options);
  parser.reset(json::storage_ptr(&memory));
  boost::system::error_code error;
  parser.write(text.data(), text.size(), error);
  if (error) return bad("it is not JSON: " + error.message());
  const json::value value = parser.release();
  const json::object* document = value.if_object();
  if (document == nullptr) return bad("it is not an object");
  if (get_string(*document, "schema") != "bot-bottle.sidecar-config/1")
    return bad("schema is not bot-bottle.sidecar-config/1");

  Config config;
  BB_TRY(config.slug, need_string(*document, "slug"));
  const std::int64_t level = get_int(*document, "log_level", 1);
  if (level < 0 || level > 2) return bad("log_level is not 0, 1 or 2");
  config.log_level = static_cast<int>(level);
  if (const json::array* uids = find_array(*document, "control_peer_uids")) {
    for (const json::value& uid : *uids) {
      if (!uid.is_int64() || uid.get_int64() < 0 || uid.get_int64() > 0xfffffffeLL)
        return bad("control_peer_uids: not a uid");
      config.control_peer_uids.push_back(static_cast<uid_t>(uid.get_int64()));
    }
  }
  // Nobody named: whoever runs us, and nobody else.
  if (config.control_peer_uids.empty()) config.control_peer_uids.push_back(::geteuid());
  BB_TRY(config.egress, read_egress(*document));
  BB_CHECK(read_secrets(*document, config.secrets));
  if (const json::object* listen = find_object(*document, "listen")) {
    BB_TRY(config.egress_address, read_address(get_string(*listen, "egress")));
    if (listen->contains("supervise")) {
      BB_TRY(config.supervise.address, read_address(get_string(*listen, "supervise")));
    }
    if (listen->contains("git-gate")) {
      BB_TRY(config.git_gate_address, read_address(get_string(*listen, "git-gate")));
    }
  }
  if (const json::object* gate = find_object(*document, "git_gate")) {
    auto parsed = policy::parse_git_gate(*gate);
    if (!parsed) return fail(std::move(parsed.error()).within("sidecar configuration"));
    config.git_gate = std::move(*parsed);
    BB_CHECK(read_git_keys(*document, config.git_keys));
  }
  BB_CHECK(read_supervise(*document, config));
  const std::vector<std::string> disabled = get_strings(*document, "disabled_guards");
  BB_TRY(config.guards, egress::Guards::disable(disabled));
  return config;
}

Result<Config> read_config(int fd) {
  InputBuffer input;
  std::array<char, 4096> piece{};
  while (true) {
    const ssize_t count = ::read(fd, piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(error_from_errno("reading the configuration", errno));
    if (count == 0) break;
    const bool fits = input.append({piece.data(), static_cast<std::size_t>(count)});
    wipe(piece.data(), piece.size());
    if (!fits) return bad("it is larger than 4 MiB");
  }
  return parse_config(input.view());
}

}  // namespace bot_bottle::sidecar
