#include "broker/nats_link.h"

#include <unistd.h>

#include <atomic>
#include <charconv>
#include <deque>
#include <future>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/assert.h"
#include "base/crypto.h"
#include "base/log.h"
#include "broker/nats_handles.h"

namespace barid::broker {
namespace {
constexpr int kReadBufferBytes = 256 * 1024;
constexpr std::chrono::seconds kCloseWait{2};
constexpr std::size_t kSpentMessagesMax = 64, kSpentBytesMax = 512 * 1024;

// The library frees messages on a thread of its own and wakes it for each: two context switches a message. Spent
// messages are kept until there are many, so that one waking frees them all.
class SpentMessages {
 public:
  ~SpentMessages() { free(); }
  void add(natsMsg* msg) {
    spent_.push_back(msg);
    bytes_ += static_cast<std::size_t>(natsMsg_GetDataLength(msg));
    if (spent_.size() >= kSpentMessagesMax || bytes_ > kSpentBytesMax) free();
  }
  void free() {
    for (natsMsg* msg : spent_) natsMsg_Destroy(msg);
    spent_.clear();
    bytes_ = 0;
  }

 private:
  std::vector<natsMsg*> spent_;
  std::size_t bytes_ = 0;
};

Message view_of(natsMsg* msg) {
  Message m;
  m.subject = natsMsg_GetSubject(msg);
  if (const char* reply = natsMsg_GetReply(msg)) m.reply = reply;
  m.payload = {natsMsg_GetData(msg), static_cast<std::size_t>(natsMsg_GetDataLength(msg))};
  m.handle = msg;
  if (m.payload.empty()) {
    const std::string_view status = m.header("Status");
    std::from_chars(status.data(), status.data() + status.size(), m.status);
  }
  return m;
}
}  // namespace

std::string_view Message::header(const char* name) const {
  const char* value = nullptr;
  return natsMsgHeader_Get(static_cast<natsMsg*>(handle), name, &value) == NATS_OK && value != nullptr
             ? std::string_view(value)
             : std::string_view();
}

struct NatsLink::Impl : std::enable_shared_from_this<NatsLink::Impl> {
  struct Pending {
    OnReply on_reply;
  };
  struct Subscribed {
    NatsSubscription handle;
    std::shared_ptr<OnMessage> on_message;
  };

  Impl(FdWatcher& l, OnState s) : loop(l), on_state(std::move(s)), home(std::this_thread::get_id()) {}

  FdWatcher& loop;
  OnState on_state;
  std::atomic<std::thread::id>
      home;  // the loop's thread once it runs; construction happens before on another, which is fine
  NatsConnection connection;
  bool connected = false, closing = false;
  // The library has let go of a broken socket, perhaps on a thread of its own. From here on it would keep what is
  // published and send it when it is back, before anybody could look at what the broker still has.
  std::atomic<bool> torn{false};
  std::promise<void> closed;
  std::atomic<bool> closed_told{false};

  int fd = -1;  // our own duplicate of the library's socket: its number can't be reused behind our back
  bool read_wanted = false, write_wanted = false, write_armed = false;

  std::string inbox;  // prefix of reply subjects
  NatsSubscription replies;
  SpentMessages spent;
  std::unordered_map<std::uint64_t, Pending> pending;
  std::deque<std::pair<std::uint64_t, TimePoint>> by_age;
  std::uint64_t next_token = 1;
  std::unordered_map<Subscription, Subscribed> subscriptions;
  Subscription next_subscription = 1;
  mutable std::uint64_t next_inbox = 1;

  // Runs now on the loop's thread, or is posted there. The first connect happens on the constructing thread.
  template <class F>
  void at_home(F&& work) {
    if (std::this_thread::get_id() == home.load()) {
      work();
    } else {
      auto self = weak_from_this();
      loop.post([self, work = std::forward<F>(work)] {
        if (auto alive = self.lock()) work();
      });
    }
  }

  static natsStatus attach(void** user, void* self, natsConnection*, natsSock socket) {
    auto* impl = static_cast<Impl*>(self);
    *user = self;
    const int copy = ::dup(socket);
    if (copy < 0) return NATS_SYS_ERROR;
    impl->at_home([impl, copy] { impl->watch(copy); });
    return NATS_OK;
  }
  static natsStatus want_read(void* user, bool add) {
    auto* impl = static_cast<Impl*>(user);
    if (!add) impl->torn = true;
    impl->at_home([impl, add] {
      impl->read_wanted = add;
      impl->arm();
    });
    return NATS_OK;
  }
  static natsStatus want_write(void* user, bool add) {
    auto* impl = static_cast<Impl*>(user);
    impl->at_home([impl, add] {
      impl->write_wanted = add;  // flush() writes at the end of the turn; armed only if that did not take it all
      if (!add) impl->arm();
    });
    return NATS_OK;
  }
  static natsStatus detach(void* user) {
    auto* impl = static_cast<Impl*>(user);
    impl->at_home([impl] { impl->unwatch(); });
    return NATS_OK;
  }
  static void on_disconnected(natsConnection*, void* self) {
    auto* impl = static_cast<Impl*>(self);
    impl->at_home([impl] { impl->set_connected(false); });
  }
  // The library's last word, on its callback thread: from here on it does not know us any more.
  static void on_closed(natsConnection*, void* self) {
    auto* impl = static_cast<Impl*>(self);
    if (!impl->closed_told.exchange(true)) impl->closed.set_value();
  }
  static void on_reconnected(natsConnection*, void* self) {
    auto* impl = static_cast<Impl*>(self);
    impl->at_home([impl] { impl->set_connected(true); });
  }

