#include <iostream>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "client/cli/call.h"
#include "client/cli/commands.h"
#include "client/cli/text.h"

namespace barid::cli {
namespace {

nlohmann::json contact_json(const client::Peer& p) {
  return {{"type", "contact"},
          {"name", p.name},
          {"phone", p.phone},
          {"blocked", p.blocked},
          {"user", p.user == UserId() ? nlohmann::json(nullptr) : nlohmann::json(hex_id(p.user.value))}};
}

client::Peer known_peer(client::SqliteStore& store, const std::string& who) {
  if (auto p = store.find_peer(who)) return *p;
  if (const auto phone = normal_phone(who))
    if (auto p = store.find_peer(*phone)) return *p;
  throw Failure(Exit::error, "there is no contact \"" + printable(who) + "\"");
}

}  // namespace

Exit run_contacts_list(const Context& context) {
  const auto store = context.open_account();
  std::size_t shown = 0;
  for (const client::Peer& p : store->peers()) {
    if (p.name.empty() && !p.blocked) continue;
    ++shown;
    if (context.json) {
      std::cout << contact_json(p).dump() << "\n";
    } else {
      const std::string name = name_of(p);
      std::cout << name << std::string(name.size() && width(name) < 24 ? 24 - width(name) : 1, ' ') << p.phone
                << (p.blocked ? "  blocked" : "") << "\n";
    }
  }
  std::cout << std::flush;
  if (shown == 0) context.say("No contacts yet: barid contacts add NAME PHONE");
  return Exit::ok;
}

Exit run_contacts_add(const Context& context, const std::string& name, const std::string& phone) {
  const auto number = normal_phone(phone);
  if (!number) throw Failure(Exit::usage, "give the number in international form, for example +4915112345678");
  if (name.empty() || printable(name) != name || normal_phone(name) || name.starts_with("user:") ||
      name.starts_with("group:"))
    throw Failure(Exit::usage, "a contact's name is plain text and no phone number");
  const auto store = context.open_account();
  auto added = store->add_contact(name, *number);
  if (!added) throw Failure(Exit::error, "there is a contact \"" + name + "\" with another number already");
  std::string word = "Added " + name + " (" + *number + ").";
  Exit code = Exit::ok;
  try {
    client::Client client(*store, context.directory());
    *added = look_up(client, *store, *added);
    if (added->user != UserId()) ask(client, wire::EditContacts{{added->user}, {}});
    if (added->user == UserId()) {
      word += " Nobody is registered with this number yet.";
      code = Exit::refused;
    }
  } catch (const Failure& failure) {
    if (failure.code() != Exit::offline) throw;
    word += " Offline: the number is looked up when you first write.";
  }
  if (context.json) std::cout << contact_json(*added).dump() << std::endl;
  context.say(word);
  return code;
}

Exit run_contacts_remove(const Context& context, const std::string& who) {
  const auto store = context.open_account();
  const client::Peer p = known_peer(*store, who);
  if (p.user != UserId()) {
    try {
      client::Client client(*store, context.directory());
      ask(client, wire::EditContacts{{}, {p.user}});
    } catch (const Failure& failure) {
      if (failure.code() != Exit::offline) throw;
      throw Failure(Exit::offline, "offline: the server still counts them among your contacts; try again later");
    }
  }
  if (!store->remove_contact(p.id)) throw Failure(Exit::error, "there is no contact \"" + printable(who) + "\"");
  context.say("Removed " + name_of(p) + "; the history stays.");
  return Exit::ok;
}

Exit run_contacts_block(const Context& context, const std::string& who, bool block) {
  const auto store = context.open_account();
  client::Client client(*store, context.directory());
  const client::Peer p = look_up(client, *store, find_or_make_peer(*store, who));
  if (p.user == UserId()) throw Failure(Exit::refused, "nobody is registered with this number");
  if (block)
    ask(client, wire::Block{p.user});
  else
    ask(client, wire::Unblock{p.user});
  store->set_blocked(p.id, block);
  context.say(name_of(p) + (block ? " is blocked: what they send no longer reaches you, and they are not told."
                                  : " may write to you again."));
  return Exit::ok;
}

}  // namespace barid::cli
