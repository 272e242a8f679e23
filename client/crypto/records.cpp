// SPDX-License-Identifier: GPL-3.0-or-later
#include "client/crypto/records.h"

#include <stdexcept>

#include "base/log.h"

namespace barid::e2ee {
namespace {

constexpr std::size_t kIdDigits = 16;
constexpr char kKeyType = 5;

bool parse(const signal_protocol_address& address, Device& device) {
  const std::string_view name(address.name, address.name_len);
  return name.size() == 2 * kIdDigits + 1 && parse_hex_id(name.substr(0, kIdDigits), device.user.value) &&
         parse_hex_id(name.substr(kIdDigits + 1), device.device.value);
}

int give(signal_buffer** out, const std::optional<std::string>& record) {
  if (!record) return 0;
  *out = signal_buffer_create(octets(*record), record->size());
  return *out == nullptr ? SG_ERR_NOMEM : 1;
}

}  // namespace

Address::Address(Device device)
    : name_(hex_id(device.user.value) + "." + hex_id(device.device.value)), address_{name_.data(), name_.size(), 1} {}

struct Callbacks {
  template <class Body>
  static int guarded(void* self, Body&& body) {
    auto& records = *static_cast<Records*>(self);
    try {
      return body(records, records.store_);
    } catch (...) {
      if (!records.thrown_) records.thrown_ = std::current_exception();
      return SG_ERR_UNKNOWN;
    }
  }
  static std::string_view bytes(const std::uint8_t* record, std::size_t size) {
    return {reinterpret_cast<const char*>(record), size};
  }

