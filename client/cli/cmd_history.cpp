#include <iostream>

#include "client/cli/commands.h"
#include "client/cli/groups.h"
#include "client/cli/render.h"
#include "client/cli/text.h"

namespace barid::cli {

namespace {

// Messages and what happened between them, in the order of time.
void print_group_history(const Context& context, client::SqliteStore& store, const client::Peer& peer,
                         const std::vector<client::Message>& messages, std::size_t limit) {
  const client::Account account = store.account();
  const auto notes = store.notes_of(peer.group, limit);
  auto note = notes.begin();
  std::string today;
  const auto begin_day = [&](std::int64_t at_ms) {
    if (std::string d = day(at_ms); d != today) std::cout << "— " << (today = d) << " —\n";
  };
  const auto print_notes_before = [&](std::int64_t at_ms) {
    for (; note != notes.end() && note->at_ms <= at_ms; ++note) {
      if (context.json) {
        std::cout << note_json(store, *note) << "\n";
        continue;
      }
      begin_day(note->at_ms);
      std::cout << clock_time(note->at_ms) << "  * " << note_text(store, *note) << "\n";
    }
  };
  for (const client::Message& m : messages) {
    print_notes_before(m.accepted_ms != 0 ? m.accepted_ms : m.created_ms);
    const std::string author = m.incoming ? name_of(store, m.author) : "me " + ticks(m.state);
    if (context.json) {
      std::cout << message_json(m, peer, account, m.incoming ? author : "") << "\n";
      continue;
    }
    begin_day(m.created_ms);
    const std::string progress = progress_text(m);
    std::cout << clock_time(m.created_ms) << "  " << author << ": " << describe(m.content)
              << (m.state == client::State::failed ? "  (" + reason_text(m.reason) + ")"
                  : progress.empty()               ? ""
                                                   : "  (" + progress + ")")
              << "\n";
  }
  print_notes_before(INT64_MAX);
  std::cout << std::flush;
}

}  // namespace

Exit run_history(const Context& context, const std::string& who, bool group, std::int64_t limit) {
  const auto store = context.open_account();
  const auto most = static_cast<std::size_t>(std::max<std::int64_t>(limit, 1));
  auto peer = group ? std::nullopt : store->find_peer(who);
  if (!peer && (group || !store->find_groups(who).empty())) {
    const client::Peer one = find_conversation(*store, who, true);
    print_group_history(context, *store, one, store->history(one.id, most), most);
    return Exit::ok;
  }
  if (!peer)
    if (const auto phone = normal_phone(who)) peer = store->find_peer(*phone);
  if (!peer) throw Failure(Exit::error, "there is no contact \"" + printable(who) + "\"");
  const client::Account account = store->account();
  std::string today;
  for (const client::Message& m : store->history(peer->id, most)) {
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
