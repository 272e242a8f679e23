// `barid group …`: what is asked of the directory about groups, and what this device knows of them.
#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "client/cli/call.h"
#include "client/cli/commands.h"
#include "client/cli/groups.h"
#include "client/cli/text.h"
#include "client/core/client.h"

namespace barid::cli {
namespace {

using nlohmann::json;
using wire::GroupRole;

json group_json(client::SqliteStore& store, const client::GroupState& g) {
  json members = json::array();
  for (const auto& m : g.members)
    members.push_back({{"user", hex_id(m.user.value)}, {"name", name_of(store, m.user)}, {"role", role_text(m.role)}});
  return {{"type", "group"},
          {"group", hex_id(g.id().value)},
          {"name", g.name},
          {"description", g.description},
          {"picture", g.picture},
          {"version", g.version},
          {"role", role_text(g.role)},
          {"only_admins_send", g.settings.only_admins_send},
          {"only_admins_edit", g.settings.only_admins_edit},
          {"join_approval", g.settings.join_approval},
          {"members", std::move(members)}};
}

void print_json(const json& object) {
  std::cout << object.dump(-1, ' ', false, json::error_handler_t::replace) << std::endl;
}

// The commands' common ground: the account, its server, and the group that is meant.
class Asking {
 public:
  explicit Asking(const Context& context)
      : context_(context), store_(context.open_account()), client_(*store_, context.directory()) {}

  client::SqliteStore& store() { return *store_; }
  client::GroupState group(const std::string& who) {
    if (store_->find_groups(who).empty()) learn_all();  // of another device of ours, perhaps
    return find_group(*store_, who);
  }
  template <class Answer>
  Answer ask_for(const decltype(wire::Request::body)& body) {
    const wire::Response response = ask(client_, body);
    if (const auto* answer = std::get_if<Answer>(&response.body)) return *answer;
    throw Failure(Exit::error, "the server gave another answer than was asked for");
  }
  wire::Response ask_any(const decltype(wire::Request::body)& body) { return ask(client_, body); }

  client::GroupState learn(GroupId id) {
    const auto group = ask_for<wire::Group>(wire::GetGroup{id});
    store_->set_group(group);
    return store_->group(id).value_or(client::GroupState{});
  }
  void learn_all() {
    for (wire::ListGroups page;;) {
      const auto list = ask_for<wire::GroupList>(page);
      for (const auto& g : list.groups) {
        const GroupId id(g.address.user.value);
        const auto known = store_->group(id);
        if (!known || known->version < g.version || known->members.empty()) learn(id);
        page.after = id;
      }
      if (!list.more || list.groups.empty()) return;
    }
  }
  UserId user(const std::string& who) {
    std::uint64_t id = 0;  // of a stranger, from a list of members or requests
    if (who.starts_with("user:") && parse_hex_id(std::string_view(who).substr(5), id)) return UserId(id);
    const client::Peer p = look_up(client_, *store_, find_or_make_peer(*store_, who));
    if (p.group != GroupId()) throw Failure(Exit::usage, "\"" + printable(who) + "\" is a group");
    if (p.user == UserId()) throw Failure(Exit::refused, "nobody is registered as \"" + printable(who) + "\"");
    return p.user;
  }
  std::vector<UserId> users(const std::vector<std::string>& people) {
    std::vector<UserId> all;
    for (const std::string& who : people) all.push_back(user(who));
    return all;
  }
  // What a change came to: the new state is fetched, unless we are not in the group any more.
  Exit changed(const wire::GroupChanged& change, const std::string& said, bool still_in = true) {
    if (still_in) learn(change.group);
    if (context_.json) {
      json skipped = json::array();
      for (const UserId user : change.skipped) skipped.push_back(hex_id(user.value));
      print_json({{"type", "changed"},
                  {"group", hex_id(change.group.value)},
                  {"version", change.version},
                  {"skipped", std::move(skipped)}});
    }
    std::string text = said;
    for (const UserId user : change.skipped) text += "\n" + name_of(*store_, user) + " could not be added.";
    context_.say(text);
    return change.skipped.empty() ? Exit::ok : Exit::refused;
  }
  Exit show(const client::GroupState& g, const std::string& said = {}) {
    if (context_.json) return print_json(group_json(*store_, g)), Exit::ok;
    if (!said.empty()) return context_.say(said), Exit::ok;
    std::cout << printable(g.name) << "  group:" << hex_id(g.id().value) << "\n";
    if (!g.description.empty()) std::cout << printable(g.description, true) << "\n";
    if (!g.picture.empty()) std::cout << "picture: " << printable(g.picture) << "\n";
    if (g.settings.only_admins_send) std::cout << "only admins write\n";
    if (g.settings.only_admins_edit) std::cout << "only admins change name, description and picture\n";
    if (g.settings.join_approval) std::cout << "who comes by the invite waits for an admin\n";
    std::cout << g.members.size() << " members:\n";
    for (const auto& m : g.members)
      std::cout << "  " << name_of(*store_, m.user)
                << (m.role == GroupRole::member ? "" : "  (" + role_text(m.role) + ")") << "\n";
    std::cout << std::flush;
    return Exit::ok;
  }

