// SPDX-License-Identifier: GPL-3.0-or-later
#include "client/crypto/sealer.h"

#include <signal/group_cipher.h>
#include <signal/group_session_builder.h>
#include <signal/key_helper.h>
#include <signal/protocol.h>
#include <signal/session_builder.h>
#include <signal/session_cipher.h>
#include <signal/session_pre_key.h>

#include <stdexcept>

#include "base/curve.h"
#include "base/log.h"
#include "client/crypto/impl.h"
#include "client/crypto/padding.h"

namespace barid::e2ee {
namespace {

template <class T, void (*Free)(T*)>
using Owner = std::unique_ptr<T, std::integral_constant<void (*)(T*), Free>>;

Errc errc_of(int code) {
  switch (code) {
    case SG_ERR_DUPLICATE_MESSAGE:
      return Errc::duplicate;
    case SG_ERR_NO_SESSION:
    case SG_ERR_INVALID_KEY_ID:
      return Errc::no_session;
    case SG_ERR_INVALID_KEY:
      return Errc::bad_key;
    default:
      return Errc::malformed;
  }
}

void must(int code, const char* what) {
  if (code < 0) throw std::runtime_error(std::string("end-to-end encryption: cannot ") + what);
}

bool is_sound(const ec_public_key* key) { return key != nullptr && crypto::is_sound_key(raw_key(key)); }

class GroupName {
 public:
  GroupName(GroupId group, Device sender)
      : group_(hex_id(group.value)), address_(sender), name_{group_.data(), group_.size(), *address_.get()} {}
  GroupName(const GroupName&) = delete;
  GroupName& operator=(const GroupName&) = delete;
  const signal_protocol_sender_key_name* get() const { return &name_; }

