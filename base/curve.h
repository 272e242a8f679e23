// Curve25519 public keys that others made (RFC 7748), and the signatures that go with them: XEdDSA (Perrin, "The XEdDSA
// and VXEdDSA Signature Schemes", 2016) as libsignal makes it, with the sign of the Edwards point in the top bit of the
// signature. Only public values are handled, so nothing here needs constant time. Any thread.
#pragma once

#include <string_view>

namespace barid::crypto {

// 32 bytes, canonical (below 2^255 - 19), and not one of the points of low order, with which a shared secret would be
// known to everybody.
bool is_sound_key(std::string_view key);

// False on wrong sizes and unsound keys too.
bool verify_xeddsa(std::string_view message, std::string_view signature, std::string_view key);

}  // namespace barid::crypto