  static int load_session(signal_buffer** record, signal_buffer**, const signal_protocol_address* address, void* self) {
    return guarded(self, [&](Records&, KeyStore& store) {
      Device device;
      return parse(*address, device) ? give(record, store.session(device)) : SG_ERR_INVAL;
    });
  }
  static int store_session(const signal_protocol_address* address, std::uint8_t* record, std::size_t size,
                           std::uint8_t*, std::size_t, void* self) {
    return guarded(self, [&](Records&, KeyStore& store) {
      Device device;
      if (!parse(*address, device)) return SG_ERR_INVAL;
      store.put_session(device, bytes(record, size));
      return SG_SUCCESS;
    });
  }
  static int contains_session(const signal_protocol_address* address, void* self) {
    return guarded(self, [&](Records&, KeyStore& store) {
      Device device;
      return parse(*address, device) && store.session(device) ? 1 : 0;
    });
  }
  static int load_prekey(signal_buffer** record, std::uint32_t id, void* self) {
    return guarded(self, [&](Records&, KeyStore& store) {
      const int found = give(record, store.prekey(id));
      return found == 0 ? SG_ERR_INVALID_KEY_ID : found < 0 ? found : SG_SUCCESS;
    });
  }
  static int contains_prekey(std::uint32_t id, void* self) {
    return guarded(self, [&](Records&, KeyStore& store) { return store.prekey(id) ? 1 : 0; });
  }
  static int remove_prekey(std::uint32_t id, void* self) {
    return guarded(self, [&](Records&, KeyStore& store) {
      store.drop_prekey(id);
      return SG_SUCCESS;
    });
  }
  static int load_signed(signal_buffer** record, std::uint32_t id, void* self) {
    return guarded(self, [&](Records&, KeyStore& store) {
      const int found = give(record, store.signed_prekey(id));
      return found == 0 ? SG_ERR_INVALID_KEY_ID : found < 0 ? found : SG_SUCCESS;
    });
  }
  static int contains_signed(std::uint32_t id, void* self) {
    return guarded(self, [&](Records&, KeyStore& store) { return store.signed_prekey(id) ? 1 : 0; });
  }
  static int own_identity(signal_buffer** public_data, signal_buffer** private_data, void* self) {
    return guarded(self, [&](Records&, KeyStore& store) {
      const Identity mine = store.identity();
      const std::string typed = std::string(1, kKeyType) + mine.public_key;
      *public_data = signal_buffer_create(octets(typed), typed.size());
      *private_data = signal_buffer_create(octets(mine.private_key), mine.private_key.size());
      return *public_data == nullptr || *private_data == nullptr ? SG_ERR_NOMEM : SG_SUCCESS;
    });
  }
  static int own_registration(void* self, std::uint32_t* id) {
    return guarded(self, [&](Records&, KeyStore& store) {
      *id = store.identity().registration;
      return SG_SUCCESS;
    });
  }
  static int save_identity(const signal_protocol_address* address, std::uint8_t* key, std::size_t size, void* self) {
    return guarded(self, [&](Records& records, KeyStore&) {
      Device device;
      if (!parse(*address, device) || key == nullptr || size < 2) return SG_ERR_INVAL;
      records.seen_.push_back({device, std::string(bytes(key + 1, size - 1))});
      return SG_SUCCESS;
    });
  }
  static int load_sender_key(signal_buffer** record, signal_buffer**, const signal_protocol_sender_key_name* name,
                             void* self) {
    return guarded(self, [&](Records&, KeyStore& store) {
      Device device;
      std::uint64_t group = 0;
      if (!parse(name->sender, device) || !parse_hex_id({name->group_id, name->group_id_len}, group))
        return SG_ERR_INVAL;
      return give(record, store.sender_key(GroupId(group), device));
    });
  }
  static int store_sender_key(const signal_protocol_sender_key_name* name, std::uint8_t* record, std::size_t size,
                              std::uint8_t*, std::size_t, void* self) {
    return guarded(self, [&](Records&, KeyStore& store) {
      Device device;
      std::uint64_t group = 0;
      if (!parse(name->sender, device) || !parse_hex_id({name->group_id, name->group_id_len}, group))
        return SG_ERR_INVAL;
      store.put_sender_key(GroupId(group), device, bytes(record, size));
      return SG_SUCCESS;
    });
  }
};

Records::Records(Context& context, KeyStore& store) : store_(store) {
  const auto nothing = [](void*) {};
  signal_protocol_session_store sessions{};
  sessions.load_session_func = Callbacks::load_session;
  sessions.get_sub_device_sessions_func = [](signal_int_list**, const char*, std::size_t, void*) { return 0; };
  sessions.store_session_func = Callbacks::store_session;
  sessions.contains_session_func = Callbacks::contains_session;
  sessions.delete_session_func = [](const signal_protocol_address*, void*) { return 0; };
  sessions.delete_all_sessions_func = [](const char*, std::size_t, void*) { return 0; };
  sessions.destroy_func = nothing, sessions.user_data = this;
  signal_protocol_pre_key_store prekeys{};
  prekeys.load_pre_key = Callbacks::load_prekey;
  prekeys.store_pre_key = [](std::uint32_t, std::uint8_t*, std::size_t, void*) { return 0; };
  prekeys.contains_pre_key = Callbacks::contains_prekey;
  prekeys.remove_pre_key = Callbacks::remove_prekey;
  prekeys.destroy_func = nothing, prekeys.user_data = this;
  signal_protocol_signed_pre_key_store signed_prekeys{};
  signed_prekeys.load_signed_pre_key = Callbacks::load_signed;
  signed_prekeys.store_signed_pre_key = [](std::uint32_t, std::uint8_t*, std::size_t, void*) { return 0; };
  signed_prekeys.contains_signed_pre_key = Callbacks::contains_signed;
  signed_prekeys.remove_signed_pre_key = [](std::uint32_t, void*) { return 0; };
  signed_prekeys.destroy_func = nothing, signed_prekeys.user_data = this;
  signal_protocol_identity_key_store identities{};
  identities.get_identity_key_pair = Callbacks::own_identity;
  identities.get_local_registration_id = Callbacks::own_registration;
  identities.save_identity = Callbacks::save_identity;
  // Whom to trust is for the client to decide, with the person: it learns of every change by saw_identity.
  identities.is_trusted_identity = [](const signal_protocol_address*, std::uint8_t*, std::size_t, void*) { return 1; };
  identities.destroy_func = nothing, identities.user_data = this;
  signal_protocol_sender_key_store sender_keys{};
  sender_keys.load_sender_key = Callbacks::load_sender_key;
  sender_keys.store_sender_key = Callbacks::store_sender_key;
  sender_keys.destroy_func = nothing, sender_keys.user_data = this;
  const bool done = signal_protocol_store_context_create(&context_, context.get()) == 0 &&
                    signal_protocol_store_context_set_session_store(context_, &sessions) == 0 &&
                    signal_protocol_store_context_set_pre_key_store(context_, &prekeys) == 0 &&
                    signal_protocol_store_context_set_signed_pre_key_store(context_, &signed_prekeys) == 0 &&
                    signal_protocol_store_context_set_identity_key_store(context_, &identities) == 0 &&
                    signal_protocol_store_context_set_sender_key_store(context_, &sender_keys) == 0;
  if (!done) throw std::runtime_error("cannot set up the records of end-to-end encryption");
}
Records::~Records() { signal_protocol_store_context_destroy(context_); }

void Records::rethrow() {
  if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
}

void Records::commit_identities() {
  for (const Seen& seen : std::exchange(seen_, {})) store_.saw_identity(seen.device, seen.key);
}

}  // namespace barid::e2ee
