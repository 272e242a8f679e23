// The verbs of SqliteStore about files that are being sent: sealed once, so that an upload goes on after a crash.
#include "client/core/sqlite_store.h"

namespace barid::client {

std::optional<OutgoingMedia> SqliteStore::outgoing_media(const std::string& source) {
  auto q = db_.query("SELECT key, digest, bytes, sealed_bytes FROM media_outgoing WHERE source = ?",
                     std::string_view(source));
  if (!q.step()) return std::nullopt;
  return OutgoingMedia{q.text(0), {q.text(1), q.id(2), q.id(3)}};
}

void SqliteStore::save_outgoing_media(const std::string& source, const OutgoingMedia& media) {
  Scope scope(*this);
  db_.run("INSERT OR REPLACE INTO media_outgoing(source, key, digest, bytes, sealed_bytes) VALUES(?, ?, ?, ?, ?)",
          std::string_view(source), Blob{media.key}, Blob{media.sealed.digest}, media.sealed.bytes,
          media.sealed.sealed_bytes);
  scope.commit();
}

MessageRow SqliteStore::enqueue_media(PeerId to, std::string content, const std::string& source, WallMs at) {
  Scope scope(*this);
  db_.run("DELETE FROM media_outgoing WHERE source = ?", std::string_view(source));
  const MessageRow row = enqueue(to, std::move(content), at);
  scope.commit();
  return row;
}

}  // namespace barid::client
