#include "schemas/wire_keys.h"

#include "schemas/codec.h"
#include "schemas/wire_request.h"

namespace barid::wire {
namespace {

using codec::as_data;
using codec::view;

void bound(std::size_t size, std::size_t most) {
  if (size > most) refuse(Code::malformed);
}
unsigned count(const auto& list) { return static_cast<unsigned>(list.size()); }

std::string read_sized(capnp::Data::Reader r, std::size_t size, bool may_be_empty) {
  if (r.size() != size && !(may_be_empty && r.size() == 0)) refuse(Code::malformed);
  return std::string(view(r));
}

UploadKeys read_upload(schema::UploadKeys::Reader r) {
  UploadKeys keys{r.getVersion(),
                  r.getRegistration(),
                  read_sized(r.getIdentity(), limits::kKeyBytes, false),
                  r.getSignedPrekeyId(),
                  read_sized(r.getSignedPrekey(), limits::kKeyBytes, false),
                  read_sized(r.getSignature(), limits::kKeySignatureBytes, false),
                  {}};
  bound(r.getPrekeys().size(), limits::kPrekeysUploadMax);
  keys.prekeys.reserve(r.getPrekeys().size());
  for (auto p : r.getPrekeys()) keys.prekeys.push_back({p.getId(), read_sized(p.getKey(), limits::kKeyBytes, false)});
  return keys;
}

KeysOf read_wanted(schema::KeysOf::Reader r) {
  KeysOf keys;
  bound(r.getUsers().size(), limits::kKeysUsersMax);
  for (auto u : r.getUsers()) {
    KeysWanted wanted{UserId(u.getUser()), {}};
    bound(u.getKnown().size(), limits::kKeysKnownMax);
    for (const std::uint64_t device : u.getKnown()) wanted.known.emplace_back(device);
    keys.users.push_back(std::move(wanted));
  }
  return keys;
}

DeviceKeys read_device(schema::DeviceKeys::Reader r) {
  const bool none = r.getVersion() == 0;
  auto a = r.getAddress();
  return {{UserId(a.getUser()), DeviceId(a.getDevice()), a.getTag()},
          r.getVersion(),
          r.getRegistration(),
          read_sized(r.getIdentity(), limits::kKeyBytes, none),
          r.getSignedPrekeyId(),
          read_sized(r.getSignedPrekey(), limits::kKeyBytes, none),
          read_sized(r.getSignature(), limits::kKeySignatureBytes, none),
          r.getPrekeyId(),
          read_sized(r.getPrekey(), limits::kKeyBytes, true)};
}

Keys read_keys(schema::Keys::Reader r) {
  Keys keys;
  std::size_t devices = 0;
  bound(r.getUsers().size(), limits::kKeysUsersMax);
  for (auto u : r.getUsers()) {
    bound(devices += u.getDevices().size(), limits::kKeysDevicesMax);
    UserKeys user{UserId(u.getUser()), {}};
    user.devices.reserve(u.getDevices().size());
    for (auto d : u.getDevices()) user.devices.push_back(read_device(d));
    keys.users.push_back(std::move(user));
  }
  return keys;
}

}  // namespace

RequestBody read_keys_request(schema::Request::Reader r) {
  switch (r.which()) {
    case schema::Request::UPLOAD_KEYS:
      return read_upload(r.getUploadKeys());
    case schema::Request::KEYS_OF:
      return read_wanted(r.getKeysOf());
    case schema::Request::KEY_STATUS:
      return GetKeyStatus{};
    default:
      return read_media_request(r);
  }
}

ResponseBody read_keys_response(schema::Response::Reader r) {
  switch (r.which()) {
    case schema::Response::KEYS:
      return read_keys(r.getKeys());
    case schema::Response::KEY_STATUS:
      return KeyStatus{r.getKeyStatus().getPrekeys(), r.getKeyStatus().getSignedPrekeyId()};
    default:
      return read_media_response(r);
  }
}

void fill(schema::Request::Builder builder, const UploadKeys& r) {
  BARID_ASSERT(r.prekeys.size() <= limits::kPrekeysUploadMax);
  auto b = builder.initUploadKeys();
  b.setVersion(r.version);
  b.setRegistration(r.registration);
  b.setIdentity(as_data(r.identity));
  b.setSignedPrekeyId(r.signed_prekey_id);
  b.setSignedPrekey(as_data(r.signed_prekey));
  b.setSignature(as_data(r.signature));
  auto prekeys = b.initPrekeys(count(r.prekeys));
  for (unsigned i = 0; i < r.prekeys.size(); ++i) {
    prekeys[i].setId(r.prekeys[i].id);
    prekeys[i].setKey(as_data(r.prekeys[i].key));
  }
}

void fill(schema::Request::Builder builder, const KeysOf& r) {
  BARID_ASSERT(r.users.size() <= limits::kKeysUsersMax);
  auto users = builder.initKeysOf().initUsers(count(r.users));
  for (unsigned i = 0; i < r.users.size(); ++i) {
    users[i].setUser(r.users[i].user.value);
    auto known = users[i].initKnown(count(r.users[i].known));
    for (unsigned j = 0; j < r.users[i].known.size(); ++j) known.set(j, r.users[i].known[j].value);
  }
}

void fill(schema::Request::Builder builder, const GetKeyStatus&) { builder.setKeyStatus(); }

void fill(schema::Response::Builder builder, const Keys& r) {
  BARID_ASSERT(r.users.size() <= limits::kKeysUsersMax);
  auto users = builder.initKeys().initUsers(count(r.users));
  for (unsigned i = 0; i < r.users.size(); ++i) {
    users[i].setUser(r.users[i].user.value);
    auto devices = users[i].initDevices(count(r.users[i].devices));
    for (unsigned j = 0; j < r.users[i].devices.size(); ++j) {
      const DeviceKeys& d = r.users[i].devices[j];
      auto address = devices[j].initAddress();
      address.setUser(d.address.user.value);
      address.setDevice(d.address.device.value);
      address.setTag(d.address.tag);
      devices[j].setVersion(d.version);
      devices[j].setRegistration(d.registration);
      devices[j].setIdentity(as_data(d.identity));
      devices[j].setSignedPrekeyId(d.signed_prekey_id);
      devices[j].setSignedPrekey(as_data(d.signed_prekey));
      devices[j].setSignature(as_data(d.signature));
      devices[j].setPrekeyId(d.prekey_id);
      devices[j].setPrekey(as_data(d.prekey));
    }
  }
}

void fill(schema::Response::Builder builder, const KeyStatus& r) {
  auto b = builder.initKeyStatus();
  b.setPrekeys(r.prekeys);
  b.setSignedPrekeyId(r.signed_prekey_id);
}

}  // namespace barid::wire
