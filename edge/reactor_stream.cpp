// The reactor's streams: from socket bytes through PROXY header, TLS and WebSocket to frames, and back.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "base/assert.h"
#include "edge/reactor.h"

namespace barid::edge {

using wire::Code;

void Reactor::mark_dirty(Connection& c) {
  if (std::exchange(c.dirty, true)) return;
  dirty_.push_back(c.id);
}

std::string& Reactor::out_of(Connection& c) {
  if (c.out.empty() && c.out.capacity() < 64) c.out = engine_->take_buffer();
  mark_dirty(c);
  return c.out;
}

// The same for what a client can wait for, acceptances and receipts: under load it goes with the next frame that can't,
// or after kTicksHold. Half of all writes to sockets are saved so.
std::string& Reactor::ticks_of(Connection& c) {
  if (!engine_->under_load()) return out_of(c);
  if (c.out.empty() && c.out.capacity() < 64) c.out = engine_->take_buffer();
  if (ticks_.empty()) ticks_due_ = turn_ + kTicksHold;
  if (!std::exchange(c.ticks_held, true)) ticks_.push_back(c.id);
  return c.out;
}

void Reactor::receive(Connection& c, std::string_view bytes) {
  if (c.layers == nullptr) return receive_frames(c, bytes);
  Layers& layers = *c.layers;
  if (!c.ready) {
    c.early_bytes += static_cast<std::uint32_t>(bytes.size());
    if (c.early_bytes > kRawBytesMax) return end_below(c, Code::malformed);
  }
  std::string after_proxy;
  if (layers.awaits_proxy_header) {
    if (!receive_proxy(c, bytes)) return;
    after_proxy.assign(bytes);  // the view is of proxy_bytes
    layers.proxy_bytes = {};
    bytes = after_proxy;
  }
  if (layers.tls != nullptr) {
    plain_.clear();
    const auto status = layers.tls->receive(bytes, plain_, layers.cipher);
    if (!layers.cipher.empty()) mark_dirty(c);
    if (status == TlsStream::Status::broken) return end_below(c, Code::malformed);
    if (layers.tls->ready() && !layers.is_websocket && !c.ready) become_ready(c);
    bytes = plain_;
    if (status == TlsStream::Status::ended) {
      if (!bytes.empty()) layers.is_websocket ? receive_websocket(c, bytes) : receive_frames(c, bytes);
      if (!c.leaving) on_end(c, 0);
      return;
    }
  } else if (!layers.is_websocket && !c.ready) {
    become_ready(c);
  }
  if (bytes.empty()) return;
  layers.is_websocket ? receive_websocket(c, bytes) : receive_frames(c, bytes);
}

// True: the header is complete and the connection admitted; `bytes` is what follows it.
bool Reactor::receive_proxy(Connection& c, std::string_view& bytes) {
  Layers& layers = *c.layers;
  layers.proxy_bytes.append(bytes);
  const ProxyHeader header = parse_proxy_header(layers.proxy_bytes);
  if (header.status == ProxyHeader::Status::incomplete) return false;
  if (header.status == ProxyHeader::Status::invalid) {
    end_below(c, Code::malformed);
    return false;
  }
  if (header.client) c.address = *header.client;
  layers.awaits_proxy_header = false;
  if (!admit(c)) {
    end_below(c, Code::too_many_connections);
    return false;
  }
  bytes = std::string_view(layers.proxy_bytes).substr(header.bytes);
  return true;
}

void Reactor::receive_websocket(Connection& c, std::string_view bytes) {
  Layers& layers = *c.layers;
  if (layers.upgrade != nullptr) {
    std::size_t used = 0;
    const auto status = layers.upgrade->receive(bytes, used, layers.control);
    mark_dirty(c);
    if (status == WebSocketUpgrade::Status::incomplete) return;
    if (status == WebSocketUpgrade::Status::refused) return end_below(c, Code::malformed);
    layers.upgrade.reset();
    bytes.remove_prefix(used);
    become_ready(c);
  }
  while (!c.leaving) {
    const auto status = websocket_.receive(layers.websocket, bytes, c.in, layers.control);
    if (!layers.control.empty()) mark_dirty(c);
    if (status == WebSocketCodec::Status::closed) return end_below(c, Code::none);  // goodbye has been answered
    if (status == WebSocketCodec::Status::failed) return end_session(c, Code::protocol_violation, 0, "WebSocket");
    if (status == WebSocketCodec::Status::open) return;
    if (!end_message(c)) return;
  }
}

// One binary message carries whole frames.
bool Reactor::end_message(Connection& c) {
  std::size_t& whole = c.layers->whole_bytes;
  while (const auto frame = wire::split(std::string_view(c.in).substr(whole))) whole += frame->bytes;
  if (whole != c.in.size()) {
    end_session(c, Code::protocol_violation, 0, "a message must carry whole frames");
    return false;
  }
  if (!c.stalled) resume_input(c);
  return true;
}

void Reactor::receive_frames(Connection& c, std::string_view bytes) {
  if (!c.in.empty() || c.stalled) {
    c.in.append(bytes);
    if (!c.stalled) resume_input(c);
    return;
  }
  const std::size_t used = take_frames(c, bytes);
  if (used < bytes.size() && !c.leaving) c.in.assign(bytes.substr(used));
}

// Takes what waits in `in`; reads from the socket again when nothing holds it back.
void Reactor::resume_input(Connection& c) {
  if (c.leaving) return;
  const bool websocket = c.layers != nullptr && c.layers->is_websocket;
  const bool was_stalled = std::exchange(c.stalled, false);
  const std::size_t ready = websocket ? c.layers->whole_bytes : c.in.size();
  const std::size_t used = take_frames(c, std::string_view(c.in).substr(0, ready));
  if (c.leaving) return;
  c.in.erase(0, used);
  if (c.in.empty()) c.in = {};
  if (websocket) c.layers->whole_bytes -= used;
  if (was_stalled && !c.stalled) engine_->resume(c);
}

std::size_t Reactor::take_frames(Connection& c, std::string_view bytes) {
  std::size_t used = 0;
  while (!c.session.ended()) {
    const Online* online = c.session.online();
    if (online != nullptr && window_full(*online) && used < bytes.size()) {
      c.stalled = true;
      tally_.add(Count::stalls);
      engine_->pause(c);
      break;
    }
    const auto frame = wire::split(bytes.substr(used));
    if (online == nullptr) {
      const std::size_t size = frame ? frame->bytes : bytes.size() - used;
      if (c.early_bytes + size > limits::kUnauthenticatedBytesMax) {
        end_session(c, Code::frame_too_large, 0, "too many bytes before login");
        break;
      }
      if (frame) c.early_bytes += static_cast<std::uint32_t>(frame->bytes);
    }
    if (!frame) break;
    used += frame->bytes;
    tally_.add(Count::frames_in);
    effects_.clear();
    step(c.session, *frame, rules_, verifier_, turn_, effects_);
    apply(c);
  }
  return used;
}

void Reactor::become_ready(Connection& c) {
  c.ready = true;
  c.early_bytes = 0;
  effects_.clear();
  c.session = greet(rules_, turn_, std::get<Greeting>(c.session.state).deadline, effects_);
  apply(c);
}

void Reactor::end_below(Connection& c, Code code) {
  if (c.leaving) return;
  std::optional<Online> was;
  if (const Online* online = c.session.online()) was = *online;
  c.session.state = Ended{code, was};
  leave(c);
}

// ---- out

// Everything that waits, as it goes over the socket. Frames of a connection that is not ready yet are dropped: there
// is nobody who could read them.
std::string Reactor::wire_bytes(Connection& c) {
  if (c.layers == nullptr) return std::exchange(c.out, {});
  Layers& layers = *c.layers;
  std::string plain = std::exchange(layers.control, {});
  if (layers.is_websocket && c.ready) {
    if (!c.out.empty() && !layers.websocket.closed) {
      for (std::string_view left = c.out; !left.empty();) {  // whole frames, up to the limit of a message
        std::size_t bytes = 0;
        while (const auto frame = wire::split(left.substr(bytes))) {
          if (bytes != 0 && bytes + frame->bytes > WebSocketCodec::kMessageBytesMax) break;
          bytes += frame->bytes;
        }
        BARID_ASSERT(bytes > 0);
        websocket_.append_message(left.substr(0, bytes), plain);
        left.remove_prefix(bytes);
      }
    }
    if (c.leaving) {
      const auto* ended = std::get_if<Ended>(&c.session.state);
      const bool away = ended != nullptr && ended->code == Code::going_away;
      websocket_.append_close(layers.websocket, away ? CloseCode::going_away : CloseCode::policy, plain);
    }
  } else if (c.ready) {
    plain.append(c.out);
  }
  engine_->recycle_buffer(std::exchange(c.out, {}));
  if (layers.tls == nullptr) return plain;
  std::string cipher = std::exchange(layers.cipher, {});
  if (!plain.empty()) layers.tls->seal(plain, cipher);
  if (c.leaving) layers.tls->seal_end(cipher);
  return cipher;
}

void Reactor::flush(Connection& c) {
  if (c.sending) return;  // on_sent comes back to it
  if (c.fin_sent) return;
  c.held_accepted = 0;
  std::string bytes = wire_bytes(c);
  if (!bytes.empty()) {
    tally_.add(Count::bytes_out, bytes.size());
    if (!engine_->send(c, std::move(bytes))) return;
  }
  if (!c.leaving) return;
  c.fin_sent = true;
  engine_->shutdown_write(c);
}

}  // namespace barid::edge
