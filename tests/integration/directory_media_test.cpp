// Who may upload what, on a real Postgres: quotas, rates, and URLs that the media service believes.
#include "schemas/media_url.h"
#include "storage/media.h"
#include "tests/integration/directory_harness.h"

namespace barid::directory {
namespace {

using wire::Code;

const std::string kOne(32, '\1'), kTwo(32, '\2');

class DirectoryMedia : public DirectoryTest {
 protected:
  void SetUp() override {
    DirectoryTest::SetUp();
    crypto::random_bytes(secrets.media.data(), secrets.media.size());
    media.public_url = "https://media.example";
    media.file_bytes_max = 1'000, media.quota_bytes_per_user = 1'500;
    begin();
    alice = register_phone("+4915112345601"), bob = register_phone("+4915112345602");
  }
  void begin() {
    directory = std::make_unique<Directory>(
        *pool, config, secrets, sender, [](storage::Change) {}, [](GroupId) {}, [this] { return now; }, media);
  }
  control::DirectoryCall from(const wire::Registered& who, decltype(wire::Request::body) body) {
    return call(std::move(body), who.user, who.device);
  }
  void finish(const wire::Registered& who, const std::string& digest, std::uint64_t bytes) {
    ASSERT_TRUE(storage::Media(*pool).stored(who.user, digest, bytes, WallMs{now.value + 1'000'000}, now));
  }
  // What is in "…?d=…&u=…" of that name.
  static std::string_view part(const std::string& url, const std::string& name) {
    std::size_t at = url.find("?" + name + "=");
    if (at == std::string::npos) at = url.find("&" + name + "=");
    if (at == std::string::npos) return {};
    const std::size_t begin = at + name.size() + 2;
    return std::string_view(url).substr(begin, url.find('&', begin) - begin);
  }
  MediaConfig media;
  wire::Registered alice, bob;
};

TEST_F(DirectoryMedia, UrlsSayWhatMayBeDoneAndUntilWhen) {
  const auto upload = ask<wire::MediaUpload>(from(alice, wire::UploadMedia{kOne, 700}));
  EXPECT_FALSE(upload.stored);
  EXPECT_EQ(upload.url.rfind("https://media.example/v1/uploads?", 0), 0U) << upload.url;
  const auto ticket = media::check_upload({part(upload.url, "u"), part(upload.url, "d"), part(upload.url, "b"),
                                           part(upload.url, "e"), part(upload.url, "s")},
                                          secrets.media, now.value / 1'000);
  ASSERT_TRUE(ticket.has_value());
  EXPECT_EQ(*ticket, (media::UploadTicket{alice.user, kOne, 700, now.value / 1'000 + 3'600}));
  EXPECT_EQ(refusal(from(bob, wire::DownloadMedia{kOne})).code, Code::not_found);  // not there yet
  finish(alice, kOne, 700);
  const auto url = ask<wire::MediaUrl>(from(bob, wire::DownloadMedia{kOne}));
  const std::string hex = crypto::to_hex(kOne);
  EXPECT_TRUE(media::check_download({{}, hex, {}, part(url.url, "e"), part(url.url, "s")}, secrets.media,
                                    now.value / 1'000 + 3'600)
                  .has_value());
  now.value += 1'000;  // another asks a little later: the same URL, for caches
  EXPECT_EQ(ask<wire::MediaUrl>(from(alice, wire::DownloadMedia{kOne})).url, url.url);
}

TEST_F(DirectoryMedia, QuotasCountWhatIsUnderWayAndWhatIsThereIsNotUploadedAgain) {
  EXPECT_EQ(refusal(from(alice, wire::UploadMedia{kOne, 0})).code, Code::invalid_argument);
  EXPECT_EQ(refusal(from(alice, wire::UploadMedia{kOne, 1'001})).code, Code::content_too_large);
  ask<wire::MediaUpload>(from(alice, wire::UploadMedia{kOne, 900}));
  ask<wire::MediaUpload>(from(alice, wire::UploadMedia{kOne, 900}));  // again: counted once
  EXPECT_EQ(refusal(from(alice, wire::UploadMedia{kTwo, 900})).code, Code::quota_exceeded);
  EXPECT_EQ(ask<wire::MediaUsage>(from(alice, wire::GetMediaUsage{})).used_bytes, 900U);
  ask<wire::Done>(from(alice, wire::DeleteMedia{kOne}));  // an upload under way holds its place
  EXPECT_EQ(ask<wire::MediaUsage>(from(alice, wire::GetMediaUsage{})).used_bytes, 900U);
  finish(alice, kOne, 900);
  EXPECT_TRUE(ask<wire::MediaUpload>(from(bob, wire::UploadMedia{kOne, 900})).stored);
  EXPECT_EQ(refusal(from(bob, wire::UploadMedia{kOne, 899})).code, Code::invalid_argument);
  ask<wire::Done>(from(alice, wire::DeleteMedia{kOne}));
  EXPECT_EQ(ask<wire::MediaUsage>(from(alice, wire::GetMediaUsage{})).used_bytes, 0U);
  ask<wire::MediaUrl>(from(alice, wire::DownloadMedia{kOne}));  // Bob keeps it
  EXPECT_FALSE(storage::Media(*pool).forget(kOne, now));
  ask<wire::Done>(from(bob, wire::DeleteMedia{kOne}));
  EXPECT_TRUE(storage::Media(*pool).forget(kOne, now));
}

TEST_F(DirectoryMedia, RatesAreLimitedAndWithoutAServiceThereIsNone) {
  media.uploads_per_user = {0.1, 2};
  begin();
  ask<wire::MediaUpload>(from(alice, wire::UploadMedia{kOne, 1}));
  ask<wire::MediaUpload>(from(alice, wire::UploadMedia{kOne, 1}));
  const auto throttled = refusal(from(alice, wire::UploadMedia{kOne, 1}));
  EXPECT_EQ(throttled.code, Code::rate_limited);
  EXPECT_GT(throttled.retry_after_ms, 0U);
  ask<wire::MediaUpload>(from(bob, wire::UploadMedia{kOne, 1}));
  EXPECT_EQ(refusal(call(wire::UploadMedia{kOne, 1})).code, Code::not_allowed);  // without a login
  media.public_url.clear();
  begin();
  EXPECT_EQ(refusal(from(alice, wire::UploadMedia{kOne, 1})).code, Code::not_found);
  EXPECT_EQ(refusal(from(alice, wire::DownloadMedia{kOne})).code, Code::not_found);
}

}  // namespace
}  // namespace barid::directory
