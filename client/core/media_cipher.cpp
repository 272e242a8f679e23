#include "client/core/media_cipher.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>
#include <system_error>
#include <vector>

#include "base/assert.h"
#include "base/crypto.h"
#include "base/fd.h"

namespace barid::client {
namespace {

constexpr std::size_t kNonceBytes = 12;
using Cipher = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;
using Hash = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

[[noreturn]] void fail_on(const std::string& path) { throw std::system_error(errno, std::generic_category(), path); }

// STREAM (Hoang et al., CRYPTO 2015): the chunk's number and whether it is the last one, so that none can be left out,
// moved or cut off. The key belongs to one file, so numbers from 0 are safe.
std::array<unsigned char, kNonceBytes> nonce_of(std::uint64_t chunk, bool last) {
  std::array<unsigned char, kNonceBytes> nonce{};
  for (std::size_t i = 0; i < 8; ++i) nonce[3 + i] = static_cast<unsigned char>(chunk >> (56 - 8 * i));
  nonce[11] = last ? 1 : 0;
  return nonce;
}

const unsigned char* raw(const std::string& bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

std::size_t read_full(int fd, char* out, std::size_t most, const std::string& path) {
  std::size_t have = 0;
  while (have < most) {
    const ssize_t n = ::read(fd, out + have, most - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_on(path);
    if (n == 0) break;
    have += static_cast<std::size_t>(n);
  }
  return have;
}

void write_full(int fd, const char* from, std::size_t count, const std::string& path) {
  while (count != 0) {
    const ssize_t n = ::write(fd, from, count);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_on(path);
    from += n, count -= static_cast<std::size_t>(n);
  }
}

Fd open_new(const std::string& path) {
  Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.open()) fail_on(path);
  return file;
}
Fd open_old(const std::string& path) {
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.open()) fail_on(path);
  return file;
}
std::uint64_t size_of(const Fd& file, const std::string& path) {
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) fail_on(path);
  return static_cast<std::uint64_t>(info.st_size);
}

}  // namespace

std::uint64_t padded_media_bytes(std::uint64_t bytes) {
  if (bytes <= kMediaPaddedBytesMin) return kMediaPaddedBytesMin;
  const int exponent = std::bit_width(bytes) - 1;
  const int digits = std::bit_width(static_cast<unsigned>(exponent));
  const std::uint64_t step = 1ULL << (exponent - digits);
  return (bytes + step - 1) / step * step;
}

std::uint64_t sealed_media_bytes(std::uint64_t bytes) {
  const std::uint64_t padded = padded_media_bytes(bytes);
  return padded + (padded + kMediaChunkBytes - 1) / kMediaChunkBytes * kMediaTagBytes;
}

std::string make_media_key() {
  std::string key(kMediaKeyBytes, '\0');
  crypto::random_bytes(key.data(), key.size());
  return key;
}

