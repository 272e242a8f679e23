// One client connection: plain state, small while idle (see tests/unit/edge_connection_test.cpp). Buffers exist only
// while they hold bytes, layers only where the listener has them. Owner and thread: its reactor.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "edge/engine.h"
#include "edge/net.h"
#include "edge/proxy_protocol.h"
#include "edge/session.h"
#include "edge/tls.h"
#include "edge/watching.h"
#include "edge/websocket.h"

namespace barid::edge {

// What lies between the socket and the frames. A plain TCP connection has none of it.
struct Layers {
  bool awaits_proxy_header = false;
  bool is_websocket = false;
  std::string proxy_bytes;  // of an incomplete header
  std::unique_ptr<TlsStream> tls;
  std::unique_ptr<WebSocketUpgrade> upgrade;  // until it is done
  WebSocketState websocket;
  std::string control;          // what must go out before `Connection::out`: HTTP response, pongs
  std::string cipher;           // TLS records that wait for the socket
  std::size_t whole_bytes = 0;  // WebSocket: bytes at the front of `in` that belong to ended messages
};

struct Connection final : Socket {
  ConnId id;          // never changes
  ConnId owner_conn;  // as its owner knows it: a new one each time the session is opened there
  Session session;
  std::string in;   // bytes of frames not yet taken
  std::string out;  // whole frames that wait for the socket
  std::unique_ptr<Layers> layers;
  std::unique_ptr<Watching> watching;  // of those who watch or type
  PeerAddress address;
  TimePoint linger_until{};         // set when leaving
  std::uint32_t early_bytes = 0;    // before login
  std::uint32_t accepted_slot = 0;  // this turn's Accepted ranges, +1; 0: none
  std::uint32_t held_accepted = 0;  // acceptances in `out`
  std::uint32_t wheel_tick = 0;     // when step_time is due; other entries in the wheel are stale
  std::uint8_t listener = 0;
  bool admitted = false;  // counted by the gate
  bool ready = false;     // layers are up, the challenge is out
  bool stalled = false;   // window full: `in` waits, the socket is not read
  bool leaving = false;   // the session has ended: flush, FIN, linger
  bool fin_sent = false;
  bool ticks_held = false;  // stands in the reactor's list of them
  bool dirty = false;       // in the reactor's list of this turn
};

}  // namespace barid::edge
