#include "plugins/deploykey-forge/http.hpp"

#include <curl/curl.h>

#include <memory>
#include <mutex>

namespace bot_bottle::deploy_key {
namespace {

constexpr long connect_seconds = 10;
constexpr long whole_seconds = 30;
constexpr std::size_t max_answer = std::size_t{4} << 20;

struct FreeCurl {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

std::size_t take(char* data, std::size_t size, std::size_t count, void* context) {
  auto& body = *static_cast<std::string*>(context);
  if (body.size() + size * count > max_answer) return 0;
  body.append(data, size * count);
  return size * count;
}

int look(void* context, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<const sdk::Call*>(context)->cancelled() ? 1 : 0;
}

}  // namespace

HttpResponse send(const sdk::Call& call, const HttpRequest& request) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  const std::unique_ptr<CURL, FreeCurl> curl(curl_easy_init());
  if (!curl) throw sdk::Error(sdk::Status::internal, "libcurl has no memory");
  std::unique_ptr<curl_slist, FreeList> headers;
  for (const std::string& header : request.headers) {
    curl_slist* longer = curl_slist_append(headers.get(), header.c_str());
    if (longer == nullptr) throw sdk::Error(sdk::Status::internal, "libcurl has no memory");
    (void)headers.release();
    headers.reset(longer);
  }
  HttpResponse response;
  CURL* raw = curl.get();
  curl_easy_setopt(raw, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(raw, CURLOPT_PROTOCOLS_STR, "https");
  // A redirect would take the token along, or tell nothing that the operator configured.
  curl_easy_setopt(raw, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(raw, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  curl_easy_setopt(raw, CURLOPT_USERAGENT, "bot-bottle");
  curl_easy_setopt(raw, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  curl_easy_setopt(raw, CURLOPT_HTTPHEADER, headers.get());
  if (!request.body.empty()) {
    curl_easy_setopt(raw, CURLOPT_POSTFIELDS, request.body.c_str());
    curl_easy_setopt(raw, CURLOPT_POSTFIELDSIZE, static_cast<long>(request.body.size()));
  }
  if (!request.ca_file.empty()) curl_easy_setopt(raw, CURLOPT_CAINFO, request.ca_file.c_str());
  curl_easy_setopt(raw, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(raw, CURLOPT_CONNECTTIMEOUT, connect_seconds);
  curl_easy_setopt(raw, CURLOPT_TIMEOUT, whole_seconds);
  curl_easy_setopt(raw, CURLOPT_WRITEFUNCTION, take);
  curl_easy_setopt(raw, CURLOPT_WRITEDATA, &response.body);
  curl_easy_setopt(raw, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(raw, CURLOPT_XFERINFOFUNCTION, look);
  curl_easy_setopt(raw, CURLOPT_XFERINFODATA, const_cast<sdk::Call*>(&call));
  const CURLcode code = curl_easy_perform(raw);
  if (code == CURLE_ABORTED_BY_CALLBACK) throw sdk::Error(sdk::Status::cancelled, "cancelled");
  if (code == CURLE_OPERATION_TIMEDOUT)
    throw sdk::Error(sdk::Status::timeout, "the forge did not answer in time: " + request.url);
  if (code != CURLE_OK)
    throw sdk::Error(sdk::Status::unavailable,
                     "the forge cannot be reached: " + request.url + ": " + curl_easy_strerror(code));
  curl_easy_getinfo(raw, CURLINFO_RESPONSE_CODE, &response.status);
  return response;
}

std::string percent_encode(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '.' || c == '_' || c == '~';
    if (plain)
      out += c;
    else
      (((out += '%') += digits[octet >> 4U]) += digits[octet & 15U]);
  }
  return out;
}

}  // namespace bot_bottle::deploy_key
