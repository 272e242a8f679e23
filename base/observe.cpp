#include "base/observe.h"

#include <civetweb.h>
#include <prometheus/text_serializer.h>

#include <sstream>
#include <stdexcept>

namespace barid {

struct ObserveHttp {
  static int reply(mg_connection* connection, int status, const char* type, const std::string& body) {
    mg_printf(connection, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
              status, status == 200 ? "OK" : "Service Unavailable", type, body.size());
    mg_write(connection, body.data(), body.size());
    return status;
  }
  static int metrics(mg_connection* connection, void* self) {
    std::ostringstream text;
    prometheus::TextSerializer().Serialize(text, static_cast<Observe*>(self)->registry_.Collect());
    return reply(connection, 200, "text/plain; version=0.0.4", text.str());
  }
  static int page(mg_connection* connection, void* text) {
    return reply(connection, 200, "application/json", (*static_cast<std::function<std::string()>*>(text))());
  }
  static int healthz(mg_connection* connection, void*) { return reply(connection, 200, "text/plain", "ok\n"); }
  static int readyz(mg_connection* connection, void* self) {
    const std::string missing = static_cast<Observe*>(self)->ready_();
    return missing.empty() ? reply(connection, 200, "text/plain", "ready\n")
                           : reply(connection, 503, "text/plain", missing + "\n");
  }
};

Observe::Observe(std::string process_name, std::uint16_t port, Ready ready)
    : process_name_(std::move(process_name)), ready_(std::move(ready)) {
  if (port == 0) return;
  const std::string listen = "127.0.0.1:" + std::to_string(port);
  const char* options[] = {"listening_ports",    listen.c_str(), "num_threads", "2",
                           "request_timeout_ms", "5000",         nullptr};
  mg_callbacks callbacks{};
  http_ = mg_start(&callbacks, nullptr, options);
  if (http_ == nullptr) throw std::runtime_error("cannot listen on " + listen + " for metrics: is the port taken?");
  mg_set_request_handler(http_, "/metrics$", &ObserveHttp::metrics, this);
  mg_set_request_handler(http_, "/healthz$", &ObserveHttp::healthz, this);
  mg_set_request_handler(http_, "/readyz$", &ObserveHttp::readyz, this);
}

Observe::~Observe() {
  if (http_ != nullptr) mg_stop(http_);
}

void Observe::page(const std::string& path, std::function<std::string()> text) {
  pages_.push_back(std::move(text));
  if (http_ != nullptr) mg_set_request_handler(http_, (path + "$").c_str(), &ObserveHttp::page, &pages_.back());
}

prometheus::Counter& Observe::counter(const std::string& name, const std::string& help,
                                      const prometheus::Labels& labels) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry_).Add(labels);
}
prometheus::Gauge& Observe::gauge(const std::string& name, const std::string& help, const prometheus::Labels& labels) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry_).Add(labels);
}
prometheus::Histogram& Observe::histogram(const std::string& name, const std::string& help,
                                          const prometheus::Histogram::BucketBoundaries& bounds,
                                          const prometheus::Labels& labels) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry_).Add(labels, bounds);
}

}  // namespace barid
