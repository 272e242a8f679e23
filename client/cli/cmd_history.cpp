#include <iostream>

#include "client/cli/commands.h"
#include "client/cli/render.h"
#include "client/cli/text.h"

namespace barid::cli {

Exit run_history(const Context& context, const std::string& who, std::int64_t limit) {
  const auto store = context.open_account();
  auto peer = store->find_peer(who);
  if (!peer)
    if (const auto phone = normal_phone(who)) peer = store->find_peer(*phone);
  if (!peer) throw Failure(Exit::error, "there is no contact \"" + printable(who) + "\"");
  const client::Account account = store->account();
  std::string today;
  for (const client::Message& m :
       store->history(peer->id, static_cast<std::size_t>(std::max<std::int64_t>(limit, 1)))) {
    if (context.json) {
      std::cout << message_json(m, *peer, account) << "\n";
      continue;
    }
    if (std::string d = day(m.created_ms); d != today) std::cout << "— " << (today = d) << " —\n";
    const std::string who_said = m.incoming ? name_of(*peer) : "me " + ticks(m.state);
    const std::string why = m.state == client::State::failed ? "  (" + reason_text(m.reason) + ")" : "";
    std::cout << clock_time(m.created_ms) << "  " << who_said << ": " << describe(m.content) << why << "\n";
  }
  std::cout << std::flush;
  return Exit::ok;
}

Exit run_outbox(const Context& context) {
  constexpr std::size_t kShownMax = 1000;
  const auto store = context.open_account();
  const client::Account account = store->account();
  const auto messages = store->outbox(kShownMax);
  for (const client::Message& m : messages) {
    const client::Peer peer = store->peer(m.peer).value_or(client::Peer{});
    if (context.json) {
      std::cout << message_json(m, peer, account) << "\n";
    } else {
      std::cout << date_time(m.created_ms) << "  " << client::name_of(m.state) << "  to " << name_of(peer) << ": "
                << cut(describe(m.content), 60) << "\n";
    }
  }
  std::cout << std::flush;
  if (messages.empty()) context.say("Nothing is waiting: all messages are delivered.");
  return Exit::ok;
}

}  // namespace barid::cli
