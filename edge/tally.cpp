#include "edge/tally.h"

#include <string>
#include <utility>

namespace barid::edge {

EdgeMetrics::EdgeMetrics(Observe& observe) {
  struct Described {
    Count count;
    const char* name;
    const char* help;
    prometheus::Labels labels;
  };
  const Described all[] = {
      {Count::connects_tcp, "barid_edge_connects_total", "Connections taken", {{"transport", "tcp"}}},
      {Count::connects_websocket, "barid_edge_connects_total", "Connections taken", {{"transport", "websocket"}}},
      {Count::connects_tls, "barid_edge_tls_connects_total", "Connections taken with TLS", {}},
      {Count::logins, "barid_edge_logins_total", "Logins that succeeded", {}},
      {Count::frames_in, "barid_edge_frames_total", "Frames of clients", {{"direction", "in"}}},
      {Count::frames_out, "barid_edge_frames_total", "Frames of clients", {{"direction", "out"}}},
      {Count::bytes_in, "barid_edge_bytes_total", "Bytes of client sockets", {{"direction", "in"}}},
      {Count::bytes_out, "barid_edge_bytes_total", "Bytes of client sockets", {{"direction", "out"}}},
      {Count::accepted, "barid_edge_accepted_total", "Sends that are durable", {}},
      {Count::batches, "barid_edge_batches_total", "Batches that are durable", {}},
      {Count::deliveries_dropped,
       "barid_edge_deliveries_dropped_total",
       "Deliveries of an old epoch or connection",
       {}},
      {Count::requests, "barid_edge_requests_total", "Requests passed to the directory", {}},
      {Count::stalls, "barid_edge_limits_total", "Limits hit", {{"limit", "send_window"}}},
      {Count::limit_connections, "barid_edge_limits_total", "Limits hit", {{"limit", "connections_max"}}},
      {Count::limit_address, "barid_edge_limits_total", "Limits hit", {{"limit", "connections_per_address"}}},
      {Count::limit_connect_rate, "barid_edge_limits_total", "Limits hit", {{"limit", "connects_per_address"}}},
      {Count::limit_requests, "barid_edge_limits_total", "Limits hit", {{"limit", "requests_per_address"}}},
      {Count::limit_out_buffer, "barid_edge_limits_total", "Limits hit", {{"limit", "out_buffer"}}},
      {Count::owner_backpressure, "barid_edge_limits_total", "Limits hit", {{"limit", "owner_bus"}}},
      {Count::presence_frames, "barid_edge_presence_frames_total", "Presence frames to clients", {}},
      {Count::presence_dropped, "barid_edge_presence_shed_total", "Presence left out", {{"what", "entry"}}},
      {Count::typing_shed, "barid_edge_presence_shed_total", "Presence left out", {{"what", "typing"}}},
  };
  static_assert(std::size(all) == static_cast<std::size_t>(Count::kCount));
  for (const Described& d : all)
    counters[static_cast<std::size_t>(d.count)] = &observe.counter(d.name, d.help, d.labels);
  for (std::size_t code = 0; code < kCodes; ++code) {
    const prometheus::Labels label{{"code", std::string(wire::name_of(static_cast<wire::Code>(code)))}};
    refused[code] = &observe.counter("barid_edge_refused_total", "Sends and requests refused", label);
    closed[code] = &observe.counter("barid_edge_closes_total", "Connections ended; none: by the client", label);
  }
  connections = &observe.gauge("barid_edge_connections", "Connections open now");
  certificate_expires = &observe.gauge("barid_edge_certificate_expires_seconds",
                                       "When the TLS certificate expires, in seconds since 1970; 0: there is none");
  const auto reloads = [&](const char* result) {
    return &observe.counter("barid_edge_certificate_reloads_total", "Times the TLS certificate was read again",
                            {{"result", result}});
  };
  certificate_reloads = reloads("read");
  certificate_failures = reloads("kept_old");
  batch_envelopes = &observe.histogram("barid_edge_batch_envelopes", "Envelopes in a durable batch",
                                       {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000});
  read_to_durable =
      &observe.histogram("barid_stage_seconds", "Time of a stage of a message's way, sampled",
                         {StageTimes::kBounds.begin(), StageTimes::kBounds.end()}, {{"stage", "read_to_durable"}});
}

void Tally::batch(std::size_t envelopes) {
  add(Count::batches);
  add(Count::accepted, envelopes);
  metrics_.batch_envelopes->Observe(static_cast<double>(envelopes));
}

void Tally::publish() {
  const auto carry = [](auto& from, auto& to) {
    for (std::size_t i = 0; i < from.size(); ++i)
      if (const auto count = std::exchange(from[i], 0)) to[i]->Increment(static_cast<double>(count));
  };
  carry(now_, metrics_.counters);
  carry(refused_, metrics_.refused);
  carry(closed_, metrics_.closed);
  read_to_durable_.carry_over(*metrics_.read_to_durable);
}

}  // namespace barid::edge