  void watch(int copy) {
    unwatch();
    fd = copy;
    read_wanted = true;
    write_wanted = write_armed = false;
    loop.watch(fd, EPOLLIN, [this](std::uint32_t events) { on_events(events); });
  }
  void unwatch() {
    if (fd < 0) return;
    loop.unwatch(fd);
    ::close(fd);
    fd = -1;
    write_armed = false;
  }
  void arm() {
    if (fd < 0) return;
    if (!read_wanted && !write_wanted) return unwatch();  // the library lets go of the socket
    if (write_armed != write_wanted) {
      write_armed = write_wanted;
      loop.change(fd, EPOLLIN | (write_armed ? EPOLLOUT : 0U));
    }
  }

  void on_events(std::uint32_t events) {
    const auto self = shared_from_this();
    if ((events & EPOLLOUT) != 0) natsConnection_ProcessWriteEvent(connection.get());
    if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) natsConnection_ProcessReadEvent(connection.get());
    drain();
  }

  void drain() {
    natsMsg* raw = nullptr;
    while (true) {
      const natsStatus status = natsSubscription_NextMsg(&raw, replies.get(), 0);
      if (status == NATS_NO_RESPONDERS)
        continue;  // the library ate that reply: its request times out, the rest goes on
      if (status != NATS_OK) break;
      NatsMsg msg(raw);
      on_reply(raw);
      spent.add(msg.release());
    }
    // A callback may subscribe or unsubscribe: walk over a copy of the keys, look each up again.
    thread_local std::vector<Subscription> ids;
    ids.clear();
    for (const auto& [id, sub] : subscriptions) ids.push_back(id);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      while (true) {
        const auto found = subscriptions.find(ids[i]);
        if (found == subscriptions.end() || natsSubscription_NextMsg(&raw, found->second.handle.get(), 0) != NATS_OK)
          break;
        NatsMsg msg(raw);
        const auto callback = found->second.on_message;
        (*callback)(view_of(raw));
        spent.add(msg.release());
      }
    }
  }

  void on_reply(natsMsg* msg) {
    const std::string_view subject = natsMsg_GetSubject(msg);
    std::uint64_t token = 0;
    const std::string_view digits = subject.substr(inbox.size());
    std::from_chars(digits.data(), digits.data() + digits.size(), token, 36);
    auto node = pending.extract(token);
    if (node.empty()) return;  // timed out before: whoever asked has asked again
    const Message view = view_of(msg);
    node.mapped().on_reply(&view, Failure::timeout);
  }

  void fail_all(Failure failure) {
    auto failed = std::move(pending);
    pending.clear();
    by_age.clear();
    for (auto& [token, request] : failed) request.on_reply(nullptr, failure);
  }

  void set_connected(bool now_connected) {
    if (closing || connected == now_connected) return;
    connected = now_connected;
    if (connected && natsConnection_Status(connection.get()) == NATS_CONN_STATUS_CONNECTED) torn = false;
    if (!connected) fail_all(Failure::disconnected);
    on_state(connected);
  }
};

NatsLink::NatsLink(FdWatcher& loop, const NatsConfig& config, const std::string& name, OnState on_state,
                   std::chrono::seconds patience)
    : impl_(std::make_shared<Impl>(loop, std::move(on_state))) {
  NatsOptions options = make_options(config, name);
  natsOptions* o = options.get();
  check(natsOptions_SetEventLoop(o, impl_.get(), &Impl::attach, &Impl::want_read, &Impl::want_write, &Impl::detach),
        "NATS event loop");
  check(natsOptions_SetIOBufSize(o, kReadBufferBytes), "NATS buffer");
  check(natsOptions_SetSendAsap(o, true), "NATS send");
  check(natsOptions_SetDisconnectedCB(o, &Impl::on_disconnected, impl_.get()), "NATS callback");
  check(natsOptions_SetReconnectedCB(o, &Impl::on_reconnected, impl_.get()), "NATS callback");
  check(natsOptions_SetClosedCB(o, &Impl::on_closed, impl_.get()), "NATS callback");
  const TimePoint until = steady_now() + patience;
  natsConnection* raw = nullptr;
  natsStatus status = natsConnection_Connect(&raw, o);
  while (status != NATS_OK && steady_now() < until) {
    std::this_thread::sleep_for(milliseconds(100));
    status = natsConnection_Connect(&raw, o);
  }
  check(status, "cannot reach nats-server at " + masked_url(config.url));
  impl_->connection.reset(raw);
  impl_->connected = true;
  impl_->inbox = reply_prefix(config.user) + "." + hex_id(crypto::random_u64()) + ".";
  natsSubscription* sub = nullptr;
  check(natsConnection_SubscribeSync(&sub, raw, (impl_->inbox + "*").c_str()), "NATS reply subscription");
  impl_->replies.reset(sub);
  check(natsSubscription_SetPendingLimits(sub, -1, -1), "NATS limits");  // bounded by kRequestsMax
  flush();
}

