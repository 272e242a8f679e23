// Sealed files: what is sealed opens, what was touched does not, and lengths say little.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/crypto.h"
#include "client/core/media_cipher.h"

namespace barid::client {
namespace {

namespace fs = std::filesystem;

class ClientMedia : public testing::Test {
 protected:
  ClientMedia() : dir_(fs::temp_directory_path() / ("barid-media-" + crypto::to_hex(make_media_key()).substr(0, 16))) {
    crypto::init_crypto();
    fs::create_directory(dir_);
  }
  ~ClientMedia() override { fs::remove_all(dir_); }
  std::string path(const char* name) const { return dir_ / name; }
  static void write(const std::string& path, const std::string& bytes) { std::ofstream(path) << bytes; }
  static std::string read(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::string sealed(const std::string& bytes, const std::string& key) {
    write(path("plain"), bytes);
    const SealedMedia made = seal_media(path("plain"), path("sealed"), key);
    EXPECT_TRUE(has_digest(path("sealed"), made.digest));
    EXPECT_EQ(made.sealed_bytes, sealed_media_bytes(bytes.size()));
    return read(path("sealed"));
  }
  fs::path dir_;
};

TEST_F(ClientMedia, WhatIsSealedOpensAtEverySizeAroundAChunk) {
  const std::string key = make_media_key();
  for (const std::size_t size : {1U, 4'095U, 4'096U, 4'097U, 65'535U, 65'536U, 65'537U, 131'072U, 200'001U}) {
    std::string bytes(size, '\0');
    crypto::random_bytes(bytes.data(), bytes.size());
    EXPECT_EQ(sealed(bytes, key).size(), sealed_media_bytes(size));
    ASSERT_TRUE(open_media(path("sealed"), path("opened"), key, size)) << size;
    EXPECT_TRUE(read(path("opened")) == bytes) << size;
  }
}

TEST_F(ClientMedia, NothingThatWasTouchedOpensAndNothingOfItIsLeft) {
  const std::string key = make_media_key(), bytes(200'000, 'a');
  const std::string good = sealed(bytes, key);
  constexpr std::size_t kChunk = kMediaChunkBytes + kMediaTagBytes;
  const auto refused = [&](const std::string& bad, std::uint64_t size, const std::string& with) {
    write(path("bad"), bad);
    const bool opened = open_media(path("bad"), path("opened"), with, size).has_value();
    return !opened && !fs::exists(path("opened"));
  };
  ASSERT_FALSE(refused(good, bytes.size(), key));
  fs::remove(path("opened"));
  std::string flipped = good, swapped = good;
  flipped[kChunk + 5] = static_cast<char>(flipped[kChunk + 5] ^ 1);
  swapped.replace(0, kChunk, good, kChunk, kChunk).replace(kChunk, kChunk, good, 0, kChunk);
  EXPECT_TRUE(refused(flipped, bytes.size(), key));
  EXPECT_TRUE(refused(swapped, bytes.size(), key));
  EXPECT_TRUE(refused(good.substr(0, 2 * kChunk), 131'072, key));  // whole chunks, but not the last one
  EXPECT_TRUE(refused(good.substr(0, good.size() - 1), bytes.size(), key));
  EXPECT_TRUE(refused(good, 199'999, key));  // then what is left over would be padding
  EXPECT_TRUE(refused(good, bytes.size(), make_media_key()));
  EXPECT_TRUE(refused(good, UINT64_MAX, key));
}

TEST_F(ClientMedia, PaddingHidesLengthsAtAnEighthOfTheirSizeAtMost) {
  EXPECT_EQ(padded_media_bytes(1), 4'096U);
  EXPECT_EQ(padded_media_bytes(4'096), 4'096U);
  EXPECT_EQ(padded_media_bytes(4'097), 4'352U);
  EXPECT_EQ(padded_media_bytes(1'000'000), 1'015'808U);
  for (std::uint64_t size = 4'097; size < (1ULL << 40); size += size / 7 + 1) {
    const std::uint64_t padded = padded_media_bytes(size);
    EXPECT_GE(padded, size);
    EXPECT_LE(padded, size + size / 8) << size;
    EXPECT_EQ(padded_media_bytes(padded), padded);
  }
}

}  // namespace
}  // namespace barid::client
