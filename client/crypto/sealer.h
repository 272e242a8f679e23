// SPDX-License-Identifier: GPL-3.0-or-later
// End-to-end encryption for one device: X3DH and Double Ratchet with each other device, sender keys in groups, by
// libsignal-protocol-c. Owned by the client's store; one thread. Pads and unpads. Promises: what was not proved genuine
// leaves no trace in the KeyStore; keys of low order are refused before they are used; sizes are bounded before
// anything is parsed. Exceptions of the KeyStore pass through.
#pragma once

#include <memory>

#include "base/result.h"
#include "client/crypto/keys.h"

namespace barid::e2ee {

enum class Errc {
  bad_key,        // a key of low order, or none at all
  bad_signature,  // the signed prekey is not the identity's
  no_session,     // or no sender key: nothing to decrypt it with (yet)
  duplicate,      // a ratchet has seen this message before
  malformed,      // not what it claims to be, altered, or not for us
  too_large,
};

struct SafetyNumber {
  std::string digits;  // 60, the same on both sides
  std::string code;    // to be scanned by the other side: compare_code() there
};

class Sealer {
 public:
  static constexpr std::size_t kPlainBytesMax = 56 * 1024;   // its ciphertext fits a Send, as content
  static constexpr std::size_t kSealedBytesMax = 60 * 1024;  // parsed at most

  explicit Sealer(KeyStore& store);
  ~Sealer();
  Sealer(const Sealer&) = delete;
  Sealer& operator=(const Sealer&) = delete;

  // New keys; the caller stores them.
  Identity make_identity();
  std::vector<Prekey> make_prekeys(std::uint32_t first_id, std::size_t count);
  SignedPrekey make_signed_prekey(const Identity& identity, std::uint32_t id, std::int64_t now_ms);

  // A session with that device out of its bundle; one that exists is kept for what is still under way.
  Result<void, Errc> start(Device with, const Bundle& bundle);
  Result<Ciphertext, Errc> seal(Device to, std::string_view plain);
  Result<std::string, Errc> open(Device from, CipherType type, std::string_view body);

  // Our sender key of the group, as it stands, for a member: made if there is none.
  Result<std::string, Errc> distribution(GroupId group, Device self);
  Result<void, Errc> take_distribution(GroupId group, Device from, std::string_view message);
  Result<Ciphertext, Errc> seal_for_group(GroupId group, Device self, std::string_view plain);
  Result<std::string, Errc> open_in_group(GroupId group, Device from, std::string_view body);

  // Fingerprints of version 1, 5,200 iterations: takes milliseconds, so that a collision is dear.
  SafetyNumber safety_number(UserId me, std::string_view my_key, UserId them, std::string_view their_key);
  // Whether `scanned`, the code that they show, is of the same two keys.
  bool compare_code(std::string_view mine, std::string_view scanned);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace barid::e2ee
