// What an operator sees of a process: Prometheus metrics at /metrics, /healthz (the process runs) and /readyz
// (it can do its job), on one loopback HTTP port. Thread-safe; the HTTP server has its own thread.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>

struct mg_context;

namespace barid {

class Observe {
 public:
  using Ready = std::function<std::string()>;  // empty: ready; else one line that says what is missing. Any thread.

  // Port 0: metrics are kept, nothing listens. Throws when the port is taken.
  Observe(std::string process_name, std::uint16_t port, Ready ready);
  ~Observe();
  Observe(const Observe&) = delete;
  Observe& operator=(const Observe&) = delete;

  prometheus::Counter& counter(const std::string& name, const std::string& help, const prometheus::Labels& labels = {});
  prometheus::Gauge& gauge(const std::string& name, const std::string& help, const prometheus::Labels& labels = {});
  prometheus::Histogram& histogram(const std::string& name, const std::string& help,
                                   const prometheus::Histogram::BucketBoundaries& bounds,
                                   const prometheus::Labels& labels = {});

  // One more page, as JSON; `text` is called on the server's threads, until the Observe dies.
  void page(const std::string& path, std::function<std::string()> text);

 private:
  std::string process_name_;
  prometheus::Registry registry_;
  Ready ready_;
  std::list<std::function<std::string()>> pages_;
  mg_context* http_ = nullptr;
  friend struct ObserveHttp;
};

}  // namespace barid
