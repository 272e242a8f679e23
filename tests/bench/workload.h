// The message path without sockets, broker and clock: the same pure code that edge and worker run, fed with fixed
// messages. micro.cpp times its parts, counted.cpp lets valgrind count their instructions. One thread; the same calls
// give the same work on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace barid::bench {

class Workload {
 public:
  static constexpr std::size_t kBatch = 50;  // messages: what one batch holds under load
  static constexpr std::size_t kContentBytes = 200;

  Workload();
  ~Workload();
  Workload(const Workload&) = delete;
  Workload& operator=(const Workload&) = delete;

  // Each carries kBatch messages through one part of the path.
  void codec();          // client: Send encoded; edge: decoded; recipient: Deliver decoded
  void session_step();   // edge: frame → checks → envelope with the recipient's frame
  void batch();          // edge: envelopes → batch; owner: batch → envelopes
  void delivery_step();  // owner: batch → deliveries to the edge, acknowledgements → receipts → batch settled
  void token_check();    // edge: one login with a known token, one with a new one (not kBatch of them)
  void path();           // all of it in order, receipts back to their senders included

  std::uint64_t check() const;  // what came out, so that nothing is optimised away; throws when it is not what must

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace barid::bench