NatsLink::~NatsLink() {
  impl_->closing = true;
  impl_->pending.clear();
  impl_->subscriptions.clear();
  impl_->replies.reset();
  natsConnection_Close(impl_->connection.get());
  impl_->unwatch();
  // The disconnect callback runs on a thread of the library, perhaps only now: it may not find us gone.
  if (impl_->closed.get_future().wait_for(kCloseWait) != std::future_status::ready)
    SPDLOG_WARN("the NATS library did not finish closing a connection in time");
}

bool NatsLink::connected() const { return impl_->connected && !impl_->torn; }

void NatsLink::publish(const std::string& subject, std::string_view payload) {
  if (!impl_->connected || impl_->torn) return;
  natsConnection_Publish(impl_->connection.get(), subject.c_str(), payload.data(), static_cast<int>(payload.size()));
}

void NatsLink::request(const std::string& subject, std::string_view payload, std::string_view message_id,
                       OnReply on_reply) {
  BARID_ASSERT(impl_->pending.size() < kRequestsMax);
  if (!impl_->connected || impl_->torn) return on_reply(nullptr, Failure::disconnected);
  const std::uint64_t token = impl_->next_token++;
  char digits[16];
  const auto end = std::to_chars(digits, digits + sizeof digits, token, 36).ptr;
  const std::string reply = impl_->inbox + std::string(digits, end);
  natsStatus status = NATS_OK;
  if (message_id.empty()) {
    status = natsConnection_PublishRequest(impl_->connection.get(), subject.c_str(), reply.c_str(), payload.data(),
                                           static_cast<int>(payload.size()));
  } else {
    natsMsg* raw = nullptr;
    check(natsMsg_Create(&raw, subject.c_str(), reply.c_str(), payload.data(), static_cast<int>(payload.size())),
          "NATS message");
    NatsMsg msg(raw);
    check(natsMsgHeader_Set(raw, "Nats-Msg-Id", std::string(message_id).c_str()), "NATS header");
    status = natsConnection_PublishMsg(impl_->connection.get(), raw);
    impl_->spent.add(msg.release());
  }
  if (status != NATS_OK) return on_reply(nullptr, Failure::disconnected);
  impl_->pending.emplace(token, Impl::Pending{std::move(on_reply)});
  impl_->by_age.emplace_back(token, steady_now() + kReplyTimeout);
}

NatsLink::Subscription NatsLink::subscribe(const std::string& subject, OnMessage on_message) {
  natsSubscription* raw = nullptr;
  check(natsConnection_SubscribeSync(&raw, impl_->connection.get(), subject.c_str()), "subscribe to " + subject);
  check(natsSubscription_SetPendingLimits(raw, -1, -1),
        "NATS limits");  // bounded by the consumer's max_ack_pending
  const Subscription id = impl_->next_subscription++;
  impl_->subscriptions.emplace(
      id, Impl::Subscribed{NatsSubscription(raw), std::make_shared<OnMessage>(std::move(on_message))});
  return id;
}

void NatsLink::unsubscribe(Subscription subscription) {
  const auto node = impl_->subscriptions.extract(subscription);
  if (!node.empty()) natsSubscription_Unsubscribe(node.mapped().handle.get());
}

std::string NatsLink::new_inbox() const {
  return impl_->inbox.substr(0, impl_->inbox.size() - 1) + ".in." + std::to_string(impl_->next_inbox++);
}

void NatsLink::flush() {
  if (!impl_->write_wanted || impl_->write_armed || impl_->fd < 0) return;
  natsConnection_ProcessWriteEvent(impl_->connection.get());
  impl_->arm();  // the kernel's buffer is full: the rest goes when it has room
}

void NatsLink::expire_requests(TimePoint now) {
  // The home thread is whichever runs the loop; the link may have been built on another before.
  impl_->home = std::this_thread::get_id();
  while (!impl_->by_age.empty() && impl_->by_age.front().second <= now) {
    auto node = impl_->pending.extract(impl_->by_age.front().first);
    impl_->by_age.pop_front();
    if (!node.empty()) node.mapped().on_reply(nullptr, Failure::timeout);
  }
  while (!impl_->by_age.empty() && !impl_->pending.contains(impl_->by_age.front().first)) impl_->by_age.pop_front();
}

}  // namespace barid::broker
