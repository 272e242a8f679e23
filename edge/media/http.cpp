#include "edge/media/http.h"

#include <arpa/inet.h>
#include <linux/tcp.h>  // the C library's tcp_info is older
#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <unordered_map>

#include "base/clock.h"
#include "base/log.h"
#include "base/observe.h"
#include "storage/pool.h"

namespace barid::media {
namespace {

constexpr std::chrono::seconds kLook{5};     // at all connections
constexpr std::chrono::seconds kWindow{30};  // within which each must have moved enough
constexpr std::chrono::seconds kGoodbye{5};  // for what is under way, when stopping
constexpr unsigned kUnavailableRetryS = 2;

// One TCP connection, as the watchdog sees it.
struct Watched {
  int fd = -1;
  std::atomic<bool> working{false};        // inside the service: it is us who take the time
  std::atomic<std::uint64_t> requests{0};  // that have ended
  TimePoint window_began = steady_now();   // what follows: watchdog only
  std::uint64_t bytes_then = 0, requests_then = 0;
};

class Working {
 public:
  explicit Working(Watched* watched) : watched_(watched) {
    if (watched_ != nullptr) watched_->working = true;
  }
  ~Working() {
    if (watched_ != nullptr) watched_->working = false;
  }
  Working(const Working&) = delete;
  Working& operator=(const Working&) = delete;

 private:
  Watched* watched_;
};

// One request: libmicrohttpd calls with it until a reply is queued.
struct Call {
  std::unique_ptr<Sink> sink;
  std::optional<Reply> refused;  // while the rest of the body is discarded
  std::uint64_t discarded = 0;
  bool done = false;
};

class MhdRequest final : public Request {
 public:
  MhdRequest(MHD_Connection* connection, const char* url, const char* method)
      : connection_(connection), url_(url), method_(method) {}
  std::string_view method() const override { return method_; }
  std::string_view path() const override { return url_; }
  std::optional<std::string_view> header(const char* name) const override { return value(MHD_HEADER_KIND, name); }
  std::string_view query(const char* name) const override {
    return value(MHD_GET_ARGUMENT_KIND, name).value_or(std::string_view());
  }

 private:
  std::optional<std::string_view> value(MHD_ValueKind kind, const char* name) const {
    const char* found = MHD_lookup_connection_value(connection_, kind, name);
    return found == nullptr ? std::nullopt : std::optional<std::string_view>(found);
  }
  MHD_Connection* connection_;
  const char *url_, *method_;
};

// What a connection's TCP has moved so far, in both directions.
std::uint64_t bytes_moved(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return 0;
  return info.tcpi_bytes_acked + info.tcpi_bytes_received;
}

Reply on_error(const std::exception& error) {
  if (dynamic_cast<const storage::Unavailable*>(&error) != nullptr ||
      dynamic_cast<const storage::InDoubt*>(&error) != nullptr) {
    SPDLOG_DEBUG("a request must wait: {}", error.what());
    return {503, {{"Retry-After", std::to_string(kUnavailableRetryS)}}, "try again soon\n", {}, 0, 0};
  }
  SPDLOG_ERROR("a request failed: {}", error.what());
  return {500, {}, "this went wrong here: try again\n", {}, 0, 0};
}

}  // namespace

struct HttpServer::Impl {
  Impl(const MediaConfig& config, Service& service_in, Observe& observe_in)
      : service(service_in),
        observe(observe_in),
        cut(observe.counter("barid_media_cut_total", "connections cut because too little moved on them")),
        connections(observe.gauge("barid_media_connections", "open HTTP connections")) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(config.port);
    if (::inet_pton(AF_INET, config.address.c_str(), &address.sin_addr) != 1)
      throw std::runtime_error("[media] address " + config.address + " is no IPv4 address");
    daemon = MHD_start_daemon(
        MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ITC, config.port,
        nullptr, nullptr, &Impl::on_request, this, MHD_OPTION_SOCK_ADDR, reinterpret_cast<sockaddr*>(&address),
        MHD_OPTION_CONNECTION_LIMIT, static_cast<unsigned>(config.connections_max), MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        static_cast<unsigned>(config.connections_per_address), MHD_OPTION_CONNECTION_TIMEOUT,
        static_cast<unsigned>(config.idle_deadline.count()), MHD_OPTION_CONNECTION_MEMORY_LIMIT, kConnectionBytes,
        MHD_OPTION_THREAD_STACK_SIZE, kThreadStackBytes, MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u,
        MHD_OPTION_NOTIFY_COMPLETED, &Impl::on_completed, this, MHD_OPTION_NOTIFY_CONNECTION, &Impl::on_connection,
        this, MHD_OPTION_END);
    if (daemon == nullptr)
      throw std::runtime_error("cannot listen on " + config.address + ":" + std::to_string(config.port) +
                               " for media: is the port taken?");
    watchdog = std::thread([this] { watch(); });
  }

  ~Impl() {
    const MHD_socket listening = MHD_quiesce_daemon(daemon);
    if (listening != MHD_INVALID_SOCKET) ::close(listening);
    {
      std::unique_lock lock(mutex);
      left.wait_for(lock, kGoodbye, [&] { return under_way == 0; });
      stopping = true;
      for (const auto& [connection, watched] : all) ::shutdown(watched->fd, SHUT_RDWR);
      wake.notify_all();
    }
    watchdog.join();
    MHD_stop_daemon(daemon);
  }

