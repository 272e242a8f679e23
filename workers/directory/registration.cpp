// Of Directory: proving a phone number with a one-time code, and becoming a device.
#include <sodium.h>

#include <cstring>

#include "base/log.h"
#include "schemas/token.h"
#include "workers/directory/address.h"
#include "workers/directory/directory.h"
#include "workers/directory/phone.h"

namespace barid::directory {

using storage::Accounts;
using storage::Codes;
using wire::Code;

std::string make_code() {
  std::string code;
  for (int i = 0; i < kCodeDigits; ++i) code.push_back(static_cast<char>('0' + crypto::random_below(10)));
  return code;
}

std::string read_code(const std::string& typed) {
  std::string digits;
  for (char c : typed) {
    if (c == ' ' || c == '-') continue;
    if (c < '0' || c > '9') return {};
    digits.push_back(c);
  }
  return digits.size() == kCodeDigits ? digits : std::string();
}

std::string code_mac(const std::string& phone, const std::string& code, const crypto::MacKey& key) {
  const auto mac = crypto::mac(phone + "|" + code, key);
  return std::string(crypto::view(mac));
}

// Throttles are kept under a keyed hash, so that the table tells nobody who tried what.
std::string Directory::throttle_key(const char* kind, const std::string& subject) const {
  const auto mac = crypto::mac(std::string("throttle|") + kind + "|" + subject, secrets_.otp);
  return std::string(crypto::view(mac).substr(0, 16));
}

Directory::Body Directory::request_code(const control::DirectoryCall& call, const wire::RequestCode& request) {
  const auto phone = normalise_phone(request.phone);
  if (!phone) return error(Code::invalid_phone, phone.error());
  const WallMs now = clock_();
  if (!sender_.has_room())
    return error(Code::unavailable, "no code can be sent right now", std::chrono::milliseconds(kUnavailableRetryMs));
  const std::string address = throttle_key("codes", throttle_address(call.address));
  if (const auto taken = throttles_.take(address, config_.codes_per_address, now); !taken)
    return error(Code::code_throttled, "too many codes were asked for from this network", taken.error().retry_after);

  const std::string code = make_code();
  const auto stored = codes_.store(*phone, code_mac(*phone, code, secrets_.otp), code_policy_, now);
  if (!stored)
    return error(Code::code_throttled, "a code was sent a short while ago; wait before asking for another",
                 stored.error().retry_after);
  const CodeMessage message{*phone, code, hex_id(crypto::random_u64()), WallMs{now.value + code_policy_.ttl.count()}};
  if (!sender_.send(message)) return error(Code::unavailable, "no code can be sent right now", stored->resend_in);
  using std::chrono::duration_cast;
  return wire::CodeSent{static_cast<std::uint32_t>(config_.code_ttl.count()),
                        static_cast<std::uint32_t>(duration_cast<std::chrono::seconds>(stored->resend_in).count())};
}

Directory::Body Directory::verify_code(const control::DirectoryCall& call, const wire::VerifyCode& request) {
  const auto phone = normalise_phone(request.phone);
  if (!phone) return error(Code::invalid_phone, phone.error());
  const std::string code = read_code(request.code);
  if (code.empty()) return error(Code::invalid_argument, "a code has six digits");
  if (request.device_key.size() != crypto::PublicKey{}.size() ||
      crypto_core_ed25519_is_valid_point(reinterpret_cast<const unsigned char*>(request.device_key.data())) != 1)
    return error(Code::invalid_argument, "deviceKey must be an Ed25519 public key, 32 bytes");

  // Each throttle is charged before the code is looked at (so that many tries at once can't slip through
  // together) and the address is refunded when the code was right.
  const WallMs now = clock_();
  const std::string address = throttle_key("failures", throttle_address(call.address));
  if (const auto taken = throttles_.take(address, config_.failures_per_address, now); !taken)
    return error(Code::code_throttled, "too many wrong codes came from this network", taken.error().retry_after);
  if (const auto taken = throttles_.take(throttle_key("tries", *phone), kTriesPerNumber, now); !taken)
    return error(Code::code_throttled, "too many codes were tried for this number", taken.error().retry_after);

  const auto expected = codes_.spend_try(*phone, now);
  if (!expected) {
    if (expected.error() == Codes::Errc::tries_exhausted)
      return error(Code::code_tries_exhausted, "too many wrong codes; ask for a new one");
    return error(Code::code_expired, "there is no valid code for this number; ask for a new one");
  }
  const std::string given = code_mac(*phone, code, secrets_.otp);
  if (!crypto::equal_constant_time(*expected, given)) return error(Code::code_wrong, "this is not the code");
  throttles_.refund(address, config_.failures_per_address);
  return register_device(*phone, given, request, now);
}

Directory::Body Directory::register_device(const std::string& phone, const std::string& mac,
                                           const wire::VerifyCode& request, WallMs now) {
  Accounts::Claim claim{phone, mac, {}, request.device_name};
  std::memcpy(claim.device_key.data(), request.device_key.data(), claim.device_key.size());
  const auto registered = accounts_.register_device(claim, now);
  if (!registered) return error(Code::code_expired, "this code has been used; ask for a new one");
  tell_device_changes(registered->user);
  for (const DeviceId old : registered->revoked) project_({storage::ProjectionKind::revoked, old.value});
  spdlog::info("device {} registered for {} ({} revoked)", hex_id(registered->device.value), masked_phone(phone),
               registered->revoked.size());
  token::Token token;
  token.user = registered->user;
  token.device = registered->device;
  token.device_key = claim.device_key;
  token.issued_at_s = now.value / 1000;
  token.expires_at_s = token.issued_at_s + std::chrono::seconds(config_.token_ttl).count();
  return wire::Registered{registered->user, registered->device, token::seal(token, secrets_.signing.secret_key), phone};
}

}  // namespace barid::directory
