// SPDX-License-Identifier: GPL-3.0-or-later
#include "client/crypto/provider.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <array>
#include <climits>
#include <stdexcept>

namespace barid::e2ee {
namespace {

constexpr std::size_t kSha256Bytes = 32, kSha512Bytes = 64;

// Fetched once a process: fetching costs more than a message does. Never freed.
struct Algorithms {
  EVP_MAC* hmac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  EVP_MD* sha512 = EVP_MD_fetch(nullptr, "SHA512", nullptr);
  EVP_CIPHER* cbc128 = EVP_CIPHER_fetch(nullptr, "AES-128-CBC", nullptr);
  EVP_CIPHER* cbc192 = EVP_CIPHER_fetch(nullptr, "AES-192-CBC", nullptr);
  EVP_CIPHER* cbc256 = EVP_CIPHER_fetch(nullptr, "AES-256-CBC", nullptr);
};
const Algorithms& algorithms() {
  static const Algorithms all;
  return all;
}

int random(std::uint8_t* out, std::size_t count, void*) {
  return count <= INT_MAX && RAND_bytes(out, static_cast<int>(count)) == 1 ? SG_SUCCESS : SG_ERR_UNKNOWN;
}

int hmac_init(void** context, const std::uint8_t* key, std::size_t size, void*) {
  EVP_MAC_CTX* mac = EVP_MAC_CTX_new(algorithms().hmac);
  if (mac == nullptr) return SG_ERR_NOMEM;
  char digest[] = "SHA256";
  const std::array<OSSL_PARAM, 2> params{OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                         OSSL_PARAM_construct_end()};
  static constexpr std::uint8_t kNoKey = 0;  // a key of no bytes is a key, a null pointer is none
  if (EVP_MAC_init(mac, size == 0 ? &kNoKey : key, size, params.data()) != 1) {
    EVP_MAC_CTX_free(mac);
    return SG_ERR_UNKNOWN;
  }
  *context = mac;
  return SG_SUCCESS;
}
int hmac_update(void* context, const std::uint8_t* bytes, std::size_t size, void*) {
  return EVP_MAC_update(static_cast<EVP_MAC_CTX*>(context), bytes, size) == 1 ? SG_SUCCESS : SG_ERR_UNKNOWN;
}
int hmac_final(void* context, signal_buffer** output, void*) {
  std::array<std::uint8_t, kSha256Bytes> mac;
  std::size_t size = 0;
  if (EVP_MAC_final(static_cast<EVP_MAC_CTX*>(context), mac.data(), &size, mac.size()) != 1) return SG_ERR_UNKNOWN;
  *output = signal_buffer_create(mac.data(), size);
  return *output == nullptr ? SG_ERR_NOMEM : SG_SUCCESS;
}
void hmac_cleanup(void* context, void*) { EVP_MAC_CTX_free(static_cast<EVP_MAC_CTX*>(context)); }

int sha512_init(void** context, void*) {
  EVP_MD_CTX* digest = EVP_MD_CTX_new();
  if (digest == nullptr) return SG_ERR_NOMEM;
  if (EVP_DigestInit_ex2(digest, algorithms().sha512, nullptr) != 1) {
    EVP_MD_CTX_free(digest);
    return SG_ERR_UNKNOWN;
  }
  *context = digest;
  return SG_SUCCESS;
}
int sha512_update(void* context, const std::uint8_t* bytes, std::size_t size, void*) {
  return EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context), bytes, size) == 1 ? SG_SUCCESS : SG_ERR_UNKNOWN;
}
int sha512_final(void* context, signal_buffer** output, void*) {  // and ready for the next one
  auto* digest = static_cast<EVP_MD_CTX*>(context);
  std::array<std::uint8_t, kSha512Bytes> out;
  if (EVP_DigestFinal_ex(digest, out.data(), nullptr) != 1 ||
      EVP_DigestInit_ex2(digest, algorithms().sha512, nullptr) != 1)
    return SG_ERR_UNKNOWN;
  *output = signal_buffer_create(out.data(), out.size());
  return *output == nullptr ? SG_ERR_NOMEM : SG_SUCCESS;
}
void sha512_cleanup(void* context, void*) { EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context)); }

struct Input {
  const std::uint8_t *key, *iv, *bytes;
  std::size_t key_size, iv_size, size;
};

// CBC with PKCS #7 padding; counter mode belongs to version 2 of the protocol, which nobody speaks any more.
int aes(signal_buffer** output, int mode, bool encrypt, const Input& in) {
  const Algorithms& all = algorithms();
  const EVP_CIPHER* cipher = in.key_size == 16 ? all.cbc128 : in.key_size == 24 ? all.cbc192 : all.cbc256;
  if (mode != SG_CIPHER_AES_CBC_PKCS5 || in.iv_size != 16 || in.size > INT_MAX - 16) return SG_ERR_INVAL;
  if (in.key_size != 16 && in.key_size != 24 && in.key_size != 32) return SG_ERR_INVAL;
  const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context(EVP_CIPHER_CTX_new(),
                                                                                &EVP_CIPHER_CTX_free);
  std::string out(in.size + 16, '\0');
  auto* to = reinterpret_cast<std::uint8_t*>(out.data());
  int first = 0, last = 0;
  const bool done = context &&
                    EVP_CipherInit_ex2(context.get(), cipher, in.key, in.iv, encrypt ? 1 : 0, nullptr) == 1 &&
                    EVP_CipherUpdate(context.get(), to, &first, in.bytes, static_cast<int>(in.size)) == 1 &&
                    EVP_CipherFinal_ex(context.get(), to + first, &last) == 1;
  if (done) *output = signal_buffer_create(to, static_cast<std::size_t>(first + last));
  OPENSSL_cleanse(out.data(), out.size());
  if (!done) return SG_ERR_UNKNOWN;
  return *output == nullptr ? SG_ERR_NOMEM : SG_SUCCESS;
}
int encrypt(signal_buffer** output, int mode, const std::uint8_t* key, std::size_t key_size, const std::uint8_t* iv,
            std::size_t iv_size, const std::uint8_t* bytes, std::size_t size, void*) {
  return aes(output, mode, true, {key, iv, bytes, key_size, iv_size, size});
}
int decrypt(signal_buffer** output, int mode, const std::uint8_t* key, std::size_t key_size, const std::uint8_t* iv,
            std::size_t iv_size, const std::uint8_t* bytes, std::size_t size, void*) {
  return aes(output, mode, false, {key, iv, bytes, key_size, iv_size, size});
}

}  // namespace

Context::Context() {
  const signal_crypto_provider provider{random,         hmac_init,   hmac_update,   hmac_final,
                                        hmac_cleanup,   sha512_init, sha512_update, sha512_final,
                                        sha512_cleanup, encrypt,     decrypt,       nullptr};
  const bool done = signal_context_create(&context_, this) == 0 &&
                    signal_context_set_crypto_provider(context_, &provider) == 0 &&
                    signal_context_set_locking_functions(
                        context_, [](void* self) { static_cast<Context*>(self)->mutex_.lock(); },
                        [](void* self) { static_cast<Context*>(self)->mutex_.unlock(); }) == 0;
  if (!done) throw std::runtime_error("cannot set up end-to-end encryption");
}
Context::~Context() { signal_context_destroy(context_); }

}  // namespace barid::e2ee
