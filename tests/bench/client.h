// One simulated device and its connection. Owned by a Crowd, used on its thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/bench/identity.h"
#include "tests/bench/layers.h"
#include "tests/bench/tracker.h"

namespace barid::bench {

enum class ClientState : std::uint8_t { offline, connecting, greeting, online };

struct Client {
  std::uint32_t index = 0;  // in its crowd
  std::uint32_t name = 0;   // in the whole run: who it is in contents, on peers' servers, and for its identity
  int fd = -1;
  ClientState state = ClientState::offline;
  bool dirty = false;  // has something to write in this turn
  bool waits_to_write = false;
  bool closes = false;    // once everything is written
  std::uint8_t step = 0;  // the dialect's place in its greeting
  const Identity* identity = nullptr;
  std::unique_ptr<Layers> layers;  // WebSocket and TLS; nullptr: plain TCP
  std::string in;                  // received, not yet a whole frame
  std::string out;                 // to be written, as the protocol has it
  std::string wire;                // with layers: to be written, as the socket has it
  std::int64_t since_ns = 0;       // when it began to connect; then when it came online

  // Sending: numbers from first_seq on.
  std::uint64_t next_seq = 1;
  std::uint64_t first_seq = 1;
  std::uint64_t resume_seq = 0;  // not 0: refused; from here on again, at resume_ns
  std::int64_t resume_ns = 0;
  std::uint32_t in_flight = 0;            // sent, not yet with the recipient
  std::uint64_t scheduled = 0;            // open loop: messages of its schedule that were begun
  Tracker accepted, arrived, receipts;    // of its own numbers; `arrived`: at the recipient
  std::vector<std::int64_t> intended_ns;  // ring by number: when each should have been sent

  // Receiving.
  std::uint64_t taken = 0, acked = 0;  // Deliver and Receipt frames of this connection
  std::uint64_t session_no = 0;        // Barid: of the latest login

  std::uint64_t sent() const { return next_seq - first_seq; }
};

}  // namespace barid::bench
