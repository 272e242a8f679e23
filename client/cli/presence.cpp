#include "client/cli/presence.h"

#include <array>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "client/cli/groups.h"
#include "client/cli/render.h"

namespace barid::cli {

using wire::PresenceState;
using wire::TypingState;

std::string presence_text(const wire::PresenceEntry& entry) {
  if (entry.typing == TypingState::typing) return "typing…";
  if (entry.typing == TypingState::recording) return "recording…";
  if (entry.state == PresenceState::online) return "online";
  if (entry.last_seen_ms != 0) return "last seen " + date_time(entry.last_seen_ms);
  return entry.state == PresenceState::offline ? "offline" : "";
}

std::string presence_json(client::SqliteStore& store, const wire::PresenceEntry& entry) {
  static constexpr std::array<const char*, 3> kStates = {"hidden", "offline", "online"};
  static constexpr std::array<const char*, 3> kTyping = {"stopped", "typing", "recording"};
  nlohmann::json line{{"type", "presence"},
                      {"user", hex_id(entry.user.value)},
                      {"name", name_of(store, entry.user)},
                      {"typing", kTyping[static_cast<std::size_t>(entry.typing)]}};
  if (entry.group != GroupId()) {
    line["group"] = hex_id(entry.group.value);
  } else {
    line["state"] = kStates[static_cast<std::size_t>(entry.state)];
    line["last_seen"] = entry.last_seen_ms == 0 ? nlohmann::json(nullptr) : nlohmann::json(entry.last_seen_ms);
  }
  return line.dump();
}

void add_to(wire::Watch& watch, const client::Peer& peer) {
  if (peer.group != GroupId()) watch.groups.push_back(peer.group);
  if (peer.user != UserId()) watch.users.push_back(peer.user);
}

}  // namespace barid::cli
