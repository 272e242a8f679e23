// What the full-screen chat and its plain-line form share: a conversation, its commands, and sending. Owned
// by run_chat, main thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "client/cli/call.h"
#include "client/core/client.h"

namespace barid::cli {

class Conversation {
 public:
  Conversation(client::SqliteStore& store, client::Client& client, client::Peer peer);

  struct Said {
    std::string notice;             // one line to show; empty: nothing
    std::vector<std::string> help;  // lines to show instead
    bool quit = false;
  };
  Said say(const std::string& line);       // a text to send, or a /command
  std::vector<client::Message> changes();  // of this conversation since the last call; others become other_news()
  std::vector<std::string> group_news();   // what happened in this group since the last call
  std::string author_of(const client::Message& message);  // in a group; empty: not needed
  std::string other_news();                               // "Carol: 2 new", once
  void mark_read();
  void watch();                       // the other side's presence, as soon as it is known who that is
  bool take_presence();               // true: presence_text() has changed
  std::string presence_text() const;  // "online", "Bob is typing…"; empty: nothing is known
  void typing(bool goes_on);
  client::Peer peer();
  std::string link_text() const;
  bool link_good() const;

 private:
  Said command(const std::string& line);
  std::vector<std::string> members();
  std::vector<std::string> receipts();
  void send(const std::string& content);

  client::SqliteStore& store_;
  client::Client& client_;
  client::PeerId peer_;
  client::Cursor cursor_;
  std::int64_t note_ = 0, identity_note_ = 0;  // the last ones seen
  std::string news_;
  wire::Watch watched_;
  wire::PresenceEntry presence_;                         // of the one we talk to
  std::vector<std::pair<UserId, std::string>> typists_;  // in a group
};

Exit chat_in_lines(Conversation& conversation, client::SqliteStore& store, client::Client& client);

}  // namespace barid::cli
