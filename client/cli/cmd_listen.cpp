#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "client/cli/call.h"
#include "client/cli/commands.h"
#include "client/cli/groups.h"
#include "client/cli/presence.h"
#include "client/cli/render.h"
#include "client/cli/text.h"
#include "client/core/client.h"

namespace barid::cli {
namespace {

constexpr std::size_t kPrintedTogetherMax = 500;

class Printer {
 public:
  Printer(const Context& context, client::SqliteStore& store)
      : context_(context), store_(store), account_(store.account()) {}

  void message(const client::Message& m) {
    const client::Peer peer = store_.peer(m.peer).value_or(client::Peer{});
    const std::string author = m.author == UserId() ? std::string() : name_of(store_, m.author);
    if (context_.json) {
      std::cout << message_json(m, peer, account_, author) << "\n";
    } else {
      std::cout << date_time(m.delivered_ms) << "  " << name_of(peer) << (author.empty() ? "" : " · " + author) << ": "
                << describe(m.content) << "\n";
    }
  }
  void receipt(const client::Message& m) {
    const client::Peer peer = store_.peer(m.peer).value_or(client::Peer{});
    if (context_.json) {
      std::cout << receipt_json(m, peer, account_) << "\n";
    } else if (!context_.quiet) {
      const std::string why = m.state == client::State::failed ? " (" + reason_text(m.reason) + ")" : "";
      const std::string progress = progress_text(m);
      std::cout << date_time(wall_now().value) << "  " << ticks(m.state) << " "
                << (progress.empty() ? std::string(client::name_of(m.state)) + " by " : progress + " in ")
                << name_of(peer) << ": " << cut(describe(m.content), 40) << why << "\n";
    }
  }
  void presence(const wire::PresenceEntry& entry) {
    if (context_.json) {
      std::cout << presence_json(store_, entry) << std::endl;
    } else {
      const auto group = entry.group == GroupId() ? std::nullopt : store_.group(entry.group);
      const std::string what = presence_text(entry);
      std::cout << date_time(wall_now().value) << "  * " << name_of(store_, entry.user)
                << (group ? " in " + printable(group->name) : "") << ": " << (what.empty() ? "hidden" : what)
                << std::endl;
    }
  }
  void note(const client::GroupNote& n) {
    if (context_.json) {
      std::cout << note_json(store_, n) << "\n";
    } else if (!context_.quiet) {
      const auto group = store_.group(n.group);
      std::cout << date_time(n.at_ms) << "  * " << (group ? printable(group->name) : "") << ": " << note_text(store_, n)
                << "\n";
    }
  }

  void identity(const client::IdentityNote& n) {
    if (context_.json) {
      std::cout
          << nlohmann::json{{"type", "identity_changed"}, {"user", hex_id(n.user.value)}, {"at_ms", n.at_ms}}.dump()
          << "\n";
    } else if (!context_.quiet) {
      std::cout << date_time(n.at_ms) << "  * " << identity_text(store_, n.user) << "\n";
    }
  }

 private:
  const Context& context_;
  client::SqliteStore& store_;
  client::Account account_;
};

// Prints what nobody has listened to yet; how many that were. At most `limit`.
std::int64_t print_new(client::SqliteStore& store, Printer& printer, const ListenOptions& o, std::int64_t limit) {
  std::int64_t printed = 0;
  while (printed < limit) {
    const auto messages =
        store.not_listened(std::min<std::size_t>(kPrintedTogetherMax, static_cast<std::size_t>(limit - printed)));
    if (messages.empty()) break;
    std::map<std::int64_t, client::PeerId> peers;
    for (const client::Message& m : messages) printer.message(m), peers[m.peer.value] = m.peer;
    std::cout << std::flush;
    if (!std::cout) throw Failure(Exit::error, "standard output is closed");
    store.set_listened(messages.back().id);
    if (o.mark_read)
      for (const auto& [value, peer] : peers) store.mark_read(peer, wall_now());
    printed += static_cast<std::int64_t>(messages.size());
  }
  return printed;
}

// What happened in groups since somebody listened.
void print_notes(client::SqliteStore& store, Printer& printer) {
  for (auto notes = store.notes_after(store.listened_notes(), kPrintedTogetherMax); !notes.empty();
       notes = store.notes_after(notes.back().id, kPrintedTogetherMax)) {
    for (const client::GroupNote& n : notes) printer.note(n);
    store.set_listened_notes(notes.back().id);
  }
}

void print_identities(client::SqliteStore& store, Printer& printer) {
  for (auto notes = store.identity_notes_after(store.listened_identities(), kPrintedTogetherMax); !notes.empty();
       notes = store.identity_notes_after(notes.back().id, kPrintedTogetherMax)) {
    for (const client::IdentityNote& n : notes) printer.identity(n);
    store.set_listened_identities(notes.back().id);
  }
}

}  // namespace

Exit run_listen(const Context& context, const ListenOptions& o) {
  const auto store = context.open_account();
  Printer printer(context, *store);
  client::Cursor cursor{store->revision(), client::MessageRow(INT64_MAX)};
  if (o.only_new) {
    for (auto m = store->not_listened(kPrintedTogetherMax); !m.empty(); m = store->not_listened(kPrintedTogetherMax))
      store->set_listened(m.back().id);
    for (auto n = store->notes_after(store->listened_notes(), kPrintedTogetherMax); !n.empty();
         n = store->notes_after(n.back().id, kPrintedTogetherMax))
      store->set_listened_notes(n.back().id);
  }
  client::Client client(*store, context.directory());
  wire::Watch watch;
  for (const std::string& who : o.watch) {
    client::Peer peer = find_conversation(*store, who, false);
    if (peer.group == GroupId()) peer = look_up(client, *store, peer);
    add_to(watch, peer);
  }
  if (!o.watch.empty()) client.watch(watch);
  const TimePoint until =
      o.timeout_s > 0 ? steady_now() + milliseconds(static_cast<std::int64_t>(o.timeout_s * 1000)) : TimePoint::max();
  std::int64_t left = o.count > 0 ? o.count : INT64_MAX;
  bool changed = true;
  while (!stop_requested()) {
    if (changed) {
      print_identities(*store, printer);
      if (o.receipts) print_notes(*store, printer);
      const std::int64_t printed = print_new(*store, printer, o, left);
      left -= o.count > 0 ? printed : 0;
      if (printed != 0 && o.mark_read) client.wrote();
      for (auto batch = store->changed_since(cursor, kPrintedTogetherMax); !batch.empty();
           batch = store->changed_since(cursor, kPrintedTogetherMax))
        for (const client::Message& m : batch) {
          cursor = {m.revision, m.id};
          if (!m.incoming && o.receipts && m.state > client::State::sent) printer.receipt(m);
        }
      std::cout << std::flush;
    }
    for (const wire::PresenceEntry& entry : client.take_presence()) printer.presence(entry);
    if (left == 0) return Exit::ok;
    const TimePoint now = steady_now();
    if (now >= until) return o.count > 0 ? Exit::timed_out : Exit::ok;
    if (client.link().kind == client::Client::Link::Kind::stopped)
      throw Failure(Exit::not_registered, printable(client.link().text));
    changed = client.turn(until == TimePoint::max() ? milliseconds(1000) : std::chrono::ceil<milliseconds>(until - now))
                  .changed;
  }
  return Exit::ok;
}

}  // namespace barid::cli
