// The commands of `barid`: options in, exit code out. main.cpp fills the structs from the command line.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "client/cli/context.h"

namespace barid::cli {

struct RegisterOptions {
  std::string phone, name, code, code_command;
  bool request_only = false, again = false;
};
Exit run_register(const Context& context, const RegisterOptions& options);
Exit run_status(const Context& context, bool offline);
Exit run_devices_list(const Context& context);
Exit run_devices_revoke(const Context& context, const std::string& device);

Exit run_contacts_list(const Context& context);
Exit run_contacts_add(const Context& context, const std::string& name, const std::string& phone);
Exit run_contacts_remove(const Context& context, const std::string& who);
Exit run_contacts_block(const Context& context, const std::string& who, bool block);
Exit run_contacts_sync(const Context& context);
Exit run_blocks(const Context& context);

struct PrivacyOptions {
  std::string last_seen, online;  // everyone, contacts, nobody; empty: as it is
};
Exit run_privacy(const Context& context, const PrivacyOptions& options);

struct GroupOptions {
  std::string group, name, successor, accept, refuse;
  std::vector<std::string> people;
  std::optional<std::string> description, picture;
  std::string only_admins_send, only_admins_edit, join_approval;  // on, off, or empty: as it is
  bool fresh = false, revoke = false, owner = false;
};
Exit run_group_create(const Context& context, const GroupOptions& options);
Exit run_group_list(const Context& context);
Exit run_group_info(const Context& context, const GroupOptions& options);
Exit run_group_add(const Context& context, const GroupOptions& options);
Exit run_group_remove(const Context& context, const GroupOptions& options);
Exit run_group_role(const Context& context, const GroupOptions& options, wire::GroupRole role);
Exit run_group_leave(const Context& context, const GroupOptions& options);
Exit run_group_delete(const Context& context, const GroupOptions& options);
Exit run_group_edit(const Context& context, const GroupOptions& options);
Exit run_group_invite(const Context& context, const GroupOptions& options);
Exit run_group_join(const Context& context, const std::string& token);
Exit run_group_requests(const Context& context, const GroupOptions& options);

struct SendOptions {
  std::string to, group;  // one of them
  std::vector<std::string> text;
  bool lines = false, as_file = false;
  std::string file, image, audio, video, document, caption, location, place;
  std::vector<std::string> card;  // name, phone
  std::string wait;               // empty: accepted if online, else queued
  double timeout_s = 0;           // 0: 15 without --wait, else 60
};
Exit run_send(const Context& context, const SendOptions& options);

struct ListenOptions {
  std::int64_t count = 0;  // messages; 0: no end
  double timeout_s = 0;    // 0: no end
  bool receipts = true, mark_read = false, only_new = false;
  std::vector<std::string> watch;  // people and groups whose presence is printed
};
Exit run_listen(const Context& context, const ListenOptions& options);

struct VerifyOptions {
  std::string who, scan;  // scan: the code that they show
  bool confirm = false, undo = false;
};
Exit run_verify(const Context& context, const VerifyOptions& options);
struct TrustOptions {
  std::string who, block_on_change;  // on, off, or empty: as it is
};
Exit run_trust(const Context& context, const TrustOptions& options);
// A line for people: somebody's identity key is another one now.
std::string identity_text(client::SqliteStore& store, UserId user);
// Brings this device's keys to the directory, so that others can write to it; gives up quietly, the next login does it.
void publish_keys(const Context& context, client::SqliteStore& store);

// A message's file: which one by its row, or by somebody whose newest it is. where: a path, a folder, or empty.
Exit run_get(const Context& context, const std::string& which, const std::string& where);
Exit run_history(const Context& context, const std::string& who, bool group, std::int64_t limit);
Exit run_outbox(const Context& context);
Exit run_chat(const Context& context, const std::string& who, bool group);

}  // namespace barid::cli