 private:
  std::string group_;
  Address address_;
  signal_protocol_sender_key_name name_;
};

Result<std::string, Errc> unpadded(const Buffer& padded) {
  const std::string whole = padded.str();
  const auto plain = unpad(whole);
  if (!plain) return fail(Errc::malformed);
  return std::string(*plain);
}

}  // namespace

std::string raw_key(const ec_public_key* key) {
  Buffer typed;
  if (key == nullptr || ec_public_key_serialize(typed.out(), key) != 0) return {};
  const std::string bytes = typed.str();
  return bytes.size() == kKeyBytes + 1 ? bytes.substr(1) : std::string();
}

bool decode_key(ec_public_key** out, std::string_view raw, const Context& context) {
  if (!crypto::is_sound_key(raw)) return false;
  const std::string typed = std::string(1, kKeyType) + std::string(raw);
  return curve_decode_point(out, octets(typed), typed.size(), context.get()) == 0;
}

Sealer::Sealer(KeyStore& store) : impl_(std::make_unique<Impl>(store)) {}
Sealer::~Sealer() = default;

Identity Sealer::make_identity() {
  Ref<ratchet_identity_key_pair> pair;
  must(signal_protocol_key_helper_generate_identity_key_pair(pair.out(), impl_->context.get()), "make an identity key");
  Identity identity;
  identity.public_key = raw_key(ratchet_identity_key_pair_get_public(pair.get()));
  Buffer secret;
  must(ec_private_key_serialize(secret.out(), ratchet_identity_key_pair_get_private(pair.get())), "keep a key");
  identity.private_key = secret.str();
  must(signal_protocol_key_helper_generate_registration_id(&identity.registration, 0, impl_->context.get()),
       "make a registration id");
  return identity;
}

std::vector<Prekey> Sealer::make_prekeys(std::uint32_t first_id, std::size_t count) {
  std::vector<Prekey> made;
  for (std::uint32_t id = first_id; made.size() < count; ++id) {
    Ref<ec_key_pair> pair;
    Ref<session_pre_key> key;
    Buffer record;
    must(curve_generate_key_pair(impl_->context.get(), pair.out()), "make a prekey");
    must(session_pre_key_create(key.out(), id, pair.get()), "make a prekey");
    must(session_pre_key_serialize(record.out(), key.get()), "keep a prekey");
    made.push_back({id, raw_key(ec_key_pair_get_public(pair.get())), record.str()});
  }
  return made;
}

SignedPrekey Sealer::make_signed_prekey(const Identity& identity, std::uint32_t id, std::int64_t now_ms) {
  Ref<ec_public_key> public_key;
  Ref<ec_private_key> private_key;
  Ref<ratchet_identity_key_pair> pair;
  Ref<session_signed_pre_key> key;
  Buffer record;
  if (!decode_key(public_key.out(), identity.public_key, impl_->context)) throw std::runtime_error("no identity key");
  must(curve_decode_private_point(private_key.out(), octets(identity.private_key), identity.private_key.size(),
                                  impl_->context.get()),
       "read the identity key");
  must(ratchet_identity_key_pair_create(pair.out(), public_key.get(), private_key.get()), "read the identity key");
  must(signal_protocol_key_helper_generate_signed_pre_key(key.out(), pair.get(), id, static_cast<std::uint64_t>(now_ms),
                                                          impl_->context.get()),
       "make a signed prekey");
  must(session_signed_pre_key_serialize(record.out(), key.get()), "keep a signed prekey");
  return {id, raw_key(ec_key_pair_get_public(session_signed_pre_key_get_key_pair(key.get()))),
          std::string(reinterpret_cast<const char*>(session_signed_pre_key_get_signature(key.get())),
                      session_signed_pre_key_get_signature_len(key.get())),
          record.str()};
}

Result<void, Errc> Sealer::start(Device with, const Bundle& b) {
  Ref<ec_public_key> identity, signed_prekey, prekey;
  if (!decode_key(identity.out(), b.identity, impl_->context) ||
      !decode_key(signed_prekey.out(), b.signed_prekey, impl_->context) ||
      (!b.prekey.empty() && !decode_key(prekey.out(), b.prekey, impl_->context)))
    return fail(Errc::bad_key);
  // The library verifies it too; so no bundle depends on one implementation alone.
  if (!crypto::verify_xeddsa(std::string(1, kKeyType) + b.signed_prekey, b.signature, b.identity))
    return fail(Errc::bad_signature);
  Ref<session_pre_key_bundle> bundle;
  must(session_pre_key_bundle_create(bundle.out(), b.registration, 1, b.prekey_id, prekey.get(), b.signed_prekey_id,
                                     signed_prekey.get(), octets(b.signature), b.signature.size(), identity.get()),
       "read a bundle");
  const Address address(with);
  session_builder* raw = nullptr;
  must(session_builder_create(&raw, impl_->records.get(), address.get(), impl_->context.get()), "begin a session");
  const Owner<session_builder, session_builder_free> builder(raw);
  const int done = session_builder_process_pre_key_bundle(builder.get(), bundle.get());
  impl_->records.rethrow();
  if (done < 0) impl_->records.forget_identities();
  if (done < 0) return fail(done == SG_ERR_INVALID_KEY ? Errc::bad_signature : errc_of(done));
  impl_->records.commit_identities();
  return {};
}

Result<Ciphertext, Errc> Sealer::seal(Device to, std::string_view plain) {
  if (plain.size() > kPlainBytesMax) return fail(Errc::too_large);
  const Address address(to);
  session_cipher* raw = nullptr;
  must(session_cipher_create(&raw, impl_->records.get(), address.get(), impl_->context.get()), "encrypt");
  const Owner<session_cipher, session_cipher_free> cipher(raw);
  const std::string padded = pad(plain);
  Ref<ciphertext_message> message;
  const int done = session_cipher_encrypt(cipher.get(), octets(padded), padded.size(), message.out());
  impl_->records.rethrow();
  impl_->records.forget_identities();
  if (done < 0) return fail(Errc::no_session);  // the library calls it unknown
  const bool first = ciphertext_message_get_type(message.get()) == CIPHERTEXT_PREKEY_TYPE;
  return Ciphertext{first ? CipherType::prekey_message : CipherType::message,
                    std::string(Buffer::view(ciphertext_message_get_serialized(message.get())))};
}

Result<std::string, Errc> Sealer::open(Device from, CipherType type, std::string_view body) {
  if (body.size() > kSealedBytesMax) return fail(Errc::too_large);
  const Address address(from);
  session_cipher* raw = nullptr;
  must(session_cipher_create(&raw, impl_->records.get(), address.get(), impl_->context.get()), "decrypt");
  const Owner<session_cipher, session_cipher_free> cipher(raw);
  Buffer padded;
  int done = SG_ERR_INVALID_MESSAGE;
  if (type == CipherType::prekey_message) {
    Ref<pre_key_signal_message> message;
    if (pre_key_signal_message_deserialize(message.out(), octets(body), body.size(), impl_->context.get()) < 0)
      return fail(Errc::malformed);
    const signal_message* inner = pre_key_signal_message_get_signal_message(message.get());
    if (!is_sound(pre_key_signal_message_get_identity_key(message.get())) ||
        !is_sound(pre_key_signal_message_get_base_key(message.get())) ||
        !is_sound(signal_message_get_sender_ratchet_key(inner)))
      return fail(Errc::bad_key);
    done = session_cipher_decrypt_pre_key_signal_message(cipher.get(), message.get(), nullptr, padded.out());
  } else if (type == CipherType::message) {
    Ref<signal_message> message;
    if (signal_message_deserialize(message.out(), octets(body), body.size(), impl_->context.get()) < 0)
      return fail(Errc::malformed);
    if (!is_sound(signal_message_get_sender_ratchet_key(message.get()))) return fail(Errc::bad_key);
    done = session_cipher_decrypt_signal_message(cipher.get(), message.get(), nullptr, padded.out());
  }
  impl_->records.rethrow();
  if (done < 0) impl_->records.forget_identities();
  if (done < 0) return fail(errc_of(done));
  impl_->records.commit_identities();
  return unpadded(padded);
}

Result<std::string, Errc> Sealer::distribution(GroupId group, Device self) {
  const GroupName name(group, self);
  group_session_builder* raw = nullptr;
  must(group_session_builder_create(&raw, impl_->records.get(), impl_->context.get()), "make a sender key");
  const Owner<group_session_builder, group_session_builder_free> builder(raw);
  Ref<sender_key_distribution_message> message;
  const int done = group_session_builder_create_session(builder.get(), message.out(), name.get());
  impl_->records.rethrow();
  if (done < 0) return fail(errc_of(done));
  return std::string(
      Buffer::view(ciphertext_message_get_serialized(reinterpret_cast<ciphertext_message*>(message.get()))));
}

Result<void, Errc> Sealer::take_distribution(GroupId group, Device from, std::string_view bytes) {
  if (bytes.size() > kSealedBytesMax) return fail(Errc::too_large);
  Ref<sender_key_distribution_message> message;
  if (sender_key_distribution_message_deserialize(message.out(), octets(bytes), bytes.size(), impl_->context.get()) < 0)
    return fail(Errc::malformed);
  if (!is_sound(sender_key_distribution_message_get_signature_key(message.get()))) return fail(Errc::bad_key);
  const GroupName name(group, from);
  group_session_builder* raw = nullptr;
  must(group_session_builder_create(&raw, impl_->records.get(), impl_->context.get()), "take a sender key");
  const Owner<group_session_builder, group_session_builder_free> builder(raw);
  const int done = group_session_builder_process_session(builder.get(), name.get(), message.get());
  impl_->records.rethrow();
  if (done < 0) return fail(errc_of(done));
  return {};
}

Result<Ciphertext, Errc> Sealer::seal_for_group(GroupId group, Device self, std::string_view plain) {
  if (plain.size() > kPlainBytesMax) return fail(Errc::too_large);
  const GroupName name(group, self);
  group_cipher* raw = nullptr;
  must(group_cipher_create(&raw, impl_->records.get(), name.get(), impl_->context.get()), "encrypt for a group");
  const Owner<group_cipher, group_cipher_free> cipher(raw);
  const std::string padded = pad(plain);
  Ref<ciphertext_message> message;
  const int done = group_cipher_encrypt(cipher.get(), octets(padded), padded.size(), message.out());
  impl_->records.rethrow();
  if (done < 0) return fail(errc_of(done));
  return Ciphertext{CipherType::sender_key_message,
                    std::string(Buffer::view(ciphertext_message_get_serialized(message.get())))};
}

Result<std::string, Errc> Sealer::open_in_group(GroupId group, Device from, std::string_view body) {
  if (body.size() > kSealedBytesMax) return fail(Errc::too_large);
  Ref<sender_key_message> message;
  if (sender_key_message_deserialize(message.out(), octets(body), body.size(), impl_->context.get()) < 0)
    return fail(Errc::malformed);
  const GroupName name(group, from);
  group_cipher* raw = nullptr;
  must(group_cipher_create(&raw, impl_->records.get(), name.get(), impl_->context.get()), "decrypt in a group");
  const Owner<group_cipher, group_cipher_free> cipher(raw);
  Buffer padded;
  const int done = group_cipher_decrypt(cipher.get(), message.get(), nullptr, padded.out());
  impl_->records.rethrow();
  if (done < 0) return fail(errc_of(done));
  return unpadded(padded);
}

}  // namespace barid::e2ee
