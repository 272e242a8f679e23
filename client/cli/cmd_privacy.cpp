// Who may see what of us: barid privacy, barid contacts sync, barid blocks.
#include <algorithm>
#include <array>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "client/cli/call.h"
#include "client/cli/commands.h"
#include "client/cli/groups.h"
#include "client/cli/presence.h"

namespace barid::cli {
namespace {

constexpr std::array<const char*, 3> kAudiences = {"everyone", "contacts", "nobody"};

void choose(wire::Audience& audience, const std::string& word) {
  const auto found = std::find(kAudiences.begin(), kAudiences.end(), word);
  if (found != kAudiences.end()) audience = static_cast<wire::Audience>(found - kAudiences.begin());
}
const char* word_of(wire::Audience audience) { return kAudiences[static_cast<std::size_t>(audience)]; }

// The directory gets those contacts whose users are known; how many that were.
std::size_t tell_contacts(client::Client& client, client::SqliteStore& store) {
  std::vector<UserId> users;
  for (const client::Peer& p : store.peers())
    if (!p.name.empty() && p.user != UserId()) users.push_back(p.user);
  for (std::size_t at = 0; at < users.size(); at += limits::kEditContactsMax) {
    const auto first = users.begin() + static_cast<std::ptrdiff_t>(at);
    const auto count = std::min(limits::kEditContactsMax, users.size() - at);
    ask(client, wire::EditContacts{{first, first + static_cast<std::ptrdiff_t>(count)}, {}});
  }
  return users.size();
}

}  // namespace

Exit run_contacts_sync(const Context& context) {
  const auto store = context.open_account();
  client::Client client(*store, context.directory());
  const std::size_t told = tell_contacts(client, *store);
  context.say("The server knows " + std::to_string(told) + " contacts.");
  return Exit::ok;
}

Exit run_privacy(const Context& context, const PrivacyOptions& options) {
  const auto store = context.open_account();
  client::Client client(*store, context.directory());
  const wire::Response response = ask(client, wire::GetPrivacy{});
  const auto* now = std::get_if<wire::Privacy>(&response.body);
  if (now == nullptr) throw Failure(Exit::error, "the directory does not know privacy settings");
  wire::Privacy privacy = *now;
  choose(privacy.last_seen, options.last_seen);
  choose(privacy.online, options.online);
  if (privacy.last_seen == wire::Audience::contacts || privacy.online == wire::Audience::contacts)
    tell_contacts(client, *store);
  if (privacy != *now) ask(client, wire::SetPrivacy{privacy});
  if (context.json)
    std::cout << nlohmann::json{{"type", "privacy"},
                                {"last_seen", word_of(privacy.last_seen)},
                                {"online", word_of(privacy.online)}}
                     .dump()
              << std::endl;
  context.say(std::string("Last seen: ") + word_of(privacy.last_seen) + "\nOnline: " + word_of(privacy.online));
  return Exit::ok;
}

Exit run_blocks(const Context& context) {
  const auto store = context.open_account();
  client::Client client(*store, context.directory());
  const wire::Response response = ask(client, wire::ListBlocked{});
  if (const auto* blocked = std::get_if<wire::Users>(&response.body))
    for (const UserId user : blocked->users) {
      if (context.json)
        std::cout
            << nlohmann::json{{"type", "blocked"}, {"user", hex_id(user.value)}, {"name", name_of(*store, user)}}.dump()
            << "\n";
      else
        std::cout << name_of(*store, user) << "\n";
    }
  std::cout << std::flush;
  return Exit::ok;
}

}  // namespace barid::cli
