// Files between people, on the whole stack, with the media service killed in the middle.
#include <filesystem>
#include <fstream>
#include <random>

#include "tests/faults/person.h"

namespace barid::test {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kFileBytes = 50'000'000;
constexpr std::string_view kSecret = "the password of the archive is swordfish-4711";

void write_file(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

std::string large_file() {
  std::string bytes(kFileBytes, '\0');
  std::mt19937_64 random(4'711);
  for (std::size_t i = 0; i + 8 <= bytes.size(); i += 8) {
    const std::uint64_t word = random();
    std::copy_n(reinterpret_cast<const char*>(&word), 8, bytes.begin() + static_cast<std::ptrdiff_t>(i));
  }
  for (std::size_t at = 0; at + kSecret.size() < bytes.size(); at += 1'000'000)
    std::copy(kSecret.begin(), kSecret.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
  return bytes;
}

bool any_file_has(const std::string& folder, std::string_view needle) {
  for (const auto& entry : fs::recursive_directory_iterator(folder, fs::directory_options::skip_permission_denied))
    if (entry.is_regular_file() && read_file(entry.path()).find(needle) != std::string::npos) {
      ADD_FAILURE() << entry.path() << " has " << needle;
      return true;
    }
  return false;
}

std::uintmax_t bytes_in(const std::string& folder) {
  std::uintmax_t bytes = 0;
  std::error_code gone;
  for (const auto& entry : fs::recursive_directory_iterator(folder, gone))
    if (entry.is_regular_file(gone)) bytes += entry.file_size(gone);
  return bytes;
}

std::string row_of(const Person& person) { return std::to_string(person.heard().at(0).at("row").get<int>()); }

class MediaStack : public testing::Test {
 protected:
  static void SetUpTestSuite() { stack = std::make_unique<Stack>(); }
  static void TearDownTestSuite() { stack.reset(); }
  TempDir dir;
  static inline std::unique_ptr<Stack> stack;
};

TEST_F(MediaStack, TwoPeopleExchangeALargeFileAlthoughTheServiceIsKilledTwiceAndItSeesCiphertextOnly) {
  Person alice(*stack, dir.file("alice"), "+4915112347001"), bob(*stack, dir.file("bob"), "+4915112347002");
  bob.listen();
  const std::string bytes = large_file(), path = dir.file("holiday plans.bin"), store = stack->data() + "/media";
  write_file(path, bytes);
  const pid_t service = stack->pid_of("media");
  ASSERT_GT(service, 0);
  {
    ChildProcess sending(alice.command({"send", bob.phone(), "--file", path, "--caption", "at last"}),
                         dir.file("said"));
    ASSERT_TRUE(wait_until([&] { return bytes_in(store + "/parts") > 1'000'000; }, kPatience));
    ::kill(service, SIGKILL);
    EXPECT_LT(bytes_in(store + "/objects"), 1'000'000U) << "it was killed too late";
    const auto ended = sending.wait(std::chrono::seconds(120));
    ASSERT_TRUE(ended.has_value()) << read_file(dir.file("said"));
    ASSERT_EQ(*ended, 0) << read_file(dir.file("said"));
  }
  ASSERT_TRUE(wait_until([&] { return bob.heard().size() == 1; }, kPatience)) << bob.printed();
  const auto heard = bob.heard()[0];
  EXPECT_EQ(heard.at("kind"), "document");
  EXPECT_EQ(heard.at("media").at("name"), "holiday plans.bin");
  EXPECT_EQ(heard.at("media").at("caption"), "at last");
  EXPECT_EQ(heard.at("media").at("bytes"), kFileBytes);

  const std::string row = row_of(bob), to = dir.file("got");
  {
    ChildProcess getting(bob.command({"get", row, "--to", to}), dir.file("got-said"));
    EXPECT_TRUE(wait_until([&] { return bytes_in(dir.file("bob")) > 1'000'000 || !getting.running(); }, kPatience));
    stack->kill("media");
    const auto ended = getting.wait(std::chrono::seconds(120));
    ASSERT_TRUE(ended.has_value()) << read_file(dir.file("got-said"));
    ASSERT_EQ(*ended, 0) << read_file(dir.file("got-said"));
  }
  EXPECT_TRUE(read_file(to) == bytes);
  // From the cache, without the service; and never over what is there.
  EXPECT_EQ(bob.barid({"get", row, "--to", dir.file("again")}).status, 0);
  EXPECT_TRUE(read_file(dir.file("again")) == bytes);
  EXPECT_EQ(bob.barid({"get", row, "--to", to}).status, 2);

  EXPECT_GT(bytes_in(store), kFileBytes);
  for (const char* folder : {"/media", "/nats", "/log", "/postgres/data/base", "/postgres/data/pg_wal"}) {
    ASSERT_TRUE(fs::exists(stack->data() + folder)) << folder;
    EXPECT_FALSE(any_file_has(stack->data() + folder, kSecret));
    EXPECT_FALSE(any_file_has(stack->data() + folder, "holiday plans"));
  }
  // What is kept here is ciphertext too, and nothing of the upload is left.
  EXPECT_EQ(bytes_in(dir.file("alice") + "/default/media/outgoing"), 0U);
  EXPECT_FALSE(any_file_has(dir.file("bob") + "/default/media", kSecret));
}

TEST_F(MediaStack, ASendThatWasKilledGoesOnWithTheSameCiphertextAndTheMessageGoesOutOnce) {
  Person alice(*stack, dir.file("alice"), "+4915112347003"), bob(*stack, dir.file("bob"), "+4915112347004");
  bob.listen();
  const std::string bytes = large_file(), path = dir.file("a.zip"),
                    outgoing = dir.file("alice") + "/default/media/outgoing";
  write_file(path, bytes);
  const std::vector<std::string> send{"send", bob.phone(), "--file", path};
  {
    ChildProcess sending(alice.command(send), dir.file("said"));
    ASSERT_TRUE(wait_until([&] { return bytes_in(stack->data() + "/media/parts") > 0; }, kPatience));
    sending.signal(SIGKILL);
    ASSERT_TRUE(sending.wait(kPatience).has_value());
  }
  std::string sealed;
  for (const auto& entry : fs::directory_iterator(outgoing)) sealed = entry.path().string();
  if (!sealed.empty()) {  // killed before the end: what it made is used again
    const auto made = fs::last_write_time(sealed);
    EXPECT_EQ(alice.barid(send).status, 0);
    EXPECT_FALSE(fs::exists(sealed)) << made.time_since_epoch().count();
  }
  ASSERT_TRUE(wait_until([&] { return bob.heard().size() == 1; }, kPatience)) << bob.printed();
  EXPECT_EQ(bob.barid({"get", row_of(bob), "--to", dir.file("got")}).status, 0);
  EXPECT_TRUE(read_file(dir.file("got")) == bytes);
  EXPECT_EQ(bob.heard().size(), 1U);
}

TEST_F(MediaStack, AFileThatWasTamperedWithIsNotShown) {
  Person alice(*stack, dir.file("alice"), "+4915112347005"), bob(*stack, dir.file("bob"), "+4915112347006");
  bob.listen();
  const std::string path = dir.file("note.txt");
  write_file(path, std::string(kSecret));
  ASSERT_EQ(alice.barid({"send", bob.phone(), "--file", path, "--as-file"}).status, 0);
  ASSERT_TRUE(wait_until([&] { return bob.heard().size() == 1; }, kPatience)) << bob.printed();
  const std::string digest = bob.heard()[0].at("media").at("sha256");
  const std::string object = stack->data() + "/media/objects/" + digest.substr(0, 2) + "/" + digest;
  std::string bytes = read_file(object);
  ASSERT_FALSE(bytes.empty());
  bytes[100] = static_cast<char>(bytes[100] ^ 1);
  write_file(object, bytes);
  const Ran ran = bob.barid({"get", row_of(bob), "--to", dir.file("got")});
  EXPECT_EQ(ran.status, 4) << ran.output;
  EXPECT_FALSE(fs::exists(dir.file("got")));
}

}  // namespace
}  // namespace barid::test
