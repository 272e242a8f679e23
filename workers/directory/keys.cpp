// Of Directory: the public keys of devices, for end-to-end encryption between them.
#include "storage/keys.h"

#include <map>

#include "base/curve.h"
#include "base/log.h"
#include "schemas/token.h"
#include "workers/directory/directory.h"

namespace barid::directory {

using storage::Keys;
using wire::Code;

namespace {

constexpr char kCurveType = 5;                    // libsignal's type byte before a key, part of what is signed
constexpr std::uint32_t kPrekeyIdMax = 0xffffff;  // libsignal's ids have 24 bits

const char* fault_of(const wire::UploadKeys& r) {
  if (r.version != wire::kKeysVersion) return "this server knows version 1 of keys";
  if (r.signed_prekey_id == 0 || r.signed_prekey_id > kPrekeyIdMax) return "a prekey's id is from 1 to 2^24 - 1";
  if (!crypto::is_sound_key(r.identity)) return "the identity key is no sound Curve25519 key";
  if (!crypto::is_sound_key(r.signed_prekey)) return "the signed prekey is no sound Curve25519 key";
  if (!crypto::verify_xeddsa(std::string(1, kCurveType) + r.signed_prekey, r.signature, r.identity))
    return "the signed prekey is not signed by the identity key";
  for (const wire::Prekey& p : r.prekeys) {
    if (p.id == 0 || p.id > kPrekeyIdMax) return "a prekey's id is from 1 to 2^24 - 1";
    if (!crypto::is_sound_key(p.key)) return "a prekey is no sound Curve25519 key";
  }
  return nullptr;
}

}  // namespace

Directory::Body Directory::upload_keys(const control::DirectoryCall& call, const wire::UploadKeys& r) {
  if (const char* fault = fault_of(r)) return error(Code::invalid_argument, fault);
  const Keys::Bundle bundle{r.version,       r.registration, r.identity, r.signed_prekey_id,
                            r.signed_prekey, r.signature,    {}};
  std::vector<Keys::Prekey> prekeys;
  for (const wire::Prekey& p : r.prekeys) prekeys.push_back({p.id, p.key});
  const auto done = keys_.upload(call.device, bundle, prekeys, clock_());
  if (done) return wire::KeyStatus{done->prekeys, done->signed_prekey_id};
  if (done.error() == Keys::Errc::other_identity)
    return error(Code::invalid_argument, "a device has one identity key; register again to have another");
  return error(Code::not_found, "there is no such device");
}

Directory::Body Directory::key_status(const control::DirectoryCall& call) {
  const Keys::Status status = keys_.status(call.device);
  return wire::KeyStatus{status.prekeys, status.signed_prekey_id};
}

// Who has asked too often for one user's keys gets them without a one-time prekey: nobody can use up another's, and
// nobody is kept from writing.
Directory::Body Directory::keys_of(const control::DirectoryCall& call, const wire::KeysOf& request) {
  const WallMs now = clock_();
  if (const auto taken = throttles_.take(throttle_key("keys", hex_id(call.device.value)), kKeyCallsPerDevice, now);
      !taken)
    return error(Code::rate_limited, "too many keys were asked for", taken.error().retry_after);
  std::vector<Keys::Wanted> wanted;
  for (const wire::KeysWanted& w : request.users) {
    const std::string pair = hex_id(call.user.value) + hex_id(w.user.value);
    wanted.push_back(
        {w.user, w.known, throttles_.take(throttle_key("prekeys", pair), kPrekeysPerPair, now).has_value()});
  }
  std::map<UserId, std::vector<wire::DeviceKeys>> found;
  for (Keys::Device& d : keys_.take(wanted, limits::kKeysDevicesMax)) {
    wire::DeviceKeys keys;
    keys.address = {d.user, d.device, token::address_tag(d.user, d.device, secrets_.address)};
    if (d.bundle) {
      keys.version = d.bundle->version;
      keys.registration = d.bundle->registration;
      keys.identity = std::move(d.bundle->identity);
      keys.signed_prekey_id = d.bundle->signed_prekey_id;
      keys.signed_prekey = std::move(d.bundle->signed_prekey);
      keys.signature = std::move(d.bundle->signature);
      if (d.bundle->prekey) keys.prekey_id = d.bundle->prekey->id, keys.prekey = std::move(d.bundle->prekey->key);
    }
    found[d.user].push_back(std::move(keys));
  }
  // Users without a live device are told as such, unless the answer may have been cut short.
  std::size_t devices = 0;
  for (const auto& [user, keys] : found) devices += keys.size();
  wire::Keys answer;
  for (const wire::KeysWanted& w : request.users) {
    const auto mine = found.find(w.user);
    if (mine != found.end())
      answer.users.push_back({w.user, std::move(mine->second)});
    else if (devices < limits::kKeysDevicesMax)
      answer.users.push_back({w.user, {}});
    if (mine != found.end()) found.erase(mine);
  }
  return answer;
}

}  // namespace barid::directory
