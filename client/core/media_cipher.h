// Files as they are stored on the server: padded, encrypted in chunks, every byte authenticated (docs/protocol.md,
// section 18). Streams; any thread. What is wrong with a file of ours throws std::system_error.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "base/result.h"

namespace barid::client {

inline constexpr std::uint8_t kMediaEncoding = 1;
inline constexpr std::size_t kMediaKeyBytes = 32, kMediaChunkBytes = 65'536, kMediaTagBytes = 16;
inline constexpr std::uint64_t kMediaPaddedBytesMin = 4'096;

// Lengths say little about what is inside: at most 12 % more, by the rule of Padmé (Nikitin et al., PETS 2019). Pure.
std::uint64_t padded_media_bytes(std::uint64_t bytes);
std::uint64_t sealed_media_bytes(std::uint64_t bytes);  // of the ciphertext

struct SealedMedia {
  std::string digest;  // SHA-256 of the ciphertext, 32 bytes
  std::uint64_t bytes = 0, sealed_bytes = 0;
};
std::string make_media_key();
// Encrypts `from` into the new file `to` (mode 0600), which is on the disk afterwards. `key` must never be used twice.
SealedMedia seal_media(const std::string& from, const std::string& to, const std::string& key);

enum class MediaErrc { damaged };
// True: the file's bytes have that digest.
bool has_digest(const std::string& path, const std::string& digest);
// Decrypts `from` into the new file `to`, which is removed again when anything is wrong: nobody sees a part of it.
Result<void, MediaErrc> open_media(const std::string& from, const std::string& to, const std::string& key,
                                   std::uint64_t bytes);

}  // namespace barid::client
