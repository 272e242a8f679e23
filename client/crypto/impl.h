// SPDX-License-Identifier: GPL-3.0-or-later
// Private to client/crypto/.
#pragma once

#include "client/crypto/records.h"
#include "client/crypto/sealer.h"

namespace barid::e2ee {

struct Sealer::Impl {
  explicit Impl(KeyStore& store) : records(context, store) {}
  Context context;
  Records records;
};

inline constexpr std::size_t kKeyBytes = 32;
inline constexpr char kKeyType = 5;

// 32 bytes without the type byte; empty when it is no such key.
std::string raw_key(const ec_public_key* key);
// False: not 32 bytes, or of low order.
bool decode_key(ec_public_key** out, std::string_view raw, const Context& context);

}  // namespace barid::e2ee
