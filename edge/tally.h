// What a reactor counts: plain numbers on its own thread, carried over to the shared Prometheus counters a few times a
// second, so that counting costs nothing on the message path.
#pragma once

#include <array>
#include <cstdint>

#include "base/observe.h"
#include "base/stage_times.h"
#include "schemas/wire.h"

namespace barid::edge {

inline constexpr std::size_t kCodes = static_cast<std::size_t>(wire::kLastCode) + 1;

enum class Count : std::uint8_t {
  connects_tcp,
  connects_websocket,
  connects_tls,
  logins,
  frames_in,
  frames_out,
  bytes_in,
  bytes_out,
  accepted,
  batches,
  deliveries_dropped,
  requests,
  stalls,
  limit_connections,
  limit_address,
  limit_connect_rate,
  limit_requests,
  limit_out_buffer,
  owner_backpressure,
  presence_frames,
  presence_dropped,
  typing_shed,
  kCount,
};

// The process's metrics; made once, shared by the reactors (Prometheus counters are thread-safe).
class EdgeMetrics {
 public:
  explicit EdgeMetrics(Observe& observe);

  std::array<prometheus::Counter*, static_cast<std::size_t>(Count::kCount)> counters{};
  std::array<prometheus::Counter*, kCodes> refused{}, closed{};
  prometheus::Gauge* connections = nullptr;
  prometheus::Gauge* certificate_expires = nullptr;
  prometheus::Counter *certificate_reloads = nullptr, *certificate_failures = nullptr;
  prometheus::Histogram *batch_envelopes = nullptr, *read_to_durable = nullptr;
};

class Tally {
 public:
  explicit Tally(EdgeMetrics& metrics) : metrics_(metrics) {}
  void add(Count count, std::uint64_t by = 1) { now_[static_cast<std::size_t>(count)] += by; }
  void refused(wire::Code code) { ++refused_[static_cast<std::size_t>(code)]; }
  void closed(wire::Code code) { ++closed_[static_cast<std::size_t>(code)]; }
  void batch(std::size_t envelopes);
  StageTimes& read_to_durable() { return read_to_durable_; }
  void publish();  // a few times a second

 private:
  EdgeMetrics& metrics_;
  std::array<std::uint64_t, static_cast<std::size_t>(Count::kCount)> now_{};
  std::array<std::uint64_t, kCodes> refused_{}, closed_{};
  StageTimes read_to_durable_;
};

}  // namespace barid::edge