  // Cuts who moves so little that the thread is wasted on them: silent clients, and those who trickle.
  void watch() {
    std::unique_lock lock(mutex);
    while (!wake.wait_for(lock, kLook, [&] { return stopping; })) {
      const TimePoint now = steady_now();
      for (const auto& [connection, watched] : all) {
        if (now - watched->window_began < kWindow) continue;
        const std::uint64_t bytes = bytes_moved(watched->fd), requests = watched->requests;
        const auto enough = kBytesPerSecondMin * static_cast<std::uint64_t>(kWindow.count());
        if (!watched->working && requests == watched->requests_then && bytes - watched->bytes_then < enough) {
          ::shutdown(watched->fd, SHUT_RDWR);
          cut.Increment();
        }
        watched->window_began = now, watched->bytes_then = bytes, watched->requests_then = requests;
      }
    }
  }

  static void on_connection(void* self, MHD_Connection* connection, void** socket_context,
                            MHD_ConnectionNotificationCode what) {
    static_cast<Impl*>(self)->opened_or_closed(connection, socket_context, what == MHD_CONNECTION_NOTIFY_STARTED);
  }
  void opened_or_closed(MHD_Connection* connection, void** socket_context, bool opened) {
    const std::lock_guard lock(mutex);
    if (opened) {
      auto watched = std::make_unique<Watched>();
      watched->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
      *socket_context = watched.get();
      all[connection] = std::move(watched);
    } else {
      all.erase(connection);  // its socket is closed after this
    }
    connections.Set(static_cast<double>(all.size()));
  }
  static Watched* watched_of(MHD_Connection* connection) {
    const auto* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info == nullptr ? nullptr : static_cast<Watched*>(info->socket_context);
  }

  static void on_completed(void* self, MHD_Connection* connection, void** call_context,
                           MHD_RequestTerminationCode /*why*/) {
    auto* impl = static_cast<Impl*>(self);
    const std::unique_ptr<Call> call(static_cast<Call*>(std::exchange(*call_context, nullptr)));
    Watched* watched = watched_of(connection);
    if (watched != nullptr) ++watched->requests;
    if (!call) return;
    if (call->sink && !call->done) {
      const Working working(watched);
      try {
        call->sink->broken();
      } catch (const std::exception& error) {
        SPDLOG_ERROR("after a broken upload: {}", error.what());
      }
    }
    const std::lock_guard lock(impl->mutex);
    if (--impl->under_way == 0) impl->left.notify_all();
  }

  static MHD_Result on_request(void* self, MHD_Connection* connection, const char* url, const char* method,
                               const char* /*version*/, const char* body, std::size_t* body_bytes,
                               void** call_context) {
    return static_cast<Impl*>(self)->step(connection, url, method, body, *body_bytes, *call_context);
  }

  MHD_Result step(MHD_Connection* connection, const char* url, const char* method, const char* body,
                  std::size_t& body_bytes, void*& call_context) {
    const Working working(watched_of(connection));
    auto* call = static_cast<Call*>(call_context);
    if (call == nullptr) {
      call = new Call;
      call_context = call;
      {
        const std::lock_guard lock(mutex);
        ++under_way;
      }
      auto begun = guarded<Service::Begun>([&] { return service.begin(MhdRequest(connection, url, method)); });
      if (auto* sink = std::get_if<std::unique_ptr<Sink>>(&begun)) {
        call->sink = std::move(*sink);
        return MHD_YES;
      }
      // Nothing of the body was asked for: the connection is closed behind the reply when there is one.
      call->done = true;
      return send(connection, std::get<Reply>(std::move(begun)));
    }
    if (body_bytes != 0) {
      const std::size_t count = std::exchange(body_bytes, 0);
      if (!call->refused)
        call->refused = guarded<std::optional<Reply>>([&] { return call->sink->take({body, count}); });
      else if ((call->discarded += count) > kDiscardedBytesMax)
        return MHD_NO;
      return MHD_YES;
    }
    call->done = true;
    if (call->refused) return send(connection, std::move(*call->refused));
    return send(connection, guarded<Reply>([&] { return call->sink->done(); }));
  }

  template <class T, class F>
  T guarded(F&& f) {
    try {
      return f();
    } catch (const std::exception& error) {
      return T(on_error(error));
    }
  }

  MHD_Result send(MHD_Connection* connection, Reply reply) {
    observe.counter("barid_media_replies_total", "HTTP replies by status", {{"status", std::to_string(reply.status)}})
        .Increment();
    const bool has_file = reply.file.open();
    MHD_Response* response =
        has_file ? MHD_create_response_from_fd_at_offset64(reply.file_count, reply.file.get(), reply.file_first)
                 : MHD_create_response_from_buffer(reply.body.size(), reply.body.data(), MHD_RESPMEM_MUST_COPY);
    if (response == nullptr) return MHD_NO;
    if (has_file) reply.file.release();  // closed with the response
    for (const auto& [name, value] : reply.headers) MHD_add_response_header(response, name.c_str(), value.c_str());
    const MHD_Result queued = MHD_queue_response(connection, static_cast<unsigned>(reply.status), response);
    MHD_destroy_response(response);
    return queued;
  }

  Service& service;
  Observe& observe;
  prometheus::Counter& cut;
  prometheus::Gauge& connections;
  MHD_Daemon* daemon = nullptr;
  std::thread watchdog;
  std::mutex mutex;  // guards what follows
  std::condition_variable wake, left;
  bool stopping = false;
  int under_way = 0;
  std::unordered_map<MHD_Connection*, std::unique_ptr<Watched>> all;  // at most connections_max
};

HttpServer::HttpServer(const MediaConfig& config, Service& service, Observe& observe)
    : impl_(std::make_unique<Impl>(config, service, observe)) {}
HttpServer::~HttpServer() = default;

}  // namespace barid::media
