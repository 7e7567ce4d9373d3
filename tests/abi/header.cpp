// The SDK in every dialect that it promises.
#include <bot_bottle/plugin.hpp>
#include <bot_bottle/sdk/fake_host.hpp>
#if defined(__linux__)
#include <bot_bottle/sdk/bottle_parts.hpp>
#include <bot_bottle/sdk/sandbox_process.hpp>
#include <bot_bottle/sdk/seccomp.hpp>
#endif

struct Nothing final : bot_bottle::sdk::AgentProvider {
  bot_bottle::sdk::ProviderDescription describe(const bot_bottle::sdk::Call&) override { return {}; }
  bot_bottle::sdk::ProviderPlan plan(const bot_bottle::sdk::Call&, const bot_bottle::sdk::ProviderSpec&) override {
    return {};
  }
};
BOT_BOTTLE_PLUGIN("header", "1", "compiles", Nothing)
