#include "edge/owners.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/assert.h"
#include "base/log.h"

namespace barid::edge {
namespace {

// Ids travel as hex text or as numbers: both are read.
bool read_number(const nlohmann::json& object, const char* key, std::uint64_t& out) {
  const auto found = object.find(key);
  if (found == object.end()) return false;
  if (found->is_number_unsigned()) {
    out = found->get<std::uint64_t>();
    return true;
  }
  return found->is_string() && parse_hex_id(found->get_ref<const std::string&>(), out);
}

}  // namespace

bool parse_owner(std::string_view json, Owner& owner) {
  const auto object = nlohmann::json::parse(json, nullptr, false);
  if (!object.is_object()) return false;
  if (!read_number(object, "epoch", owner.epoch.value)) return false;
  read_number(object, "incarnation", owner.worker.value);
  const auto endpoint = object.find("endpoint");
  if (endpoint == object.end() || !endpoint->is_string()) return false;
  owner.endpoint = object.value("released", false) ? std::string() : endpoint->get<std::string>();
  return true;
}

Owners::Owners(broker::EdgeBus& bus, Incarnation edge, std::uint16_t partitions)
    : bus_(bus), edge_(edge), partitions_(partitions) {}

bool Owners::set(Partition partition, Owner owner) {
  if (partition.value >= partitions_.size()) return false;
  Seat& seat = partitions_[partition.value];
  if (owner.epoch < seat.owner.epoch) return false;  // an entry seen again after an outage
  const bool same = owner.epoch == seat.owner.epoch && owner.endpoint == seat.owner.endpoint;
  if (same) {
    seat.owner = owner;
    return false;
  }
  const std::string before = seat.owner.endpoint;
  spdlog::debug("partition {}: epoch {} at '{}' --owner--> epoch {} at '{}'", partition.value, seat.owner.epoch.value,
                before, owner.epoch.value, owner.endpoint);
  seat.owner = std::move(owner);
  seat.highest = std::max(seat.highest, seat.owner.epoch);
  if (!before.empty() && before != seat.owner.endpoint) disconnect_if_unused(before);
  if (seat.owner.endpoint.empty()) return false;
  bus_.connect(seat.owner.endpoint);
  Link& link = links_[seat.owner.endpoint];
  link.pending.edge = edge_;
  if (link.pending.worker != seat.owner.worker) {  // a new process at this endpoint: it knows nothing of us yet
    link.pending.clear();
    link.pending.worker = seat.owner.worker;
    link.sent = 0;
  }
  return true;
}

void Owners::disconnect_if_unused(const std::string& endpoint) {
  const bool used = std::any_of(partitions_.begin(), partitions_.end(),
                                [&](const Seat& seat) { return seat.owner.endpoint == endpoint; });
  if (used) return;
  links_.erase(endpoint);
  bus_.disconnect(endpoint);
}

bool Owners::heard(Incarnation worker, std::uint64_t number) {
  if (expected_.size() >= kWorkersMax) expected_.clear();  // costs each an announcement
  std::uint64_t& expected = expected_.try_emplace(worker, 1).first->second;
  const bool complete = number == expected;
  expected = number + 1;
  return complete;
}

bool Owners::admit(Partition partition, Epoch epoch) {
  if (partition.value >= partitions_.size()) return false;
  Seat& seat = partitions_[partition.value];
  if (epoch < seat.highest) return false;
  seat.highest = epoch;
  return true;
}

Owners::Link* Owners::link_of(Partition partition) {
  BARID_ASSERT(partition.value < partitions_.size());
  const auto found = links_.find(partitions_[partition.value].owner.endpoint);
  return found == links_.end() ? nullptr : &found->second;
}

void Owners::make_room(Link& link) {
  if (link.entries() < kPendingMax) return;
  link.pending.clear();
  link.overflowed = true;  // announced again once it listens
}

bool Owners::open(Partition partition, const control::SessionOpen& open) {
  Link* link = link_of(partition);
  if (link == nullptr) return false;
  make_room(*link);
  link->pending.opens.push_back(open);
  if (link->pending.opens.size() >= kOpensPerMessage) send(of(partition).endpoint, *link);
  return true;
}
void Owners::ack(Partition partition, const control::SessionAck& ack) {
  Link* link = link_of(partition);
  if (link == nullptr) return;
  make_room(*link);
  link->pending.acks.push_back(ack);
}
void Owners::close(Partition partition, const control::SessionClose& close) {
  Link* link = link_of(partition);
  if (link == nullptr) return;
  make_room(*link);
  link->pending.closes.push_back(close);
}
void Owners::announced(Partition partition) {
  Link* link = link_of(partition);
  if (link == nullptr) return;
  make_room(*link);
  link->pending.announced.push_back({partition, of(partition).epoch});
}

void Owners::watch(control::WatchSet watch) {
  Link* link = link_of(watch.partition);
  if (link == nullptr) return;
  if (link->pending.watches.size() >= kWatchesPendingMax) {
    link->overflowed = true;  // offered again once it listens
  } else {
    link->pending.watches.push_back(std::move(watch));
  }
}
bool Owners::typing(Partition partition, const control::TypingNote& note) {
  Link* link = link_of(partition);
  if (link == nullptr || link->pending.typings.size() >= kTypingsPendingMax) return false;
  link->pending.typings.push_back(note);
  return true;
}

bool Owners::send(const std::string& endpoint, Link& link) {
  link.pending.number = link.sent + 1;
  control::encode(scratch_, link.pending);
  if (bus_.send(endpoint, scratch_) != broker::Sent::sent) return false;
  ++link.sent;
  link.pending.clear();
  return true;
}

bool Owners::urgent() const {
  return std::any_of(links_.begin(), links_.end(),
                     [](const auto& item) { return item.second.entries() > item.second.pending.acks.size(); });
}

std::size_t Owners::flush(bool heartbeat, std::vector<Partition>& lost) {
  std::size_t refused = 0;
  for (auto& [endpoint, link] : links_) {
    if (link.pending.empty() && !heartbeat) continue;
    if (!send(endpoint, link)) {
      ++refused;
      continue;
    }
    if (!std::exchange(link.overflowed, false)) continue;
    for (std::size_t p = 0; p < partitions_.size(); ++p)
      if (partitions_[p].owner.endpoint == endpoint) lost.push_back(Partition(static_cast<std::uint16_t>(p)));
  }
  return refused;
}

}  // namespace barid::edge
