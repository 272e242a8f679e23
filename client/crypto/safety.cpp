// SPDX-License-Identifier: GPL-3.0-or-later
// Of Sealer: safety numbers, by which two people see that nobody is between them.
#include <signal/fingerprint.h>

#include <stdexcept>

#include "base/log.h"
#include "client/crypto/impl.h"

namespace barid::e2ee {
namespace {
constexpr int kIterations = 5'200;
constexpr int kScannableVersion = 1;  // as the official clients have it with libsignal's own code
constexpr std::size_t kCodeBytesMax = 1'024;
}  // namespace

SafetyNumber Sealer::safety_number(UserId me, std::string_view my_key, UserId them, std::string_view their_key) {
  Ref<ec_public_key> mine, theirs;
  if (!decode_key(mine.out(), my_key, impl_->context) || !decode_key(theirs.out(), their_key, impl_->context))
    throw std::runtime_error("an identity key is not sound");
  fingerprint_generator* raw = nullptr;
  if (fingerprint_generator_create(&raw, kIterations, kScannableVersion, impl_->context.get()) < 0)
    throw std::runtime_error("cannot make a safety number");
  const std::unique_ptr<fingerprint_generator, decltype(&fingerprint_generator_free)> generator(
      raw, &fingerprint_generator_free);
  Ref<fingerprint> made;
  Buffer code;
  if (fingerprint_generator_create_for(generator.get(), hex_id(me.value).c_str(), mine.get(),
                                       hex_id(them.value).c_str(), theirs.get(), made.out()) < 0 ||
      scannable_fingerprint_serialize(code.out(), fingerprint_get_scannable(made.get())) < 0)
    throw std::runtime_error("cannot make a safety number");
  return {displayable_fingerprint_text(fingerprint_get_displayable(made.get())), code.str()};
}

bool Sealer::compare_code(std::string_view mine, std::string_view scanned) {
  if (scanned.size() > kCodeBytesMax) return false;
  Ref<scannable_fingerprint> ours, theirs;
  return scannable_fingerprint_deserialize(ours.out(), octets(mine), mine.size(), impl_->context.get()) >= 0 &&
         scannable_fingerprint_deserialize(theirs.out(), octets(scanned), scanned.size(), impl_->context.get()) >= 0 &&
         scannable_fingerprint_compare(ours.get(), theirs.get()) == 1;
}

}  // namespace barid::e2ee
