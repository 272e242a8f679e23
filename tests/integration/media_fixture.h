// The real barid-media over a real Postgres, with plain sockets as its clients. One test, one process, one store.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/crypto.h"
#include "schemas/media_url.h"
#include "storage/media.h"
#include "storage/pool.h"
#include "tests/support/servers.h"

namespace barid::media {

struct Answer {
  int status = 0;                              // 0: no answer
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string() : found->second;
  }
};

using Headers = std::vector<std::pair<std::string, std::string>>;

class MediaTest : public testing::Test {
 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite();
  void SetUp() override;

  // `more`: lines of the section [media]. `around`: words before the command, such as prlimit's.
  void start(const std::string& more = {}, const std::vector<std::string>& around = {});
  Answer ask(const std::string& method, const std::string& target, const Headers& headers = {},
             const std::string& body = {}) const;
  Answer tus(const std::string& method, const std::string& target, Headers headers = {},
             const std::string& body = {}) const;
  // Sends so much of a request that announces more, and hangs up.
  void break_off(const std::string& target, std::uint64_t offset, const std::string& body, std::size_t announced) const;
  int connect() const;

  static std::string digest_of(const std::string& bytes);
  void offer(UserId user, const std::string& digest, std::uint64_t bytes);
  std::string creation(UserId user, const std::string& digest, std::uint64_t bytes, std::int64_t ttl_s = 60) const;
  std::string download(const std::string& digest, std::int64_t ttl_s = 60) const;
  std::string begin(UserId user, const std::string& digest, std::uint64_t bytes);  // offers and creates; the Location
  Answer patch(const std::string& location, std::uint64_t offset, const std::string& body) const;
  std::string store(UserId user, const std::string& bytes);  // uploads all of it; its digest
  std::vector<std::string> files() const;                    // of the store, relative
  std::string metric(const std::string& line_begin) const;
  std::int64_t now_s() const { return wall_now().value / 1'000; }

  static inline std::unique_ptr<test::PrivatePostgres> postgres;
  static constexpr UserId kAlice{101}, kBob{102};
  test::TempDir dir;
  std::string url;
  std::unique_ptr<storage::Pool> pool;
  std::unique_ptr<storage::Media> media;
  crypto::MacKey key{};
  std::uint16_t port = 0, observe_port = 0;
  std::unique_ptr<test::ChildProcess> process;
};

}  // namespace barid::media
