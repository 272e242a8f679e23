#include "broker/continuity.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/crypto.h"
#include "base/log.h"
#include "broker/control.h"
#include "broker/topology.h"

namespace barid::broker {
namespace {
constexpr int kTries = 20;
constexpr int kNoSuchStream = 10059;

void raise(std::atomic<std::uint64_t>& value, std::uint64_t to) {
  std::uint64_t seen = value.load(std::memory_order_relaxed);
  while (seen < to && !value.compare_exchange_weak(seen, to, std::memory_order_relaxed)) {
  }
}
}  // namespace

HighWater::HighWater(std::vector<std::string> streams) : marks_(std::min(streams.size(), kStreamsMax)) {
  for (std::size_t i = 0; i < marks_.size(); ++i) marks_[i].stream = std::move(streams[i]);
}

void HighWater::note(std::size_t stream, StreamSeq acknowledged) { raise(marks_.at(stream).last, acknowledged.value); }

bool HighWater::knows(std::size_t stream) const {
  const std::lock_guard lock(mutex_);
  return !marks_.at(stream).created.empty() || last(stream) != StreamSeq();
}

HighWater::Verdict HighWater::judge(std::size_t stream, StreamSeq before, std::string_view info) {
  const auto json = nlohmann::json::parse(info, nullptr, false);
  if (!json.is_object()) return Verdict::unknown;
  if (const auto error = json.find("error"); error != json.end())
    return error->is_object() && error->value("err_code", 0) == kNoSuchStream ? Verdict::gone : Verdict::unknown;
  const auto state = json.find("state");
  const auto created = json.find("created");
  if (state == json.end() || !state->is_object() || created == json.end() || !created->is_string())
    return Verdict::unknown;
  return judge(stream, before, created->get<std::string>(), StreamSeq(state->value("last_seq", std::uint64_t{0})));
}

HighWater::Verdict HighWater::judge(std::size_t stream, StreamSeq before, const std::string& created, StreamSeq last) {
  Mark& mark = marks_.at(stream);
  const std::lock_guard lock(mutex_);
  if (!mark.created.empty() && mark.created != created) return Verdict::behind;
  if (last < before) return Verdict::behind;
  mark.created = created;
  raise(mark.last, last.value);
  return Verdict::continues;
}

std::vector<StreamMark> HighWater::marks() const {
  std::vector<StreamMark> known;
  const std::lock_guard lock(mutex_);
  for (const Mark& mark : marks_) {
    const std::uint64_t last = mark.last.load(std::memory_order_relaxed);
    if (last != 0 || !mark.created.empty()) known.push_back({mark.stream, mark.created, StreamSeq(last)});
  }
  return known;
}

void HighWater::remember(const StreamMark& before) {
  const std::lock_guard lock(mutex_);
  for (Mark& mark : marks_) {
    if (mark.stream != before.stream) continue;
    mark.created = before.created;
    raise(mark.last, before.last.value);
  }
}

void HighWater::forget() {
  const std::lock_guard lock(mutex_);
  for (Mark& mark : marks_) {
    mark.created.clear();
    mark.last = 0;
  }
}

std::vector<std::string> HighWater::of_senders() { return {ingress_stream(Partition(0)), kFanoutStream}; }

std::vector<std::string> HighWater::of_workers(std::uint16_t inbox_shards) {
  auto streams = of_senders();
  for (std::uint16_t s = 0; s < inbox_shards; ++s) streams.push_back(inbox_stream(s));
  return streams;
}

std::uint64_t renew_incarnation(Control& control, std::uint64_t known) {
  for (int i = 0; i < kTries; ++i) {
    const auto entry = control.get(kMetaBucket, kMetaIncarnation);
    std::uint64_t there = 0;
    if (entry && parse_hex_id(entry->value, there) && there != known) return there;
    const std::uint64_t next = crypto::random_u64();
    if (control.put_if(kMetaBucket, kMetaIncarnation, hex_id(next), entry ? entry->revision : 0)) return next;
  }
  throw Error("the incarnation keeps changing");
}

}  // namespace barid::broker
