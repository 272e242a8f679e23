// The commands of `barid`: options in, exit code out. main.cpp fills the structs from the command line.
#pragma once

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

struct SendOptions {
  std::string to;
  std::vector<std::string> text;
  bool lines = false;
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
};
Exit run_listen(const Context& context, const ListenOptions& options);

Exit run_history(const Context& context, const std::string& who, std::int64_t limit);
Exit run_outbox(const Context& context);
Exit run_chat(const Context& context, const std::string& who);

}  // namespace barid::cli
