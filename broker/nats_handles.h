// Private to broker/: owners of nats.c handles and its status as an exception.
#pragma once

#include <nats/nats.h>

#include <memory>
#include <string>

#include "base/log.h"
#include "broker/control.h"
#include "broker/roles.h"

namespace barid::broker {

template <class T, void (*Destroy)(T*)>
struct NatsDelete {
  void operator()(T* handle) const { Destroy(handle); }
};
using NatsOptions = std::unique_ptr<natsOptions, NatsDelete<natsOptions, natsOptions_Destroy>>;
using NatsConnection = std::unique_ptr<natsConnection, NatsDelete<natsConnection, natsConnection_Destroy>>;
using NatsSubscription = std::unique_ptr<natsSubscription, NatsDelete<natsSubscription, natsSubscription_Destroy>>;
using NatsMsg = std::unique_ptr<natsMsg, NatsDelete<natsMsg, natsMsg_Destroy>>;
using NatsJs = std::unique_ptr<jsCtx, NatsDelete<jsCtx, jsCtx_Destroy>>;
using NatsKv = std::unique_ptr<kvStore, NatsDelete<kvStore, kvStore_Destroy>>;
using NatsPubAck = std::unique_ptr<jsPubAck, NatsDelete<jsPubAck, jsPubAck_Destroy>>;
using NatsKvEntry = std::unique_ptr<kvEntry, NatsDelete<kvEntry, kvEntry_Destroy>>;
using NatsKvWatcher = std::unique_ptr<kvWatcher, NatsDelete<kvWatcher, kvWatcher_Destroy>>;

inline void check(natsStatus status, const std::string& doing) {
  if (status != NATS_OK) throw Error(doing + ": " + natsStatus_GetText(status));
}

inline NatsOptions make_options(const NatsConfig& config, const std::string& name) {
  natsOptions* raw = nullptr;
  check(natsOptions_Create(&raw), "NATS options");
  NatsOptions options(raw);
  check(natsOptions_SetURL(raw, config.url.c_str()), "NATS url " + masked_url(config.url));
  if (!config.user.empty()) {
    check(natsOptions_SetUserInfo(raw, config.user.c_str(), config.password.c_str()), "NATS user");
    check(natsOptions_SetCustomInboxPrefix(raw, reply_prefix(config.user).c_str()), "NATS replies");
  }
  check(natsOptions_SetName(raw, name.c_str()), "NATS name");
  check(natsOptions_SetMaxReconnect(raw, -1), "NATS reconnect");
  check(natsOptions_SetReconnectWait(raw, 100), "NATS reconnect wait");
  check(natsOptions_SetReconnectJitter(raw, 100, 100), "NATS reconnect jitter");
  check(natsOptions_SetPingInterval(raw, 5'000), "NATS ping");
  check(natsOptions_SetMaxPingsOut(raw, 2), "NATS pings");
  return options;
}

}  // namespace barid::broker
