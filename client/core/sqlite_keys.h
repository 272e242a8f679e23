// The KeyStore of end-to-end encryption in the client's SQLite file. Owned by a SqliteStore, whose open transaction it
// uses; its thread. Throws SqliteError.
#pragma once

#include "client/core/sqlite.h"
#include "client/crypto/keys.h"

namespace barid::client {

class SqliteKeys final : public e2ee::KeyStore {
 public:
  explicit SqliteKeys(Sqlite& db) : db_(db) {}

  e2ee::Identity identity() override;
  std::optional<std::string> session(e2ee::Device with) override;
  void put_session(e2ee::Device with, std::string_view record) override;
  std::optional<std::string> prekey(std::uint32_t id) override;
  void drop_prekey(std::uint32_t id) override;
  std::optional<std::string> signed_prekey(std::uint32_t id) override;
  std::optional<std::string> sender_key(GroupId group, e2ee::Device of) override;
  void put_sender_key(GroupId group, e2ee::Device of, std::string_view record) override;
  void saw_identity(e2ee::Device of, std::string_view key) override;

 private:
  Sqlite& db_;
};

}  // namespace barid::client
