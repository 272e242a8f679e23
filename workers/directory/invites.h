// The text of an invite: the group's id and a keyed hash of the id and the invite's nonce. The nonce is what the
// database keeps: it shows the text again with the server's key, and without that key it opens nothing. Pure.
#pragma once

#include <optional>
#include <string>

#include "base/crypto.h"
#include "base/id.h"

namespace barid::directory {

inline constexpr std::size_t kInviteNonceBytes = 16;

std::string make_invite_nonce();
std::string invite_text(GroupId group, const std::string& nonce, const crypto::MacKey& key);
std::optional<GroupId> group_of_invite(const std::string& text);  // nullopt: not an invite's form
bool is_invite(const std::string& text, GroupId group, const std::string& nonce, const crypto::MacKey& key);

}  // namespace barid::directory