 private:
  const Context& context_;
  std::unique_ptr<client::SqliteStore> store_;
  client::Client client_;
};

void set_switch(const std::string& word, bool& setting, bool& any) {
  if (word.empty()) return;
  setting = word == "on";
  any = true;
}

}  // namespace

Exit run_group_create(const Context& context, const GroupOptions& o) {
  Asking asking(context);
  wire::CreateGroup create;
  create.key = crypto::random_u64() | 1;
  create.name = o.name;
  create.description = o.description.value_or("");
  create.picture = o.picture.value_or("");
  bool any = false;
  set_switch(o.only_admins_send, create.settings.only_admins_send, any);
  set_switch(o.only_admins_edit, create.settings.only_admins_edit, any);
  set_switch(o.join_approval, create.settings.join_approval, any);
  create.members = asking.users(o.people);
  const auto group = asking.ask_for<wire::Group>(create);
  asking.store().set_group(group);
  std::string said = "Created " + printable(group.name) + " with " + std::to_string(group.members.size()) +
                     (group.members.size() == 1 ? " member." : " members.");
  bool all = true;
  for (const UserId user : create.members) {
    const auto is = [&](const wire::GroupMember& m) { return m.user == user; };
    if (std::any_of(group.members.begin(), group.members.end(), is)) continue;
    said += "\n" + name_of(asking.store(), user) + " could not be added.";
    all = false;
  }
  asking.show(asking.store().group(GroupId(group.address.user.value)).value_or(client::GroupState{}), said);
  return all ? Exit::ok : Exit::refused;
}

Exit run_group_list(const Context& context) {
  Asking asking(context);
  asking.learn_all();
  const auto groups = asking.store().groups();
  for (const auto& short_form : groups) {
    const auto g = asking.store().group(short_form.id()).value_or(short_form);
    if (context.json) {
      print_json(group_json(asking.store(), g));
      continue;
    }
    const std::string name = printable(g.name);
    std::cout << name << std::string(width(name) < 24 ? 24 - width(name) : 1, ' ') << "group:" << hex_id(g.id().value)
              << "  " << g.members.size() << (g.members.size() == 1 ? " member" : " members") << ", "
              << role_text(g.role) << "\n";
  }
  std::cout << std::flush;
  if (groups.empty()) context.say("No groups yet: barid group create NAME WHO…");
  return Exit::ok;
}

Exit run_group_info(const Context& context, const GroupOptions& o) {
  Asking asking(context);
  return asking.show(asking.learn(asking.group(o.group).id()));
}

Exit run_group_add(const Context& context, const GroupOptions& o) {
  Asking asking(context);
  const GroupId group = asking.group(o.group).id();
  return asking.changed(asking.ask_for<wire::GroupChanged>(wire::AddMembers{group, asking.users(o.people)}), "Done.");
}

Exit run_group_remove(const Context& context, const GroupOptions& o) {
  Asking asking(context);
  const GroupId group = asking.group(o.group).id();
  return asking.changed(asking.ask_for<wire::GroupChanged>(wire::RemoveMembers{group, asking.users(o.people)}),
                        "Done.");
}

Exit run_group_role(const Context& context, const GroupOptions& o, wire::GroupRole role) {
  Asking asking(context);
  const GroupId group = asking.group(o.group).id();
  const UserId user = asking.user(o.people.at(0));
  const auto change = asking.ask_for<wire::GroupChanged>(wire::SetRole{group, user, role});
  return asking.changed(change, name_of(asking.store(), user) + " is " + role_text(role) + " now.");
}

Exit run_group_leave(const Context& context, const GroupOptions& o) {
  Asking asking(context);
  const auto group = asking.group(o.group);
  const UserId successor = o.successor.empty() ? UserId() : asking.user(o.successor);
  const auto change = asking.ask_for<wire::GroupChanged>(wire::LeaveGroup{group.id(), successor});
  return asking.changed(change, "You have left " + printable(group.name) + "; the history stays.", false);
}

Exit run_group_delete(const Context& context, const GroupOptions& o) {
  Asking asking(context);
  const auto group = asking.group(o.group);
  const auto change = asking.ask_for<wire::GroupChanged>(wire::DeleteGroup{group.id()});
  return asking.changed(change, printable(group.name) + " has ended; the history stays.", false);
}

Exit run_group_edit(const Context& context, const GroupOptions& o) {
  Asking asking(context);
  const auto group = asking.learn(asking.group(o.group).id());
  wire::EditGroup edit{group.id(), group.version, {}, o.description, o.picture, {}};
  if (!o.name.empty()) edit.name = o.name;
  wire::GroupSettings settings = group.settings;
  bool any = false;
  set_switch(o.only_admins_send, settings.only_admins_send, any);
  set_switch(o.only_admins_edit, settings.only_admins_edit, any);
  set_switch(o.join_approval, settings.join_approval, any);
  if (any) edit.settings = settings;
  if (!edit.name && !edit.description && !edit.picture && !any)
    throw Failure(Exit::usage, "say what to change: barid group edit --help lists it");
  return asking.changed(asking.ask_for<wire::GroupChanged>(edit), "Done.");
}

Exit run_group_invite(const Context& context, const GroupOptions& o) {
  Asking asking(context);
  const auto group = asking.group(o.group);
  if (o.revoke) {
    asking.ask_any(wire::GroupInvite{group.id(), wire::InviteAction::revoke});
    context.say("The invite is revoked.");
    return Exit::ok;
  }
  const auto action = o.fresh ? wire::InviteAction::create : wire::InviteAction::show;
  const auto invite = asking.ask_for<wire::Invite>(wire::GroupInvite{group.id(), action});
  if (context.json) {
    print_json({{"type", "invite"},
                {"group", hex_id(group.id().value)},
                {"token", invite.token},
                {"created_at_ms", invite.created_at_ms},
                {"created_by", hex_id(invite.created_by.value)}});
  } else {
    std::cout << invite.token << std::endl;
    context.say("Whoever has it can join: barid group join " + invite.token);
  }
  return Exit::ok;
}

Exit run_group_join(const Context& context, const std::string& token) {
  Asking asking(context);
  const wire::Response response = asking.ask_any(wire::JoinByInvite{token});
  if (const auto* group = std::get_if<wire::Group>(&response.body)) {
    asking.store().set_group(*group);
    const auto known = asking.store().group(GroupId(group->address.user.value)).value_or(client::GroupState{});
    return asking.show(known, "You are in " + printable(group->name) + ".");
  }
  if (context.json) print_json({{"type", "waiting"}});
  context.say("An admin of the group has to agree; you will be in it then.");
  return Exit::ok;
}

Exit run_group_requests(const Context& context, const GroupOptions& o) {
  Asking asking(context);
  const GroupId group = asking.group(o.group).id();
  if (!o.accept.empty() || !o.refuse.empty()) {
    const bool accept = !o.accept.empty();
    const UserId user = asking.user(accept ? o.accept : o.refuse);
    const auto change = asking.ask_for<wire::GroupChanged>(wire::AnswerJoinRequest{group, user, accept});
    return asking.changed(change, name_of(asking.store(), user) + (accept ? " is in." : " is not let in."));
  }
  const auto list = asking.ask_for<wire::JoinRequestList>(wire::ListJoinRequests{group});
  for (const auto& request : list.requests) {
    const std::string name = name_of(asking.store(), request.user);
    if (context.json)
      print_json({{"type", "request"}, {"user", hex_id(request.user.value)}, {"name", name}, {"at_ms", request.at_ms}});
    else
      std::cout << name << "  user:" << hex_id(request.user.value) << "\n";
  }
  std::cout << std::flush;
  if (list.requests.empty()) context.say("Nobody waits.");
  return Exit::ok;
}

}  // namespace barid::cli
