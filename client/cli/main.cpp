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
    "  barid chat Bob";

struct Commands {
  Context context;
  RegisterOptions reg;
  SendOptions send;
  ListenOptions listen;
  std::string who, name, phone, device;
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
  with_who("unblock", "Takes their messages again", [&c] { return run_contacts_block(c.context, c.who, false); });
}

void add_send(CLI::App& app, Commands& c) {
  auto* cmd = app.add_subcommand("send", "Send a message; offline it is queued and goes out later");
  cmd->add_option("TO", c.send.to, "A contact's name or a phone number")->required();
  cmd->add_option("TEXT", c.send.text, "The text; none or - reads standard input");
  cmd->add_flag("--lines", c.send.lines, "Standard input, one message a line");
  cmd->add_option("--file", c.send.file, "A text file as text if it fits, else a document by reference");
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
      "  fortune | barid send Bob\n  barid send Bob --lines < poems.txt\n"
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
  listen->add_flag("--new", c.listen.only_new, "Skips what came before now");
  listen->footer("Examples:\n  barid listen\n  barid --json listen --count 1 --timeout 30");
  listen->callback([&c] { c.run = [&c] { return run_listen(c.context, c.listen); }; });

  auto* history = app.add_subcommand("history", "Print a conversation from this device's history");
  history->add_option("WHO", c.who, "A contact's name or number")->required();
  history->add_option("--limit", c.limit, "The newest so many (50)");
  history->footer("Example:\n  barid history Bob --limit 200");
  history->callback([&c] { c.run = [&c] { return run_history(c.context, c.who, c.limit); }; });

  auto* chat = app.add_subcommand("chat", "Talk to somebody, full screen; plain lines when not on a terminal");
  chat->add_option("WHO", c.who, "A contact's name or number")->required();
  chat->footer("Example:\n  barid chat Bob");
  chat->callback([&c] { c.run = [&c] { return run_chat(c.context, c.who); }; });
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
  add_send(app, c);
  add_reading(app, c);
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
