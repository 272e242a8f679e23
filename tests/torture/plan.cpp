#include "tests/torture/plan.h"

#include <algorithm>
#include <array>

#include "base/assert.h"

namespace barid::torture {
namespace {

using namespace std::chrono_literals;

constexpr std::array<FaultInfo, kFaults> kInfos{{
    {"edge-killed", true, 0ms, 0ms, "kill -9"},
    {"edge-frozen", true, 1000ms, 4000ms, "SIGSTOP, then SIGCONT"},
    {"worker-killed", true, 0ms, 0ms, "kill -9 of the one with the directory"},
    {"worker-frozen", true, 1000ms, 7000ms, "SIGSTOP: its lease may end meanwhile"},
    {"second-worker-killed", true, 2000ms, 2000ms, "kill -9, started again after 2 s"},
    {"second-worker-frozen", true, 1000ms, 7000ms, "SIGSTOP: its lease may end meanwhile"},
    {"nats-killed", true, 0ms, 0ms, "kill -9"},
    {"nats-frozen", true, 1000ms, 5000ms, "SIGSTOP, then SIGCONT"},
    {"postgres-killed", true, 0ms, 0ms, "kill -9 of all its processes"},
    {"postgres-frozen", true, 1000ms, 5000ms, "SIGSTOP of all its processes"},
    {"edge-cut-from-nats", true, 1000ms, 5000ms, "its connections are reset and refused; in place of a partition"},
    {"nats-stalled", true, 1000ms, 5000ms, "connections stay open and nothing passes; in place of a partition"},
    {"disk-full",
     true,
     2000ms,
     6000ms,
     "no byte is left for nats-server's store",
     {},
     "only by name: nats-server 2.9 locks up, and what it has after its restart is older than what it acknowledged"},
    {"client-killed", false, 500ms, 3000ms, "kill -9 of a client, started again later"},
    {"client-frozen", false, 1000ms, 6000ms, "SIGSTOP: it reads nothing, its connection stays"},
    {"client-away", false, 500ms, 6000ms, "goes offline in order, mail waits"},
    {"line-cut", false, 200ms, 2000ms, "its connection is reset, new ones too"},
    {"line-stalled", false, 1000ms, 6000ms, "half open: nothing passes, then all of it"},
    {"line-deaf", false, 500ms, 3000ms, "it receives, what it says is lost: gone between receipt and acknowledgement"},
    {"line-mute", false, 1000ms, 5000ms, "it stops reading and goes on writing"},
    {"line-drip", false, 1000ms, 5000ms, "a few bytes at a time, both ways"},
    {"clock-step", true, 0ms, 0ms, "wall clocks jump", "needs clocks of its own for each process (libfaketime)"},
    {"nats-node-lost", true, 0ms, 0ms, "one node of three", "needs a cluster"},
    {"nats-majority-lost", true, 0ms, 0ms, "two nodes of three", "needs a cluster"},
}};

}  // namespace

const FaultInfo& info(Fault fault) { return kInfos[static_cast<std::size_t>(fault)]; }

std::optional<Fault> fault_named(std::string_view name) {
  for (std::size_t i = 0; i < kFaults; ++i)
    if (kInfos[i].name == name) return static_cast<Fault>(i);
  return std::nullopt;
}

Planner::Planner(std::uint32_t seed, std::vector<Fault> faults, std::size_t first_client, std::size_t clients)
    : random_(seed), unhit_(0), first_client_(first_client), clients_(clients) {
  for (const Fault fault : faults)
    if (info(fault).server || clients_ > 0) (info(fault).server ? server_ : client_).push_back(fault);
  unhit_ = server_.size() + client_.size();
}

Fault Planner::draw(std::vector<Fault>& bag, const std::vector<Fault>& all) {
  if (bag.empty()) bag = all;
  const auto drawn = bag.begin() + below(static_cast<std::uint32_t>(bag.size()));
  const Fault fault = *drawn;
  bag.erase(drawn);
  if (!hit_[static_cast<std::size_t>(fault)]) --unhit_;
  hit_[static_cast<std::size_t>(fault)] = true;
  return fault;
}

Round Planner::next() {
  constexpr std::uint32_t kTogetherMs = 3'000;  // strikes of a round begin within this time
  Round round;
  const auto add = [&](Fault fault, std::size_t client) {
    const FaultInfo& about = info(fault);
    const auto span = static_cast<std::uint32_t>((about.max - about.min).count());
    const milliseconds at(round.empty() ? 0 : below(kTogetherMs)), lasts = about.min + milliseconds(below(span + 1));
    round.push_back({fault, at, lasts, client});
  };
  // Most rounds hit one server, so that its recovery can be told from others'; some hit two at a time.
  const std::size_t servers = server_.empty() ? 0 : below(4) == 0 ? kServerStrikesMax : 1;
  for (std::size_t i = 0; i < servers; ++i) {
    const Fault fault = draw(server_bag_, server_);
    const auto same = [&](const Strike& strike) { return strike.fault == fault; };
    if (std::none_of(round.begin(), round.end(), same)) add(fault, 0);
  }
  const std::size_t most = std::min(kClientStrikesMax, clients_);
  const std::size_t victims = client_.empty() || most == 0 ? 0 : 1 + below(static_cast<std::uint32_t>(most));
  for (std::size_t i = 0; i < victims; ++i) {
    const std::size_t client = first_client_ + below(static_cast<std::uint32_t>(clients_));
    const auto hit = [&](const Strike& strike) { return !info(strike.fault).server && strike.client == client; };
    if (std::none_of(round.begin(), round.end(), hit)) add(draw(client_bag_, client_), client);
  }
  std::stable_sort(round.begin(), round.end(), [](const Strike& a, const Strike& b) { return a.at < b.at; });
  return round;
}

}  // namespace barid::torture
