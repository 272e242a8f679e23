#include "storage/stream_marks.h"

#include "storage/pool.h"
#include "storage/rows.h"

namespace barid::storage {

std::optional<StreamMarks::Saved> StreamMarks::load() {
  std::optional<Saved> saved;
  pool_->transact("read how far the streams had come", [&](pqxx::transaction_base& work) {
    saved.reset();
    const auto rows = work.exec("SELECT incarnation, boot, marks::text FROM stream_marks");
    if (!rows.empty())
      saved = Saved{static_cast<std::uint64_t>(rows[0][0].as<std::int64_t>()), rows[0][1].as<std::string>(),
                    rows[0][2].as<std::string>()};
  });
  return saved;
}

void StreamMarks::save(const Saved& saved) {
  pool_->transact("note how far the streams have come", [&](pqxx::transaction_base& work) {
    work.exec_params0(
        "INSERT INTO stream_marks AS s (incarnation, boot, marks) VALUES ($1, $2, $3::jsonb) ON CONFLICT (one) DO "
        "UPDATE "
        "SET incarnation = excluded.incarnation, boot = excluded.boot, marks = CASE WHEN s.incarnation <> "
        "excluded.incarnation THEN excluded.marks ELSE (SELECT coalesce(jsonb_agg(best), '[]') FROM (SELECT DISTINCT "
        "ON "
        "(m->>'stream') m AS best FROM jsonb_array_elements(s.marks || excluded.marks) m ORDER BY m->>'stream', "
        "(m->>'last')::numeric DESC, m->>'created' DESC) b) END",
        static_cast<std::int64_t>(saved.incarnation), saved.boot, saved.marks);
  });
}

}  // namespace barid::storage
