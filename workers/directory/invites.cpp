#include "workers/directory/invites.h"

#include <sodium.h>

namespace barid::directory {
namespace {

constexpr std::size_t kIdBytes = 8, kTagBytes = 16, kTextBytes = 32;  // 24 bytes in base64url
constexpr int kVariant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;

std::string big_endian(std::uint64_t value) {
  std::string out;
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
  return out;
}

}  // namespace

std::string make_invite_nonce() {
  std::string nonce(kInviteNonceBytes, '\0');
  crypto::random_bytes(nonce.data(), nonce.size());
  return nonce;
}

std::string invite_text(GroupId group, const std::string& nonce, const crypto::MacKey& key) {
  const std::string id = big_endian(group.value);
  const auto tag = crypto::mac("invite|" + id + nonce, key);
  const std::string raw = id + std::string(crypto::view(tag).substr(0, kTagBytes));
  std::string text(sodium_base64_ENCODED_LEN(kIdBytes + kTagBytes, kVariant), '\0');
  sodium_bin2base64(text.data(), text.size(), reinterpret_cast<const unsigned char*>(raw.data()), raw.size(), kVariant);
  text.resize(kTextBytes);
  return text;
}

std::optional<GroupId> group_of_invite(const std::string& text) {
  unsigned char raw[kIdBytes + kTagBytes];
  std::size_t size = 0;
  if (text.size() != kTextBytes ||
      sodium_base642bin(raw, sizeof raw, text.data(), text.size(), nullptr, &size, nullptr, kVariant) != 0 ||
      size != sizeof raw)
    return {};
  std::uint64_t id = 0;
  for (std::size_t i = 0; i < kIdBytes; ++i) id = id << 8 | raw[i];
  return GroupId(id);
}

bool is_invite(const std::string& text, GroupId group, const std::string& nonce, const crypto::MacKey& key) {
  return crypto::equal_constant_time(text, invite_text(group, nonce, key));
}

}  // namespace barid::directory
