// The fixture itself: what it claims about the servers it starts.
#include "tests/support/servers.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <pqxx/pqxx>

namespace barid::test {
namespace {

int count_rows(const std::string& url) {
  pqxx::connection connection(url);
  return pqxx::work(connection).exec1("SELECT count(*) FROM t")[0].as<int>();
}

TEST(PrivatePostgres, KeepsCommittedRowsOverKillAndStop) {
  PrivatePostgres postgres;
  {
    pqxx::connection connection(postgres.url());
    pqxx::work work(connection);
    work.exec0("CREATE TABLE t (x int)");
    work.exec0("INSERT INTO t VALUES (1)");
    work.commit();
  }
  postgres.kill();
  EXPECT_THROW(pqxx::connection{postgres.url()}, pqxx::broken_connection);
  postgres.start();
  EXPECT_EQ(count_rows(postgres.url()), 1);
  postgres.stop();
  postgres.start();
  EXPECT_EQ(count_rows(postgres.url()), 1);
  EXPECT_NE(postgres.new_database(), postgres.new_database());
}

TEST(PrivateNats, ComesBackOnTheSamePortAfterAKill) {
  PrivateNats nats;
  const auto port = nats.port();
  nats.kill();
  nats.start();
  EXPECT_EQ(nats.port(), port);
  nats.stop();
  nats.lose_disk();
  nats.start();
}

TEST(ChildProcess, SaysWhatCannotBeStarted) {
  TempDir dir;
  EXPECT_THROW(ChildProcess({"/no/such/program"}, dir.file("log")), std::runtime_error);
}

TEST(ChildProcess, IsGoneWithItsOwner) {
  TempDir dir;
  pid_t pid = 0;
  {
    ChildProcess child({"sleep", "1000"}, dir.file("log"));
    pid = child.pid();
    EXPECT_TRUE(child.running());
  }
  EXPECT_EQ(::kill(pid, 0), -1);
}

TEST(TempDir, IsRemovedWithItsContent) {
  std::string path;
  {
    TempDir dir;
    path = dir.path();
    std::filesystem::create_directory(dir.file("inner"));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace barid::test
