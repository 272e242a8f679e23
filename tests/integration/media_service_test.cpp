// barid-media against its protocol, bad input and misfortune: the real process, the real Postgres, a real disk.
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <pqxx/pqxx>
#include <random>

#include "tests/integration/media_fixture.h"

namespace barid::media {
namespace {

std::string random_text(std::size_t bytes) {
  std::string out(bytes, '\0');
  crypto::random_bytes(out.data(), out.size());
  return out;
}

TEST_F(MediaTest, WhatWasUploadedInPiecesComesBackAndCannotRunInABrowser) {
  start();
  const std::string bytes = random_text(300'000), digest = digest_of(bytes);
  const std::string location = begin(kAlice, digest, bytes.size());
  EXPECT_EQ(patch(location, 0, bytes.substr(0, 100'000)).header("upload-offset"), "100000");
  EXPECT_EQ(ask("GET", download(digest)).status, 404);  // whole or not at all
  const Answer head = tus("HEAD", location);
  EXPECT_EQ(head.header("upload-offset"), "100000");
  EXPECT_EQ(head.header("upload-length"), "300000");
  EXPECT_EQ(head.header("cache-control"), "no-store");
  EXPECT_EQ(patch(location, 100'000, bytes.substr(100'000)).header("upload-offset"), "300000");
  const Answer got = ask("GET", download(digest));
  EXPECT_EQ(got.status, 200);
  EXPECT_TRUE(got.body == bytes);
  EXPECT_EQ(got.header("content-type"), "application/octet-stream");
  EXPECT_EQ(got.header("content-disposition"), "attachment");
  EXPECT_EQ(got.header("x-content-type-options"), "nosniff");
  EXPECT_EQ(got.header("content-security-policy"), "sandbox; default-src 'none'");
  EXPECT_EQ(got.header("access-control-allow-origin"), "*");
  EXPECT_NE(got.header("cache-control").find("immutable"), std::string::npos);
  EXPECT_EQ(got.header("etag"), "\"" + crypto::to_hex(digest) + "\"");
  EXPECT_TRUE(media->knows(digest));
  EXPECT_EQ(files().size(), 1U);
}

TEST_F(MediaTest, RangesAreServedAsTheRfcSays) {
  start();
  const std::string bytes = random_text(10'000), digest = store(kAlice, bytes), url_now = download(digest);
  const auto range = [&](const std::string& r, Headers more = {}) {
    more.emplace_back("Range", r);
    return ask("GET", url_now, more);
  };
  Answer part = range("bytes=100-199");
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.header("content-range"), "bytes 100-199/10000");
  EXPECT_TRUE(part.body == bytes.substr(100, 100));
  EXPECT_TRUE(range("bytes=9990-").body == bytes.substr(9'990));
  EXPECT_TRUE(range("bytes=-10").body == bytes.substr(9'990));
  EXPECT_EQ(range("bytes=9999-20000").header("content-range"), "bytes 9999-9999/10000");
  EXPECT_EQ(range("bytes=10000-").status, 416);
  EXPECT_EQ(range("bytes=10000-").header("content-range"), "bytes */10000");
  EXPECT_EQ(range("bytes=5-1").status, 200);  // malformed: ignored
  EXPECT_EQ(range("bytes=0-1,4-5").status, 200);
  const std::string etag = "\"" + crypto::to_hex(digest) + "\"";
  EXPECT_EQ(range("bytes=0-9", {{"If-Range", etag}}).status, 206);
  EXPECT_EQ(range("bytes=0-9", {{"If-Range", "\"another\""}}).status, 200);
  EXPECT_EQ(ask("GET", url_now, {{"If-None-Match", etag}}).status, 304);
  const Answer head = ask("HEAD", url_now);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("content-length"), "10000");
  EXPECT_TRUE(head.body.empty());
}

TEST_F(MediaTest, ForgedExpiredAndBorrowedUrlsAreRefusedAndPathsLeadNowhere) {
  start();
  const std::string bytes = "ciphertext", digest = store(kAlice, bytes);
  std::string forged = download(digest);
  forged.back() = forged.back() == '0' ? '1' : '0';
  EXPECT_EQ(ask("GET", forged).status, 403);
  EXPECT_EQ(ask("GET", download(digest, -1)).status, 403);
  EXPECT_EQ(ask("GET", "/v1/media/" + crypto::to_hex(digest)).status, 403);
  // A signature to download is none to upload, and one for another file or size is none for this.
  const std::string other = digest_of("other");
  std::string borrowed = creation(kAlice, other, 5);
  borrowed.replace(borrowed.find("b=5"), 3, "b=6");
  EXPECT_EQ(tus("POST", borrowed, {{"Upload-Length", "6"}}).status, 403);
  EXPECT_EQ(tus("POST", creation(kAlice, other, 5, -1), {{"Upload-Length", "5"}}).status, 403);
  for (const char* path : {"/v1/media/../../secrets/media.key", "/v1/media/%2e%2e%2f%2e%2e%2fsecrets%2fmedia.key",
                           "/v1/media/..", "/v1/media//etc/passwd", "/v1/uploads/../objects", "/", "/v1", "/../etc"}) {
    const int status = ask("GET", path).status;
    EXPECT_TRUE(status == 403 || status == 404 || status == 405) << path << " " << status;
    EXPECT_NE(
        tus("PATCH", path, {{"Upload-Offset", "0"}, {"Content-Type", "application/offset+octet-stream"}}, "x").status,
        204)
        << path;
  }
  EXPECT_EQ(ask("POST", download(digest)).status, 405);
  EXPECT_EQ(files().size(), 1U);
}

TEST_F(MediaTest, MislabelledOversizedAndTruncatedUploadsAreRefusedAndLeaveNothingWrong) {
  start("file_bytes_max = 1000000");
  const std::string bytes = random_text(50'000), digest = digest_of(bytes);
  offer(kAlice, digest, bytes.size());
  const std::string at = creation(kAlice, digest, bytes.size());
  EXPECT_EQ(ask("POST", at, {{"Upload-Length", "50000"}}).status, 412);  // no tus version
  EXPECT_EQ(tus("POST", at).status, 400);
  EXPECT_EQ(tus("POST", at, {{"Upload-Length", "49999"}}).status, 400);
  EXPECT_EQ(tus("POST", at, {{"Upload-Length", "1000001"}}).status, 413);
  EXPECT_EQ(tus("POST", at, {{"Upload-Length", "-1"}}).status, 400);
  EXPECT_EQ(tus("POST", creation(kBob, digest, 50'000), {{"Upload-Length", "50000"}}).status, 410);  // never offered
  const std::string location = begin(kAlice, digest, bytes.size());
  EXPECT_EQ(tus("PATCH", location, {{"Upload-Offset", "0"}, {"Content-Type", "text/html"}}, bytes).status, 415);
  EXPECT_EQ(patch(location, 1, bytes.substr(1)).status, 409);
  EXPECT_EQ(patch(location, 0, bytes + "x").status, 413);
  EXPECT_EQ(tus("HEAD", location).header("upload-offset"), "0");
  break_off(location, 0, bytes.substr(0, 20'000), 50'000);
  EXPECT_TRUE(test::wait_until([&] { return tus("HEAD", location).header("upload-offset") == "20000"; }));
  // Other bytes than those of the digest: refused at the end, and removed.
  const Answer wrong = patch(location, 20'000, std::string(30'000, 'x'));
  EXPECT_EQ(wrong.status, 422) << wrong.body;
  EXPECT_TRUE(files().empty());
  EXPECT_EQ(ask("GET", download(digest)).status, 404);
  EXPECT_EQ(patch(begin(kAlice, digest, bytes.size()), 0, bytes).status, 204);
  EXPECT_TRUE(ask("GET", download(digest)).body == bytes);
}

TEST_F(MediaTest, AnUploadGoesOnAfterAKillAndInAnotherProcessOverTheSameStore) {
  start();
  const std::string bytes = random_text(3'000'000), digest = digest_of(bytes);
  const std::string location = begin(kAlice, digest, bytes.size());
  EXPECT_EQ(patch(location, 0, bytes.substr(0, 1'000'000)).status, 204);
  process->signal(SIGKILL);
  ASSERT_TRUE(process->wait(std::chrono::seconds(10)));
  port = 0;  // another process at another port
  start();
  EXPECT_EQ(tus("HEAD", location).header("upload-offset"), "1000000");
  EXPECT_EQ(patch(location, 1'000'000, bytes.substr(1'000'000)).status, 204);
  EXPECT_TRUE(ask("GET", download(digest)).body == bytes);
  EXPECT_EQ(tus("HEAD", location).header("upload-offset"), "3000000");  // complete, and it says so
}

TEST_F(MediaTest, AFileThatWasPlacedButNotNotedIsNotedByWhoAsksNext) {
  start();
  const std::string bytes = random_text(1'000), digest = digest_of(bytes), hex = crypto::to_hex(digest);
  const std::string location = begin(kAlice, digest, bytes.size());
  // As a kill between the rename and the commit leaves it.
  std::filesystem::remove(dir.file("store") + "/parts/" + hex + "-0000000000000065");
  std::ofstream(dir.file("store") + "/objects/" + hex.substr(0, 2) + "/" + hex) << bytes;
  EXPECT_FALSE(media->knows(digest));
  EXPECT_EQ(tus("HEAD", location).header("upload-offset"), "1000");
  EXPECT_TRUE(media->knows(digest));
  EXPECT_TRUE(ask("GET", download(digest)).body == bytes);
}

TEST_F(MediaTest, WithoutPostgresDownloadsGoOnAndUploadsSayWhenToTryAgain) {
  start();
  const std::string kept = random_text(1'000), digest = store(kAlice, kept);
  const std::string bytes = random_text(2'000), next = digest_of(bytes);
  const std::string location = begin(kAlice, next, bytes.size());
  postgres->kill();
  EXPECT_TRUE(ask("GET", download(digest)).body == kept);
  const Answer later = patch(location, 0, bytes);
  EXPECT_EQ(later.status, 503);
  EXPECT_FALSE(later.header("retry-after").empty());
  postgres->start();
  EXPECT_TRUE(test::wait_until([&] { return tus("HEAD", location).header("upload-offset") == "2000"; }));
  EXPECT_TRUE(test::wait_until([&] {
    const Answer again = patch(location, 2'000, "");
    return again.status == 204;
  }));
  EXPECT_TRUE(ask("GET", download(next)).body == bytes);
}

TEST_F(MediaTest, AFullDiskRefusesKeepsWhatCameAndGoesOnWhenThereIsRoom) {
  std::filesystem::create_directory(dir.file("store"));
  const std::string mount = "mount -t tmpfs -o size=6m tmpfs " + dir.file("store") + " && exec \"$@\"";
  start("disk_bytes_min = 0", {"/usr/bin/unshare", "--mount", "/bin/sh", "-c", mount, "sh"});
  const std::string bytes = random_text(4'000'000), digest = store(kAlice, bytes);
  const std::string more = random_text(4'000'000), next = digest_of(more);
  offer(kAlice, next, more.size());
  const std::string at = creation(kAlice, next, more.size());
  EXPECT_EQ(tus("POST", at, {{"Upload-Length", "4000000"}}).status, 507);  // known beforehand
  // Two that each had room when they began.
  const std::string a = random_text(1'500'000), b = random_text(1'500'000);
  const std::string to_a = begin(kAlice, digest_of(a), a.size()), to_b = begin(kAlice, digest_of(b), b.size());
  EXPECT_EQ(patch(to_a, 0, a.substr(0, 1'400'000)).status, 204);
  EXPECT_EQ(patch(to_b, 0, b).status, 507);
  EXPECT_EQ(tus("HEAD", to_a).header("upload-offset"), "1400000");
  EXPECT_EQ(tus("DELETE", to_b).status, 204);
  EXPECT_EQ(patch(to_a, 1'400'000, a.substr(1'400'000)).status, 204);
  EXPECT_TRUE(ask("GET", download(digest_of(a))).body == a);
  EXPECT_TRUE(ask("GET", download(digest)).body == bytes);
}

TEST_F(MediaTest, WhatNobodyKeepsIsRemovedAndWhatSomebodyKeepsIsNot) {
  start("sweep_every_s = 1");
  const std::string ours = store(kAlice, random_text(1'000)), shared = store(kAlice, random_text(1'001));
  const std::string unfinished = digest_of("never");
  begin(kAlice, unfinished, 5);
  const WallMs now = wall_now(), later{now.value + 3'600'000};
  ASSERT_TRUE(media->offer(kBob, shared, 1'001, {10'000, later, later}, now).value());  // there already
  media->drop(kAlice, ours), media->drop(kAlice, shared), media->abandon(kAlice, unfinished);
  EXPECT_TRUE(test::wait_until([&] { return files().size() == 1; }));
  EXPECT_EQ(ask("GET", download(ours)).status, 404);
  EXPECT_EQ(ask("GET", download(shared)).status, 200);
  pool->transact("let time pass",
                 [](pqxx::transaction_base& work) { work.exec0("UPDATE media_keeps SET until_ms = 1"); });
  EXPECT_TRUE(test::wait_until([&] { return files().empty(); }));
  EXPECT_FALSE(media->knows(shared));
}

TEST_F(MediaTest, ALostFileIsNotedSoThatItCanBeUploadedAgain) {
  start("sweep_every_s = 1");
  const std::string bytes = random_text(1'000), digest = store(kAlice, bytes);
  std::filesystem::remove(dir.file("store") + "/" + files().at(0));
  EXPECT_TRUE(test::wait_until([&] { return !media->knows(digest); }));
  store(kAlice, bytes);
  EXPECT_TRUE(ask("GET", download(digest)).body == bytes);
}

TEST_F(MediaTest, ThePublicTusClientUploadsGoesOnAndTerminates) {
  start();
  const std::string bytes = random_text(2'000'000), digest = digest_of(bytes), other(1'000'000, '\0');
  std::ofstream(dir.file("file")) << bytes;
  offer(kAlice, digest, bytes.size()), offer(kAlice, digest_of(other), other.size());
  const std::string base = "http://127.0.0.1:" + std::to_string(port);
  test::ChildProcess client(
      {BARID_TUS_RUN, BARID_TUS_FOLDER, base + creation(kAlice, digest, bytes.size()), dir.file("file"),
       base + creation(kAlice, digest_of(other), other.size()), std::to_string(other.size())},
      dir.file("said"));
  const auto ended = client.wait(std::chrono::seconds(120));
  ASSERT_TRUE(ended.has_value());
  if (WIFEXITED(*ended) && WEXITSTATUS(*ended) == 77) GTEST_SKIP() << "there is no node or npm";
  ASSERT_EQ(*ended, 0) << test::read_file(dir.file("said"));
  EXPECT_EQ(test::read_file(dir.file("said")), "went on at 1048576\nterminated\n");
  EXPECT_TRUE(ask("GET", download(digest)).body == bytes);
  EXPECT_EQ(files().size(), 1U);
}

TEST_F(MediaTest, BrowsersAreToldWhatTheyMayDo) {
  start("cors_origin = \"https://chat.example\"");
  const Answer upload = ask("OPTIONS", "/v1/uploads", {{"Origin", "https://chat.example"}});
  EXPECT_EQ(upload.status, 204);
  EXPECT_EQ(upload.header("tus-version"), "1.0.0");
  EXPECT_EQ(upload.header("tus-extension"), "creation,expiration,termination");
  EXPECT_EQ(upload.header("access-control-allow-origin"), "https://chat.example");
  EXPECT_NE(upload.header("access-control-allow-methods").find("PATCH"), std::string::npos);
  EXPECT_NE(upload.header("access-control-expose-headers").find("Upload-Offset"), std::string::npos);
  const Answer fetch = ask("OPTIONS", "/v1/media/00", {{"Origin", "https://chat.example"}});
  EXPECT_NE(fetch.header("access-control-allow-headers").find("Range"), std::string::npos);
}

TEST_F(MediaTest, ASilentClientIsCutAndTooManyOfOneAddressAreRefused) {
  start("idle_deadline_s = 1\nconnections_per_address = 4");
  std::vector<int> held;
  for (int i = 0; i < 4; ++i) held.push_back(connect());
  char byte = 0;
  const int fifth = connect();
  EXPECT_LE(::recv(fifth, &byte, 1, 0), 0);  // closed at once
  ::close(fifth);
  for (const int fd : held) {
    EXPECT_LE(::recv(fd, &byte, 1, 0), 0);  // closed when the deadline has passed
    ::close(fd);
  }
  EXPECT_TRUE(test::wait_until([&] { return ask("OPTIONS", "/v1/uploads").status == 204; }));
}

long resident_kb(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::atol(line.c_str() + 6);
  return -1;
}

TEST_F(MediaTest, ALargeUploadAndItsDownloadCostLittleMemory) {
  start();
  store(kAlice, random_text(100'000));  // what any first upload costs
  const long before = resident_kb(process->pid());
  ASSERT_GT(before, 0);
  constexpr std::size_t kPiece = 64 << 20;
  constexpr std::uint64_t kPieces = 8;
  const std::string piece = random_text(kPiece);
  std::string bytes;
  for (std::uint64_t i = 0; i < kPieces; ++i) bytes += piece;
  const std::string digest = digest_of(bytes), location = begin(kAlice, digest, bytes.size());
  for (std::uint64_t i = 0; i < kPieces; ++i) ASSERT_EQ(patch(location, i * kPiece, piece).status, 204);
  EXPECT_TRUE(ask("GET", download(digest)).body == bytes);
  const long grown = resident_kb(process->pid()) - before;
  EXPECT_LT(grown, 16 * 1'024) << "kB";
  RecordProperty("grown_kb", static_cast<int>(grown));
}

}  // namespace
}  // namespace barid::media