SealedMedia seal_media(const std::string& from, const std::string& to, const std::string& key) {
  BARID_ASSERT(key.size() == kMediaKeyBytes);
  const Fd in = open_old(from), out = open_new(to);
  SealedMedia sealed{{}, size_of(in, from), 0};
  const std::uint64_t padded = padded_media_bytes(sealed.bytes);
  const Cipher cipher(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  const Hash hash(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  EVP_DigestInit_ex(hash.get(), EVP_sha256(), nullptr);
  std::vector<char> plain(kMediaChunkBytes), coded(kMediaChunkBytes + kMediaTagBytes);
  std::uint64_t left = sealed.bytes;
  for (std::uint64_t at = 0, chunk = 0; at < padded; ++chunk) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(kMediaChunkBytes, padded - at));
    const auto real = static_cast<std::size_t>(std::min<std::uint64_t>(size, left));
    if (read_full(in.get(), plain.data(), real, from) != real) {
      errno = EIO;  // it has become shorter
      fail_on(from);
    }
    std::fill(plain.begin() + static_cast<std::ptrdiff_t>(real), plain.end(), '\0');
    left -= real, at += size;
    const auto nonce = nonce_of(chunk, at == padded);
    int count = 0, rest = 0;
    auto* code = reinterpret_cast<unsigned char*>(coded.data());
    const bool done = EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, raw(key), nonce.data()) == 1 &&
                      EVP_EncryptUpdate(cipher.get(), code, &count, reinterpret_cast<unsigned char*>(plain.data()),
                                        static_cast<int>(size)) == 1 &&
                      EVP_EncryptFinal_ex(cipher.get(), code + count, &rest) == 1 &&
                      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, kMediaTagBytes, code + size) == 1;
    BARID_ASSERT(done);
    EVP_DigestUpdate(hash.get(), coded.data(), size + kMediaTagBytes);
    write_full(out.get(), coded.data(), size + kMediaTagBytes, to);
    sealed.sealed_bytes += size + kMediaTagBytes;
  }
  sealed.digest.resize(32);
  EVP_DigestFinal_ex(hash.get(), reinterpret_cast<unsigned char*>(sealed.digest.data()), nullptr);
  if (::fsync(out.get()) != 0) fail_on(to);
  return sealed;
}

bool has_digest(const std::string& path, const std::string& digest) {
  const Fd in = open_old(path);
  const Hash hash(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  EVP_DigestInit_ex(hash.get(), EVP_sha256(), nullptr);
  std::vector<char> buffer(kMediaChunkBytes);
  while (const std::size_t n = read_full(in.get(), buffer.data(), buffer.size(), path))
    EVP_DigestUpdate(hash.get(), buffer.data(), n);
  std::string is(32, '\0');
  EVP_DigestFinal_ex(hash.get(), reinterpret_cast<unsigned char*>(is.data()), nullptr);
  return is == digest;
}

Result<void, MediaErrc> open_media(const std::string& from, const std::string& to, const std::string& key,
                                   std::uint64_t bytes) {
  const Fd in = open_old(from);
  const std::uint64_t padded = padded_media_bytes(bytes);
  if (key.size() != kMediaKeyBytes || bytes > (1ULL << 62) || size_of(in, from) != sealed_media_bytes(bytes))
    return fail(MediaErrc::damaged);
  Fd out = open_new(to);
  const auto give_up = [&]() -> Result<void, MediaErrc> {
    ::unlink(to.c_str());
    return fail(MediaErrc::damaged);
  };
  const Cipher cipher(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  std::vector<char> plain(kMediaChunkBytes), coded(kMediaChunkBytes + kMediaTagBytes);
  std::uint64_t left = bytes;
  for (std::uint64_t at = 0, chunk = 0; at < padded; ++chunk) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(kMediaChunkBytes, padded - at));
    if (read_full(in.get(), coded.data(), size + kMediaTagBytes, from) != size + kMediaTagBytes) return give_up();
    at += size;
    const auto nonce = nonce_of(chunk, at == padded);
    int count = 0, rest = 0;
    auto* clear = reinterpret_cast<unsigned char*>(plain.data());
    const bool genuine =
        EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, raw(key), nonce.data()) == 1 &&
        EVP_DecryptUpdate(cipher.get(), clear, &count, reinterpret_cast<unsigned char*>(coded.data()),
                          static_cast<int>(size)) == 1 &&
        EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, kMediaTagBytes, coded.data() + size) == 1 &&
        EVP_DecryptFinal_ex(cipher.get(), clear + count, &rest) == 1;
    if (!genuine) return give_up();
    const auto real = static_cast<std::size_t>(std::min<std::uint64_t>(size, left));
    if (std::any_of(plain.begin() + static_cast<std::ptrdiff_t>(real),
                    plain.begin() + static_cast<std::ptrdiff_t>(size), [](char c) { return c != '\0'; }))
      return give_up();
    write_full(out.get(), plain.data(), real, to);
    left -= real;
  }
  if (::fsync(out.get()) != 0) fail_on(to);
  return {};
}

}  // namespace barid::client
