// Tokens as a stranger presents them: as they are, and with a body that the directory was made to sign.
#include "fuzz.h"
#include "schemas/token.h"

namespace barid::fuzz {
std::vector<std::string> seeds() {
  std::vector<std::string> all = vector_bytes("token");
  all.push_back(all[0].substr(64));
  return all;
}
}  // namespace barid::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace barid;
  static const crypto::KeyPair directory = [] {
    crypto::init_crypto();
    return crypto::make_key_pair();  // nobody has signed the input with it
  }();
  const std::string input(reinterpret_cast<const char*>(data), size);
  fuzz::require(!token::open(input, directory.public_key).has_value(), "a token that we did not sign is refused");
  const auto signature = crypto::sign("barid-token-v1" + input, directory.secret_key);
  const auto opened = token::open(std::string(crypto::view(signature)) + input, directory.public_key);
  if (opened) {
    const auto again = token::open(token::seal(*opened, directory.secret_key), directory.public_key);
    fuzz::require(again.has_value() && again->device_key == opened->device_key, "a token can be sealed again");
  }
  return 0;
}
