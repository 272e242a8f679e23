// What every command is given: the common options and how to reach the account's store. Owned by main, main
// thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "client/core/sqlite_store.h"

namespace barid::cli {

// Exit codes are part of the interface of `barid`: scripts rely on them.
enum class Exit { ok = 0, error = 1, usage = 2, not_registered = 3, refused = 4, timed_out = 5, offline = 6 };

// Ends the command: main prints the text to standard error and exits with the code.
class Failure : public std::runtime_error {
 public:
  Failure(Exit code, const std::string& text) : std::runtime_error(text), code_(code) {}
  Exit code() const { return code_; }

 private:
  Exit code_;
};

struct Context {
  std::string server, tls_ca, data, profile = "default";
  bool json = false, quiet = false;

  std::string directory() const;                            // of this profile
  std::unique_ptr<client::SqliteStore> open_store() const;  // with or without an account
  std::unique_ptr<client::SqliteStore> open_account()
      const;                                // fails when not registered; takes over --server, --tls-ca
  void say(const std::string& text) const;  // for people: not with --json or --quiet
};

std::string default_data_directory();
// "+49 (151) 234-56" → "+4915123456"; nothing when it is no international number.
std::optional<std::string> normal_phone(std::string_view text);
// A contact's name, a phone number (known or not) or user:<hex>. Fails with a clear sentence.
client::Peer find_or_make_peer(client::SqliteStore& store, const std::string& who);
std::string name_of(const client::Peer& peer);  // what to call them: name, number, or user:<hex>; printable

bool stop_requested();  // Ctrl-C or SIGTERM
void catch_stop_signals();

}  // namespace barid::cli
