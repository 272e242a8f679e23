// The local store's promises, and the Range header.
#include <gtest/gtest.h>
#include <openssl/sha.h>

#include <filesystem>

#include "base/crypto.h"
#include "edge/media/range.h"
#include "edge/media/store.h"

namespace barid::media {
namespace {

class MediaStore : public testing::Test {
 protected:
  MediaStore() {
    crypto::init_crypto();
    folder_ = std::filesystem::temp_directory_path() / ("barid-store-" + std::to_string(crypto::random_u64()));
    store = open_local_store(folder_);
  }
  ~MediaStore() override { std::filesystem::remove_all(folder_); }
  static PartId id_of(const std::string& bytes) {
    std::string digest(32, '\0');
    SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
           reinterpret_cast<unsigned char*>(digest.data()));
    return {UserId(7), digest};
  }
  std::filesystem::path folder_;
  std::unique_ptr<Store> store;
};

TEST_F(MediaStore, TwoWritersOfOnePartNeverMixTheirBytes) {
  const PartId id = id_of("abcdef");
  store->create_part(id);
  auto one = store->open_part(id).value(), two = store->open_part(id).value();
  ASSERT_TRUE(one->append("abc"));
  EXPECT_EQ(two->append("abc").error(), StoreErrc::moved);
  ASSERT_TRUE(one->append("def"));
  EXPECT_TRUE(store->verify_part(id));
}

TEST_F(MediaStore, NothingIsAddedToAnObjectByWhoHadItOpenAsAPart) {
  const PartId id = id_of("abcdef");
  store->create_part(id);
  auto writer = store->open_part(id).value();
  ASSERT_TRUE(writer->append("abcdef"));
  EXPECT_EQ(store->place_part(id, 5).error(), StoreErrc::moved);
  ASSERT_TRUE(store->place_part(id, 6));
  EXPECT_EQ(writer->append("!").error(), StoreErrc::none_such);
  EXPECT_EQ(store->open(id.digest)->bytes, 6U);
  EXPECT_TRUE(store->parts().empty());
}

TEST_F(MediaStore, APartThatWasRemovedTakesNoMoreAndItsIdIsFound) {
  const PartId id = id_of("abcdef");
  store->create_part(id);
  ASSERT_EQ(store->parts().size(), 1U);
  EXPECT_EQ(store->parts()[0].user, id.user);
  EXPECT_EQ(store->parts()[0].digest, id.digest);
  auto writer = store->open_part(id).value();
  store->remove_part(id);
  EXPECT_EQ(writer->append("abc").error(), StoreErrc::none_such);
}

TEST(MediaRange, IsReadAsTheRfcSays) {
  const auto of = [](const char* header) { return read_range(header, 1'000); };
  const auto is = [&](const char* header, std::uint64_t first, std::uint64_t count) {
    const Wanted wanted = of(header);
    const auto* part = std::get_if<BytesOf>(&wanted);
    return part != nullptr && part->first == first && part->count == count;
  };
  EXPECT_TRUE(is("bytes=0-0", 0, 1));
  EXPECT_TRUE(is("bytes=0-", 0, 1'000));
  EXPECT_TRUE(is("bytes=999-", 999, 1));
  EXPECT_TRUE(is("bytes=-1", 999, 1));
  EXPECT_TRUE(is("bytes=-99999", 0, 1'000));
  EXPECT_TRUE(is("bytes=0-99999999999999999999999", 0, 1'000));
  for (const char* beyond : {"bytes=1000-", "bytes=-0", "bytes=99999999999999999999999-"})
    EXPECT_TRUE(std::holds_alternative<OutOfRange>(of(beyond))) << beyond;
  for (const char* ignored : {"", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=2-1", "bytes=0-1,3-4", "items=0-1",
                              "bytes= 0-1", "bytes=+0-1"})
    EXPECT_TRUE(std::holds_alternative<WholeFile>(of(ignored))) << ignored;
  EXPECT_TRUE(std::holds_alternative<OutOfRange>(read_range("bytes=0-", 0)));
}

}  // namespace
}  // namespace barid::media
