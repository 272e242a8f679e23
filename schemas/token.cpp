#include "schemas/token.h"

#include <kj/exception.h>

#include "schemas/codec.h"
#include "schemas/control.capnp.h"

namespace barid::token {
namespace {
constexpr std::string_view kDomain = "barid-token-v1";
constexpr std::size_t kSignatureBytes = 64;
constexpr std::size_t kTokenBytesMax = 512;
}  // namespace

std::string seal(const Token& token, const crypto::SecretKey& directory_key) {
  capnp::MallocMessageBuilder message;
  auto b = message.initRoot<control::schema::Token>();
  b.setUser(token.user.value);
  b.setDevice(token.device.value);
  b.setDeviceKey(codec::as_data(crypto::view(token.device_key)));
  b.setIssuedAtS(token.issued_at_s);
  b.setExpiresAtS(token.expires_at_s);
  const auto words = capnp::messageToFlatArray(message);
  const std::string body(words.asChars().begin(), words.asChars().size());
  const auto signature = crypto::sign(std::string(kDomain) + body, directory_key);
  return std::string(crypto::view(signature)) + body;
}

Result<Token, Errc> open(std::string_view bytes, const crypto::PublicKey& directory_key) {
  if (bytes.size() <= kSignatureBytes || bytes.size() > kTokenBytesMax) return fail(Errc::malformed);
  const std::string_view body = bytes.substr(kSignatureBytes);
  if (!crypto::verify(std::string(kDomain) + std::string(body), bytes.substr(0, kSignatureBytes), directory_key))
    return fail(Errc::bad_signature);
  try {
    capnp::FlatArrayMessageReader reader(codec::aligned(body), codec::bounded());
    auto r = reader.getRoot<control::schema::Token>();
    Token token{UserId(r.getUser()), DeviceId(r.getDevice()), {}, r.getIssuedAtS(), r.getExpiresAtS()};
    if (r.getDeviceKey().size() != token.device_key.size()) return fail(Errc::malformed);
    std::memcpy(token.device_key.data(), r.getDeviceKey().begin(), token.device_key.size());
    return token;
  } catch (const kj::Exception&) {
    return fail(Errc::malformed);
  }
}

std::uint64_t address_tag(UserId user, DeviceId device, const crypto::ShortKey& address_key) {
  char bytes[16];
  for (int i = 0; i < 8; ++i) {
    bytes[i] = static_cast<char>(user.value >> (8 * i));
    bytes[8 + i] = static_cast<char>(device.value >> (8 * i));
  }
  return crypto::short_hash({bytes, sizeof bytes}, address_key);
}

}  // namespace barid::token
