#include "tests/unit/delivery_sim_world.h"

#include <array>

#include "tests/unit/delivery_sim_owner.h"

namespace barid::delivery::sim {

World::World(std::uint64_t seed, bool tracing) : rng_(seed * 0x2545f4914f6cdd1dULL + 1), tracing_(tracing) {
  const auto sometimes = [this](unsigned chance) { return rng_.percent(chance); };
  Profile& p = profile_;
  p.lossy_bus = sometimes(50), p.vanishing = sometimes(80), p.edges_die = sometimes(40), p.owners_die = sometimes(65);
  p.slow_readers = sometimes(40), p.lost_park_acks = sometimes(50), p.late_publishes = sometimes(60);
  p.failing_reads = sometimes(40), p.resends = sometimes(60), p.clock_steps = sometimes(30), p.blocks = sometimes(25);
  p.revokes = sometimes(20), p.short_lives = sometimes(30), p.full_inboxes = sometimes(12), p.burials = sometimes(15);
  p.garbage = sometimes(20), p.redeliveries = sometimes(40), p.sweeps = sometimes(50), p.inbox_dedups = sometimes(50);
  p.slow_receipts = sometimes(30), p.groups = sometimes(60), p.losses = sometimes(25);
  p.devices = rng_.between(2, 4), p.edges = rng_.between(1, 3), p.steps = rng_.between(150, 900);

  config_.window_letters = rng_.between(1, 6);
  config_.window_bytes = rng_.between(100, 2'000);
  config_.waiting_letters_max = rng_.below(5);
  config_.hands_max = rng_.between(2, 12);
  config_.devices_max = rng_.below(4);
  config_.kept_bytes_max = std::array<std::size_t, 3>{0, 1'000, 1 << 20}[rng_.below(3)];
  config_.ack_deadline = milliseconds(rng_.between(2'000, 6'000));
  config_.slow_under_pressure = milliseconds(1'500);
  config_.delivery_attempts = 60'000;
  if (p.burials) {
    p.slow_readers = true;
    config_.delivery_attempts = static_cast<std::uint16_t>(rng_.between(1, 2));
    config_.ack_deadline = milliseconds(2'500);
  }

  for (std::size_t i = 0; i < p.devices; ++i) {
    Device device;
    device.user = UserId(100 + i - (i == 3 ? 1 : 0));  // the fourth is a second device of the third's user
    device.id = DeviceId(i + 1);
    devices_.push_back(device);
  }
  edges_.resize(p.edges);
}

World::~World() = default;

WallMs World::wall() const { return WallMs{wall_offset_ + now_.time_since_epoch() / milliseconds(1)}; }

void World::run() {
  reads_fail_ = profile_.failing_reads;
  take_over();
  chaos();
  calm();
  judge_end();
  owner_->core->end_turn(now_, wall());
  crash_owner();  // its counters
}

void World::chaos() {
  for (std::size_t i = 0; i < profile_.steps; ++i) {
    pass(milliseconds(rng_.below(15)));
    random_step();
  }
}

void World::random_step() {
  Owner& o = *owner_;
  Device& device = devices_[rng_.below(devices_.size())];
  const std::size_t edge = rng_.below(edges_.size());
  const std::size_t dice = rng_.below(1'000);
  const Profile& p = profile_;
  if (dice < 70) return write_letter(device);
  if (dice < 130) return post(device);
  if (dice < 230) return give_batch();
  if (dice < 320) return to_owner_arrives(edge);
  if (dice < 430) return to_edge_arrives(edge);
  if (dice < 540) return read_frame(device);
  if (dice < (p.slow_readers ? 570U : 640U)) return acknowledge(device);
  if (dice < 720) {
    if (const auto lane = o.parks.find(device.id); lane != o.parks.end()) step_lane(lane->second);
    return;
  }
  // Receipts that take long leave room for whatever should have waited for them.
  if (dice < 780) return p.slow_receipts && !rng_.percent(15) ? void() : step_lane(o.receipts);
  if (dice < 840) return answer_read();
  if (dice < 860) return land_delete(false);
  if (dice < 880) return o.acknowledgements.empty() ? void() : land_acknowledgement();
  if (dice < 895) return connect(device);
  if (dice < 905) return edge_hears_of_owner(edge);
  if (dice < 915) return tick();
  if (dice < 920) return land_burial();
  if (dice < 935) return p.vanishing ? vanish(device) : void();
  if (dice < 945) {  // an edge finds a connection half open
    if (!connections_.empty()) {
      const std::size_t c = rng_.below(connections_.size());
      if (connections_[c].open_at_edge && !connections_[c].open_at_device) close_at_edge(c, true);
    }
    return;
  }
  if (dice < 952) return p.owners_die ? take_over() : void();
  if (dice < 958) return p.edges_die ? kill_edge() : void();
  if (dice < 966) return p.lossy_bus ? lose_bus_message() : void();
  if (dice < 970) return p.resends ? resend_old() : void();
  if (dice < 975) return p.late_publishes ? land_late() : void();
  if (dice < 980) return p.redeliveries ? redeliver() : void();
  if (dice < 984) return p.blocks ? toggle_block() : void();
  if (dice < 985) return p.revokes ? revoke() : void();
  if (dice < 990) return p.sweeps ? sweep() : void();
  if (dice < 993) return p.garbage ? bury_garbage() : void();
  if (dice < 995) return p.losses ? copy_store() : void();
  if (dice < 996) return p.losses ? lose_store() : void();
  if (dice < 998 && p.clock_steps) wall_offset_ += static_cast<std::int64_t>(rng_.below(14'400'000)) - 7'200'000;
}

void World::everything_once() {
  for (std::size_t i = 0; i < edges_.size(); ++i) {
    if (edges_[i].alive) edge_hears_of_owner(i);
    while (!edges_[i].to_owner.empty()) to_owner_arrives(i);
    while (!edges_[i].to_edge.empty()) to_edge_arrives(i);
  }
  for (std::size_t c = 0; c < connections_.size(); ++c)
    if (!connections_[c].open_at_device) close_at_edge(c, true);
  for (Device& device : devices_) {
    connect(device);
    post(device);
    for (int i = 0; i < 8; ++i) read_frame(device);
    acknowledge(device);
    if (device.revoked) device.outbox.clear(), device.held_back.clear();
  }
  for (int i = 0; i < 4; ++i) give_batch();
  Owner& o = *owner_;
  for (int i = 0; i < 4; ++i) {
    for (auto& [device, lane] : o.parks) step_lane(lane);
    step_lane(o.receipts);
    answer_read();
    land_delete(false);
    if (!o.acknowledgements.empty()) land_acknowledgement();
    land_burial();
    land_late();
  }
  sweep();
}

// Empty: at rest.
std::string World::unrest() const {
  if (!late_.empty()) return "publishes are late";
  if (!owner_->idle()) return "effects are under way";
  if (!owner_->core->quiet()) return "the core holds " + std::to_string(owner_->core->hands()) + " hands";
  for (const IngressMessage& m : ingress_)
    if (!m.gone) return "a batch is not acknowledged";
  for (const Edge& e : edges_)
    if (e.alive && (!e.to_owner.empty() || !e.to_edge.empty())) return "the bus carries messages";
  for (const Device& d : devices_) {
    if (!d.outbox.empty() || !d.held_back.empty()) return "letters are not accepted";
    if (d.connection && !connections_[*d.connection].wire.empty()) return "frames are not read";
    if (!d.revoked) continue;
    if (const auto inbox = inboxes_.find(d.id); inbox != inboxes_.end())
      for (const auto& [seq, message] : inbox->second)
        if (message.readable) return "an inbox of a revoked device is not swept";
  }
  return {};
}

void World::calm() {
  note("---- faults end");
  faults_ = false;
  for (std::size_t round = 0; round < kRestRounds; ++round) {
    reads_fail_ = profile_.failing_reads && round < kRestRounds / 10;
    everything_once();
    if (round % 4 == 0) tick();
    // After a tick and its consequences: a read that failed is repeated by the tick only.
    if (!reads_fail_ && round % 4 == 3 && unrest().empty()) return;
  }
  throw Failure("does not come to rest: " + unrest());
}

}  // namespace barid::delivery::sim
