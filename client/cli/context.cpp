#include "client/cli/context.h"

#include <csignal>
#include <cstdlib>
#include <iostream>

#include "base/log.h"
#include "client/cli/text.h"
#include "client/core/server_url.h"

namespace barid::cli {
namespace {
volatile std::sig_atomic_t g_stop = 0;  // the one thing a signal handler may write
}

std::string default_data_directory() {
  if (const char* data = std::getenv("XDG_DATA_HOME"); data != nullptr && *data == '/')
    return std::string(data) + "/barid";
  const char* home = std::getenv("HOME");
  return (home != nullptr ? std::string(home) : std::string(".")) + "/.local/share/barid";
}

std::string Context::directory() const {
  if (profile.empty() || profile.find('/') != std::string::npos || profile.starts_with('.'))
    throw Failure(Exit::usage, "a profile's name is one word without slashes, not starting with a dot");
  return data + "/" + profile;
}

std::unique_ptr<client::SqliteStore> Context::open_store() const {
  return std::make_unique<client::SqliteStore>(directory());
}

std::unique_ptr<client::SqliteStore> Context::open_account() const {
  auto store = open_store();
  if (!store->has_account())
    throw Failure(Exit::not_registered, "not registered yet: barid register +<your phone number>");
  const client::Account account = store->account();
  const std::string& url = server.empty() ? account.server : server;
  const std::string& ca = tls_ca.empty() ? account.tls_ca : tls_ca;
  if (const auto parsed = client::parse_server_url(url); !parsed) throw Failure(Exit::usage, parsed.error());
  if (url != account.server || ca != account.tls_ca) store->set_server(url, ca);
  return store;
}

void Context::say(const std::string& text) const {
  if (!json && !quiet) std::cout << text << std::endl;
}

std::optional<std::string> normal_phone(std::string_view text) {
  std::string digits;
  for (const char c : text) {
    if (c >= '0' && c <= '9')
      digits += c;
    else if (c == '+' && digits.empty())
      digits = "+";
    else if (c != ' ' && c != '-' && c != '(' && c != ')' && c != '.' && c != '/')
      return std::nullopt;
  }
  if (digits.starts_with("00")) digits = "+" + digits.substr(2);
  if (!digits.starts_with('+') || digits.size() < 5 || digits.size() > 16) return std::nullopt;  // E.164: 15 digits
  return digits;
}

client::Peer find_or_make_peer(client::SqliteStore& store, const std::string& who) {
  if (auto known = store.find_peer(who)) return *known;
  if (const auto phone = normal_phone(who)) return store.ensure_phone(*phone);
  throw Failure(Exit::error, "there is no contact \"" + printable(who) +
                                 "\": barid contacts add NAME PHONE, or give a number like +4915112345678");
}

std::string name_of(const client::Peer& peer) {
  if (!peer.name.empty()) return printable(peer.name);
  if (!peer.phone.empty()) return peer.phone;
  return peer.group != GroupId() ? "group:" + hex_id(peer.group.value) : "user:" + hex_id(peer.user.value);
}

bool stop_requested() { return g_stop != 0; }

void catch_stop_signals() {
  struct sigaction action {};
  action.sa_handler = [](int) { g_stop = 1; };
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

}  // namespace barid::cli
