// `barid`: parses the command line and hands over to a command.
#include <CLI/CLI.hpp>
#include <iostream>

#include "base/crypto.h"
#include "client/cli/commands.h"
#include "client/cli/text.h"

namespace {

using namespace barid::cli;

constexpr const char* kFooter =
    "Exit codes: 0 ok, 1 error, 2 usage, 3 not registered, 4 refused or failed, 5 timed out, 6 offline.\n"
    "Environment: BARID_SERVER, BARID_DATA, BARID_PROFILE stand for --server, --data, --profile.\n\n"
    "Examples:\n"
    "  barid --server tcp://127.0.0.1:7000 register +4915112345678\n"
    "  barid contacts add Bob +4915187654321\n"
    "  barid send Bob \"Are you there?\" --wait delivered\n"
    "  barid chat Bob\n"
    "  barid group create Choir Bob Carol && barid send --group Choir \"Tuesday at eight\"";

struct Commands {
  Context context;
  RegisterOptions reg;
  SendOptions send;
  GroupOptions group;
  ListenOptions listen;
  PrivacyOptions privacy;
  VerifyOptions verify;
  TrustOptions trust;
  std::string who, to, name, phone, device, token;
  bool in_group = false;
  std::int64_t limit = 50;
  bool offline = false;
  std::function<Exit()> run;
};

void add_register(CLI::App& app, Commands& c) {
  auto* cmd = app.add_subcommand("register", "Register this device with a phone number");
  cmd->add_option("PHONE", c.reg.phone, "Your number, international: +4915112345678")->required();
  cmd->add_option("--name", c.reg.name, "What this device is called (default: the host's name)");
  cmd->add_option("--code", c.reg.code, "The six-digit code, from an earlier --request");
  cmd->add_option("--code-command", c.reg.code_command, "Asks for a code, then takes it from this command's output");
  cmd->add_flag("--request", c.reg.request_only, "Only asks for a code to be sent");
  cmd->add_flag("--again", c.reg.again, "Even if this profile is registered: a new device replaces it here");
  cmd->footer(
      "Examples:\n  barid register +4915112345678\n  barid register +4915112345678 --request\n"
      "  barid register +4915112345678 --code 123456");
  cmd->callback([&c] { c.run = [&c] { return run_register(c.context, c.reg); }; });
}

void add_contacts(CLI::App& app, Commands& c) {
  auto* cmd = app.add_subcommand("contacts", "The address book: list (default), add, remove, block, unblock");
  cmd->footer("Examples:\n  barid contacts\n  barid contacts add Bob +4915187654321\n  barid contacts block Bob");
  cmd->require_subcommand(0, 1);
  cmd->callback([&c, cmd] {
    if (cmd->get_subcommands().empty()) c.run = [&c] { return run_contacts_list(c.context); };
  });
  cmd->add_subcommand("list", "All contacts")->callback([&c] {
    c.run = [&c] { return run_contacts_list(c.context); };
  });
  auto* add = cmd->add_subcommand("add", "Adds or renames a contact");
  add->add_option("NAME", c.name)->required();
  add->add_option("PHONE", c.phone)->required();
  add->callback([&c] { c.run = [&c] { return run_contacts_add(c.context, c.name, c.phone); }; });
  const auto with_who = [&](const char* word, const char* help, std::function<Exit()> run) {
    auto* sub = cmd->add_subcommand(word, help);
    sub->add_option("WHO", c.who, "A contact's name or number")->required();
    sub->callback([&c, run = std::move(run)] { c.run = run; });
  };
  with_who("remove", "Forgets the name; the history stays", [&c] { return run_contacts_remove(c.context, c.who); });
  with_who("block", "Takes nothing more from them; they are not told",
           [&c] { return run_contacts_block(c.context, c.who, true); });
  cmd->add_subcommand("sync", "Tells the server who my contacts are: for barid privacy")->callback([&c] {
    c.run = [&c] { return run_contacts_sync(c.context); };
  });
  with_who("unblock", "Takes their messages again", [&c] { return run_contacts_block(c.context, c.who, false); });
}

void add_privacy(CLI::App& app, Commands& c) {
  const auto audience = CLI::IsMember({"everyone", "contacts", "nobody"});
  auto* cmd = app.add_subcommand("privacy", "Who may see when I was last seen and whether I am online");
  cmd->add_option("--last-seen", c.privacy.last_seen, "everyone, contacts or nobody")->check(audience);
  cmd->add_option("--online", c.privacy.online, "everyone, contacts or nobody")->check(audience);
  cmd->footer(
      "One sees of others what one shows them.\n\nExamples:\n  barid privacy\n  barid privacy --last-seen contacts "
      "--online nobody");
  cmd->callback([&c] { c.run = [&c] { return run_privacy(c.context, c.privacy); }; });
  const auto with_who = [&](const char* word, const char* help, bool block) {
    auto* sub = app.add_subcommand(word, help);
    sub->add_option("WHO", c.who, "A contact's name or number")->required();
    sub->callback([&c, block] { c.run = [&c, block] { return run_contacts_block(c.context, c.who, block); }; });
  };
  with_who("block", "Takes nothing more from them; they are not told", true);
  with_who("unblock", "Takes their messages again", false);
  app.add_subcommand("blocks", "Whom I have blocked")->callback([&c] {
    c.run = [&c] { return run_blocks(c.context); };
  });
}

void add_send(CLI::App& app, Commands& c) {
  auto* cmd = app.add_subcommand("send", "Send a message; offline it is queued and goes out later");
  cmd->add_option("TO", c.send.to, "A contact's name or a phone number; left out with --group");
  cmd->add_option("TEXT", c.send.text, "The text; none or - reads standard input");
  cmd->add_option("--group", c.send.group, "To this group: its name, or group:ID");
  cmd->add_flag("--lines", c.send.lines, "Standard input, one message a line");
  cmd->add_option("--file", c.send.file,
                  "A file, encrypted and uploaded; again after a break, it goes on. A short text file is sent as text");
  cmd->add_flag("--as-file", c.send.as_file, "With --file: also a short text file is sent as a file");
  cmd->add_option("--image", c.send.image, "URL of an image");
  cmd->add_option("--audio", c.send.audio, "URL of a sound");
  cmd->add_option("--video", c.send.video, "URL of a video");
  cmd->add_option("--document", c.send.document, "URL of a document");
  cmd->add_option("--caption", c.send.caption, "What to say about it");
  cmd->add_option("--location", c.send.location, "LAT,LON in degrees");
  cmd->add_option("--place", c.send.place, "What that location is called");
  cmd->add_option("--contact-card", c.send.card, "NAME PHONE of somebody")->expected(2);
  cmd->add_option("--wait", c.send.wait,
                  "accepted, delivered, read or none: until when to wait; then failing is an error")
      ->check(CLI::IsMember({"accepted", "delivered", "read", "none"}));
  cmd->add_option("--timeout", c.send.timeout_s, "Seconds to wait (15; with --wait 60 since the last progress)");
  cmd->footer(
      "Examples:\n  barid send Bob \"Are you there?\"\n  barid send +4915187654321 --wait read --timeout 30 "
      "\"Now?\"\n"
      "  barid send --group Choir \"Tuesday at eight\"\n  fortune | barid send Bob\n  barid send Bob --lines < "
      "poems.txt\n"
      "  barid send Bob --location 52.5163,13.3777 --place \"Brandenburg Gate\"");
  cmd->callback([&c] { c.run = [&c] { return run_send(c.context, c.send); }; });
}

void add_reading(CLI::App& app, Commands& c) {
  auto* listen = app.add_subcommand("listen", "Print messages and receipts as they come, each once");
  listen->add_option("--count", c.listen.count, "Ends after so many messages");
  listen->add_option("--timeout", c.listen.timeout_s,
                     "Ends after so many seconds (exit code 5 if --count is not reached)");
  listen->add_flag("--receipts,!--no-receipts", c.listen.receipts, "Also what becomes of our own messages (default)");
  listen->add_flag("--read", c.listen.mark_read, "Tells the senders that their messages were read");
  listen
      ->add_option("--watch", c.listen.watch,
                   "Also when this contact, number or group comes, goes and types; repeatable")
      ->type_name("WHO")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  listen->add_flag("--new", c.listen.only_new, "Skips what came before now");
  listen->footer("Examples:\n  barid listen\n  barid --json listen --count 1 --timeout 30");
  listen->callback([&c] { c.run = [&c] { return run_listen(c.context, c.listen); }; });

  auto* get = app.add_subcommand("get", "Fetch the file of a message, check it and save it");
  get->add_option("MESSAGE", c.who, "The message's number (row), or a contact or group: its newest file")->required();
  get->add_option("--to", c.to, "Where to save it: a path that does not exist yet, or a folder (here)");
  get->footer("Examples:\n  barid get Bob\n  barid get 12 --to photos.zip");
  get->callback([&c] { c.run = [&c] { return run_get(c.context, c.who, c.to); }; });

  auto* history = app.add_subcommand("history", "Print a conversation from this device's history");
  history->add_option("WHO", c.who, "A contact's name or number, or a group's name")->required();
  history->add_flag("--group", c.in_group, "The group of that name, even if a contact is called so");
  history->add_option("--limit", c.limit, "The newest so many (50)");
  history->footer("Examples:\n  barid history Bob --limit 200\n  barid history Choir");
  history->callback([&c] { c.run = [&c] { return run_history(c.context, c.who, c.in_group, c.limit); }; });

  auto* chat = app.add_subcommand("chat", "Talk to somebody, full screen; plain lines when not on a terminal");
  chat->add_option("WHO", c.who, "A contact's name or number, or a group's name")->required();
  chat->add_flag("--group", c.in_group, "The group of that name, even if a contact is called so");
  chat->footer("Examples:\n  barid chat Bob\n  barid chat --group Choir");
  chat->callback([&c] { c.run = [&c] { return run_chat(c.context, c.who, c.in_group); }; });
}

CLI::App* group_verb(CLI::App& cmd, Commands& c, const char* word, const char* help, const char* example,
                     std::function<Exit()> run) {
  auto* sub = cmd.add_subcommand(word, help);
  sub->add_option("GROUP", c.group.group, "A group's name, or group:ID")->required();
  sub->footer(std::string("Example:\n  ") + example);
  sub->callback([&c, run = std::move(run)] { c.run = run; });
  return sub;
}

void add_group_details(CLI::App& cmd, Commands& c) {
  const auto on_off = CLI::IsMember({"on", "off"});
  cmd.add_option("--description", c.group.description, "What it is about; \"\" removes it");
  cmd.add_option("--picture", c.group.picture, "URL of its picture; \"\" removes it");
  cmd.add_option("--only-admins-send", c.group.only_admins_send, "on or off: an announcement group")->check(on_off);
  cmd.add_option("--only-admins-edit", c.group.only_admins_edit, "on or off: who changes name, description, picture")
      ->check(on_off);
  cmd.add_option("--join-approval", c.group.join_approval, "on or off: who comes by the invite waits for an admin")
      ->check(on_off);
}

void add_groups(CLI::App& app, Commands& c) {
  using Role = barid::wire::GroupRole;
  auto* cmd = app.add_subcommand("group", "Groups: list (default), create, add, remove, promote, demote, leave, …");
  cmd->require_subcommand(0, 1);
  cmd->footer(
      "Examples:\n  barid group create Choir Bob +4915187654321\n  barid group add Choir Carol\n"
      "  barid group invite Choir --new");
  cmd->callback([&c, cmd] {
    if (cmd->get_subcommands().empty()) c.run = [&c] { return run_group_list(c.context); };
  });
  cmd->add_subcommand("list", "The groups I am in")->callback([&c] {
    c.run = [&c] { return run_group_list(c.context); };
  });
  auto* create = cmd->add_subcommand("create", "A new group; I am its owner");
  create->add_option("NAME", c.group.name, "What it is called")->required();
  create->add_option("WHO", c.group.people, "Contacts or numbers");
  create->footer("Example:\n  barid group create Choir Bob Carol --description \"Tuesdays at eight\"");
  add_group_details(*create, c);
  create->callback([&c] { c.run = [&c] { return run_group_create(c.context, c.group); }; });

  const auto with_people = [&](const char* word, const char* help, const char* example, std::function<Exit()> run) {
    return group_verb(*cmd, c, word, help, example, std::move(run))
        ->add_option("WHO", c.group.people, "Contacts, numbers or user:ID")
        ->required();
  };
  group_verb(*cmd, c, "info", "All about a group: members, roles, settings", "barid group info Choir",
             [&c] { return run_group_info(c.context, c.group); });
  with_people("add", "Adds members", "barid group add Choir Carol", [&c] { return run_group_add(c.context, c.group); });
  with_people("remove", "Removes members", "barid group remove Choir Carol",
              [&c] { return run_group_remove(c.context, c.group); });
  with_people("promote", "Makes a member admin, or owner", "barid group promote Choir Bob --owner", [&c] {
    return run_group_role(c.context, c.group, c.group.owner ? Role::owner : Role::admin);
  })->expected(1);
  cmd->get_subcommand("promote")->add_flag("--owner", c.group.owner, "Owner, with all rights");
  with_people("demote", "Makes an admin or owner a member again", "barid group demote Choir Bob", [&c] {
    return run_group_role(c.context, c.group, Role::member);
  })->expected(1);
  group_verb(*cmd, c, "leave", "Leaves a group; the history stays", "barid group leave Choir --successor Bob", [&c] {
    return run_group_leave(c.context, c.group);
  })->add_option("--successor", c.group.successor, "Becomes owner; needed when I am the last one");
  group_verb(*cmd, c, "delete", "Ends a group for all", "barid group delete Choir",
             [&c] { return run_group_delete(c.context, c.group); });
  auto* edit = group_verb(*cmd, c, "edit", "Changes name, description, picture or settings",
                          "barid group edit Choir --name \"Choir 2\" --only-admins-send on",
                          [&c] { return run_group_edit(c.context, c.group); });
  edit->add_option("--name", c.group.name, "What it is called");
  add_group_details(*edit, c);
  auto* invite = group_verb(*cmd, c, "invite", "Shows the invite; --new makes one, --revoke ends it",
                            "barid group invite Choir --new", [&c] { return run_group_invite(c.context, c.group); });
  auto* fresh = invite->add_flag("--new", c.group.fresh, "Another one; the one before is no longer good");
  invite->add_flag("--revoke", c.group.revoke, "Nobody can join by it any more")->excludes(fresh);
  auto* join = cmd->add_subcommand("join", "Joins the group of an invite");
  join->add_option("INVITE", c.token, "32 characters, from barid group invite")->required();
  join->callback([&c] { c.run = [&c] { return run_group_join(c.context, c.token); }; });
  auto* requests = group_verb(*cmd, c, "requests", "Who waits to be let in; --accept, --refuse",
                              "barid group requests Choir --accept user:0123456789abcdef",
                              [&c] { return run_group_requests(c.context, c.group); });
  auto* accept = requests->add_option("--accept", c.group.accept, "Lets them in: a contact, number or user:ID");
  requests->add_option("--refuse", c.group.refuse, "Does not")->excludes(accept);
}

void add_trust(CLI::App& app, Commands& c) {
  auto* verify =
      app.add_subcommand("verify", "Compare safety numbers with somebody: nobody is between you when they agree");
  verify->add_option("WHO", c.verify.who, "A contact's name or number")->required();
  auto* scan = verify->add_option("--scan", c.verify.scan, "The code that they show, compared here");
  auto* confirm = verify->add_flag("--confirm", c.verify.confirm, "You have compared the digits: they are the same");
  verify->add_flag("--undo", c.verify.undo, "No longer verified")->excludes(confirm)->excludes(scan);
  verify->footer("Examples:\n  barid verify Bob\n  barid verify Bob --confirm");
  verify->callback([&c] { c.run = [&c] { return run_verify(c.context, c.verify); }; });
  auto* trust = app.add_subcommand("trust", "Go on with somebody whose security key has changed");
  trust->add_option("WHO", c.trust.who, "A contact's name or number")->required();
  trust->add_option("--block-on-change", c.trust.block_on_change, "Whether a change blocks sending until you trust it")
      ->check(CLI::IsMember({"on", "off"}));
  trust->footer("Examples:\n  barid trust Bob\n  barid trust Bob --block-on-change on");
  trust->callback([&c] { c.run = [&c] { return run_trust(c.context, c.trust); }; });
}

void add_rest(CLI::App& app, Commands& c) {
  auto* status = app.add_subcommand("status", "Who I am, where, and whether the server can be reached");
  status->add_flag("--offline", c.offline, "Does not try to connect");
  status->footer("Example:\n  barid --json status");
  status->callback([&c] { c.run = [&c] { return run_status(c.context, c.offline); }; });
  app.add_subcommand("outbox", "My messages that are not yet delivered")
      ->footer("Example:\n  barid outbox")
      ->callback([&c] { c.run = [&c] { return run_outbox(c.context); }; });

  auto* devices = app.add_subcommand("devices", "The devices of this account: list (default), revoke");
  devices->require_subcommand(0, 1);
  devices->footer("Examples:\n  barid devices\n  barid devices revoke 0123456789abcdef");
  devices->callback([&c, devices] {
    if (devices->get_subcommands().empty()) c.run = [&c] { return run_devices_list(c.context); };
  });
  devices->add_subcommand("list", "All devices")->callback([&c] {
    c.run = [&c] { return run_devices_list(c.context); };
  });
  auto* revoke = devices->add_subcommand("revoke", "Ends a device's access at once");
  revoke->add_option("ID", c.device, "16 hexadecimal digits, from the list")->required();
  revoke->callback([&c] { c.run = [&c] { return run_devices_revoke(c.context, c.device); }; });
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"barid: messages between people, from a terminal"};
  Commands c;
  c.context.data = default_data_directory();
  app.add_option("--server", c.context.server, "tcp://host:port, tls://…, ws://…, wss://…; remembered")
      ->envname("BARID_SERVER");
  app.add_option("--tls-ca", c.context.tls_ca,
                 "File with the certificates to trust instead of the system's; remembered");
  app.add_option("--data", c.context.data, "Where accounts are kept")->envname("BARID_DATA")->capture_default_str();
  app.add_option("--profile", c.context.profile, "Which account")->envname("BARID_PROFILE")->capture_default_str();
  app.add_flag("--json", c.context.json, "One JSON object a line, for scripts");
  app.add_flag("--quiet", c.context.quiet, "Says nothing but results and errors");
  app.require_subcommand(1);
  app.fallthrough();
  app.footer(kFooter);
  add_register(app, c);
  add_contacts(app, c);
  add_privacy(app, c);
  add_send(app, c);
  add_reading(app, c);
  add_groups(app, c);
  add_trust(app, c);
  add_rest(app, c);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(Exit::usage);
  }
  try {
    barid::crypto::init_crypto();
    catch_stop_signals();
    return static_cast<int>(c.run());
  } catch (const Failure& failure) {
    std::cerr << "barid: " << failure.what() << std::endl;
    return static_cast<int>(failure.code());
  } catch (const std::exception& error) {
    std::cerr << "barid: " << printable(error.what()) << std::endl;
    return static_cast<int>(Exit::error);
  }
}
