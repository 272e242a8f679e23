#include "schemas/control.h"

#include <kj/exception.h>

#include "schemas/codec.h"
#include "schemas/control.capnp.h"
#include "schemas/wire_request.h"

namespace barid::control {
namespace {

// In proportion to what came: lists of elements without a size cannot claim millions of them.
capnp::ReaderOptions bus_options(std::string_view bytes) {
  capnp::ReaderOptions options;
  options.traversalLimitInWords = 64 + 4 * bytes.size() / sizeof(capnp::word);
  options.nestingLimit = limits::kNestingMax;
  return options;
}

void write_flat(std::string& out, capnp::MessageBuilder& message) {
  const auto segments = message.getSegmentsForOutput();
  out.clear();
  std::vector<std::uint32_t> header{static_cast<std::uint32_t>(segments.size() - 1)};
  for (const auto& segment : segments) header.push_back(static_cast<std::uint32_t>(segment.size()));
  if (header.size() % 2 != 0) header.push_back(0);
  out.append(reinterpret_cast<const char*>(header.data()), header.size() * sizeof(std::uint32_t));
  for (const auto& segment : segments) out.append(segment.asChars().begin(), segment.asChars().size());
}

kj::ArrayPtr<capnp::word> bus_scratch(std::size_t words) {
  thread_local kj::Array<capnp::word> scratch;
  if (scratch.size() < words) {
    scratch = kj::heapArray<capnp::word>(words);
    std::memset(scratch.begin(), 0, words * sizeof(capnp::word));
  }
  return scratch;
}

void fill_presence_parts(schema::ToOwner::Builder b, const ToOwner& m) {
  auto watches = b.initWatches(static_cast<unsigned>(m.watches.size()));
  for (unsigned i = 0; i < m.watches.size(); ++i) {
    const WatchSet& watch = m.watches[i];
    watches[i].setPartition(watch.partition.value);
    watches[i].setUser(watch.user.value);
    watches[i].setDevice(watch.device.value);
    watches[i].setConn(watch.conn.value);
    auto users = watches[i].initUsers(static_cast<unsigned>(watch.users.size()));
    for (unsigned j = 0; j < watch.users.size(); ++j) users.set(j, watch.users[j].value);
    auto groups = watches[i].initGroups(static_cast<unsigned>(watch.groups.size()));
    for (unsigned j = 0; j < watch.groups.size(); ++j) groups.set(j, watch.groups[j].value);
  }
  auto typings = b.initTypings(static_cast<unsigned>(m.typings.size()));
  for (unsigned i = 0; i < m.typings.size(); ++i) {
    typings[i].setUser(m.typings[i].user.value);
    typings[i].setToUser(m.typings[i].to_user.value);
    typings[i].setToGroup(m.typings[i].to_group.value);
    typings[i].setState(static_cast<wire::schema::TypingState>(m.typings[i].state));
  }
}

void read_presence_parts(schema::ToOwner::Reader r, ToOwner& m) {
  for (auto w : r.getWatches()) {
    KJ_REQUIRE(w.getUsers().size() <= limits::kWatchUsersMax && w.getGroups().size() <= limits::kWatchGroupsMax,
               "watches too many");
    WatchSet& watch = m.watches.emplace_back(WatchSet{
        Partition(w.getPartition()), UserId(w.getUser()), DeviceId(w.getDevice()), ConnId(w.getConn()), {}, {}});
    for (const std::uint64_t user : w.getUsers()) watch.users.emplace_back(user);
    for (const std::uint64_t group : w.getGroups()) watch.groups.emplace_back(group);
  }
  for (auto t : r.getTypings())
    m.typings.push_back({UserId(t.getUser()), UserId(t.getToUser()), GroupId(t.getToGroup()),
                         wire::read_enum(t.getState(), wire::TypingState::recording)});
}

}  // namespace

void encode(std::string& out, const ToOwner& m) {
  std::size_t count =
      m.opens.size() + m.acks.size() + m.closes.size() + m.announced.size() + 2 * m.watches.size() + m.typings.size();
  for (const WatchSet& w : m.watches) count += (w.users.size() + w.groups.size() + 3) / 4;
  capnp::MallocMessageBuilder message(bus_scratch(64 + 4 * count));
  auto b = message.initRoot<schema::ToOwner>();
  b.setEdgeIncarnation(m.edge.value);
  b.setWorker(m.worker.value);
  b.setNumber(m.number);
  auto opens = b.initOpens(static_cast<unsigned>(m.opens.size()));
  for (unsigned i = 0; i < m.opens.size(); ++i) {
    opens[i].setUser(m.opens[i].user.value);
    opens[i].setDevice(m.opens[i].device.value);
    opens[i].setConn(m.opens[i].conn.value);
    opens[i].setSessionNo(m.opens[i].session_no.value);
  }
  auto acks = b.initAcks(static_cast<unsigned>(m.acks.size()));
  for (unsigned i = 0; i < m.acks.size(); ++i) {
    acks[i].setUser(m.acks[i].user.value);
    acks[i].setDevice(m.acks[i].device.value);
    acks[i].setConn(m.acks[i].conn.value);
    acks[i].setUpTo(m.acks[i].up_to);
  }
  auto closes = b.initCloses(static_cast<unsigned>(m.closes.size()));
  for (unsigned i = 0; i < m.closes.size(); ++i) {
    closes[i].setUser(m.closes[i].user.value);
    closes[i].setDevice(m.closes[i].device.value);
    closes[i].setConn(m.closes[i].conn.value);
  }
  auto announced = b.initAnnounced(static_cast<unsigned>(m.announced.size()));
  for (unsigned i = 0; i < m.announced.size(); ++i) {
    announced[i].setPartition(m.announced[i].partition.value);
    announced[i].setEpoch(m.announced[i].epoch.value);
  }
  fill_presence_parts(b, m);
  write_flat(out, message);
}

Result<ToOwner, Errc> decode_to_owner(std::string_view bytes) {
  try {
    capnp::FlatArrayMessageReader reader(codec::aligned(bytes), bus_options(bytes));
    auto r = reader.getRoot<schema::ToOwner>();
    ToOwner m;
    m.edge = Incarnation(r.getEdgeIncarnation());
    m.worker = Incarnation(r.getWorker());
    m.number = r.getNumber();
    m.opens.reserve(r.getOpens().size());
    for (auto o : r.getOpens())
      m.opens.push_back(
          {UserId(o.getUser()), DeviceId(o.getDevice()), ConnId(o.getConn()), SessionNo(o.getSessionNo())});
    m.acks.reserve(r.getAcks().size());
    for (auto a : r.getAcks())
      m.acks.push_back({UserId(a.getUser()), DeviceId(a.getDevice()), ConnId(a.getConn()), a.getUpTo()});
    for (auto c : r.getCloses())
      m.closes.push_back({UserId(c.getUser()), DeviceId(c.getDevice()), ConnId(c.getConn())});
    for (auto a : r.getAnnounced()) m.announced.push_back({Partition(a.getPartition()), Epoch(a.getEpoch())});
    read_presence_parts(r, m);
    return m;
  } catch (...) {  // kj::Exception, or the wire's refusal
    return fail(Errc::malformed);
  }
}

void encode(std::string& out, const ToEdge& m) {
  std::size_t words = 64 + 4 * m.kicks.size() + 8 * m.presences.size();
  for (const Delivery& d : m.deliveries) words += 6 + d.frame.size() / 8;
  capnp::MallocMessageBuilder message(bus_scratch(words));
  auto b = message.initRoot<schema::ToEdge>();
  b.setWorkerIncarnation(m.worker.value);
  b.setNumber(m.number);
  b.setReannounce(m.reannounce);
  auto deliveries = b.initDeliveries(static_cast<unsigned>(m.deliveries.size()));
  for (unsigned i = 0; i < m.deliveries.size(); ++i) {
    auto d = deliveries[i];
    d.setPartition(m.deliveries[i].partition.value);
    d.setEpoch(m.deliveries[i].epoch.value);
    d.setConn(m.deliveries[i].conn.value);
    d.setFrame(codec::as_data(m.deliveries[i].frame));
  }
  auto kicks = b.initKicks(static_cast<unsigned>(m.kicks.size()));
  for (unsigned i = 0; i < m.kicks.size(); ++i) {
    kicks[i].setPartition(m.kicks[i].partition.value);
    kicks[i].setEpoch(m.kicks[i].epoch.value);
    kicks[i].setConn(m.kicks[i].conn.value);
    kicks[i].setCode(static_cast<std::uint16_t>(m.kicks[i].code));
  }
  auto presences = b.initPresences(static_cast<unsigned>(m.presences.size()));
  for (unsigned i = 0; i < m.presences.size(); ++i) {
    auto p = presences[i];
    p.setPartition(m.presences[i].partition.value);
    p.setEpoch(m.presences[i].epoch.value);
    p.setConn(m.presences[i].conn.value);
    wire::fill_presence_entry(p.initEntry(), m.presences[i].entry);
  }
  write_flat(out, message);
}

Errc const* decode_to_edge(std::string_view bytes, ToEdge& out) {
  static constexpr Errc kMalformed = Errc::malformed;
  out.clear();
  try {
    // The reader goes, the aligned copy stays until the next decode: so do the frames' views.
    capnp::FlatArrayMessageReader reader(codec::aligned(bytes), bus_options(bytes));
    auto r = reader.getRoot<schema::ToEdge>();
    out.worker = Incarnation(r.getWorkerIncarnation());
    out.number = r.getNumber();
    out.reannounce = r.getReannounce();
    out.deliveries.reserve(r.getDeliveries().size());
    for (auto d : r.getDeliveries())
      out.deliveries.push_back(
          {Partition(d.getPartition()), Epoch(d.getEpoch()), ConnId(d.getConn()), codec::view(d.getFrame())});
    for (auto k : r.getKicks())
      out.kicks.push_back({Partition(k.getPartition()), Epoch(k.getEpoch()), ConnId(k.getConn()),
                           k.getCode() <= static_cast<std::uint16_t>(wire::kLastCode)
                               ? static_cast<wire::Code>(k.getCode())
                               : wire::Code::unavailable});
    for (auto p : r.getPresences())
      out.presences.push_back({Partition(p.getPartition()), Epoch(p.getEpoch()), ConnId(p.getConn()),
                               wire::read_presence_entry(p.getEntry())});
    return nullptr;
  } catch (...) {  // kj::Exception, or the wire's refusal
    return &kMalformed;
  }
}

std::string encode(const DirectoryCall& call) {
  capnp::MallocMessageBuilder message;
  auto b = message.initRoot<schema::DirectoryCall>();
  b.setUser(call.user.value);
  b.setDevice(call.device.value);
  b.setAddress(codec::text(call.address));
  wire::fill_request(b.initRequest(), call.request);
  std::string out;
  write_flat(out, message);
  return out;
}

Result<DirectoryCall, Errc> decode_directory_call(std::string_view bytes) {
  try {
    capnp::FlatArrayMessageReader reader(codec::aligned(bytes), codec::bounded());
    auto r = reader.getRoot<schema::DirectoryCall>();
    return DirectoryCall{UserId(r.getUser()), DeviceId(r.getDevice()), wire::read_short_text(r.getAddress()),
                         wire::read_request(r.getRequest())};
  } catch (...) {  // kj::Exception, or the wire's refusal
    return fail(Errc::malformed);
  }
}

std::string encode(const wire::Response& response) {
  capnp::MallocMessageBuilder message;
  wire::fill_response(message.initRoot<wire::schema::Response>(), response);
  std::string out;
  write_flat(out, message);
  return out;
}

Result<wire::Response, Errc> decode_response(std::string_view bytes) {
  try {
    capnp::FlatArrayMessageReader reader(codec::aligned(bytes), codec::bounded());
    return wire::read_response(reader.getRoot<wire::schema::Response>());
  } catch (...) {
    return fail(Errc::malformed);
  }
}

std::string encode(const GroupSnapshotCall& call) {
  capnp::MallocMessageBuilder message;
  auto b = message.initRoot<schema::GroupSnapshotCall>();
  b.setGroup(call.group.value);
  b.setBeforeSeq(call.before_seq.value);
  std::string out;
  write_flat(out, message);
  return out;
}

Result<GroupSnapshotCall, Errc> decode_group_snapshot_call(std::string_view bytes) {
  try {
    capnp::FlatArrayMessageReader reader(codec::aligned(bytes), bus_options(bytes));
    auto r = reader.getRoot<schema::GroupSnapshotCall>();
    return GroupSnapshotCall{GroupId(r.getGroup()), StreamSeq(r.getBeforeSeq())};
  } catch (const kj::Exception&) {
    return fail(Errc::malformed);
  }
}

std::string encode(const GroupSnapshot& snapshot) {
  capnp::MallocMessageBuilder message;
  auto b = message.initRoot<schema::GroupSnapshot>();
  b.setFound(snapshot.found);
  b.setUnavailable(snapshot.unavailable);
  b.setVersion(snapshot.version);
  b.setOnlyAdminsSend(snapshot.only_admins_send);
  auto members = b.initMembers(static_cast<unsigned>(snapshot.members.size()));
  for (unsigned i = 0; i < snapshot.members.size(); ++i) {
    const SnapshotMember& member = snapshot.members[i];
    members[i].setUser(member.user.value);
    members[i].setRole(static_cast<wire::schema::GroupRole>(member.role));
    auto devices = members[i].initDevices(static_cast<unsigned>(member.devices.size()));
    for (unsigned j = 0; j < member.devices.size(); ++j) devices.set(j, member.devices[j].value);
  }
  std::string out;
  write_flat(out, message);
  return out;
}

Result<GroupSnapshot, Errc> decode_group_snapshot(std::string_view bytes) {
  try {
    capnp::FlatArrayMessageReader reader(codec::aligned(bytes), bus_options(bytes));
    auto r = reader.getRoot<schema::GroupSnapshot>();
    GroupSnapshot snapshot{r.getFound(), r.getUnavailable(), r.getVersion(), r.getOnlyAdminsSend(), {}};
    KJ_REQUIRE(r.getMembers().size() <= limits::kGroupMembersMax, "too many members");
    snapshot.members.reserve(r.getMembers().size());
    for (auto m : r.getMembers()) {
      SnapshotMember member{UserId(m.getUser()), wire::read_enum(m.getRole(), wire::GroupRole::owner), {}};
      KJ_REQUIRE(m.getDevices().size() <= limits::kDevicesMax, "too many devices");
      for (const std::uint64_t device : m.getDevices()) member.devices.emplace_back(device);
      snapshot.members.push_back(std::move(member));
    }
    return snapshot;
  } catch (...) {  // kj::Exception, or the wire's refusal
    return fail(Errc::malformed);
  }
}

std::string encode(const PresenceCall& call) {
  capnp::MallocMessageBuilder message;
  auto b = message.initRoot<schema::PresenceCall>();
  auto pairs = b.initPairs(static_cast<unsigned>(call.pairs.size()));
  for (unsigned i = 0; i < call.pairs.size(); ++i) {
    pairs[i].setWatched(call.pairs[i].watched.value);
    pairs[i].setWatcher(call.pairs[i].watcher.value);
  }
  auto seen = b.initSeen(static_cast<unsigned>(call.seen.size()));
  for (unsigned i = 0; i < call.seen.size(); ++i) {
    seen[i].setUser(call.seen[i].user.value);
    seen[i].setAtMs(call.seen[i].at_ms);
  }
  std::string out;
  write_flat(out, message);
  return out;
}

Result<PresenceCall, Errc> decode_presence_call(std::string_view bytes) {
  try {
    capnp::FlatArrayMessageReader reader(codec::aligned(bytes), bus_options(bytes));
    auto r = reader.getRoot<schema::PresenceCall>();
    KJ_REQUIRE(r.getPairs().size() <= limits::kPresencePairsMax, "too many pairs");
    KJ_REQUIRE(r.getSeen().size() <= limits::kLastSeenBatchMax, "too many seen");
    PresenceCall call;
    for (auto p : r.getPairs()) call.pairs.push_back({UserId(p.getWatched()), UserId(p.getWatcher())});
    for (auto s : r.getSeen()) call.seen.push_back({UserId(s.getUser()), s.getAtMs()});
    return call;
  } catch (const kj::Exception&) {
    return fail(Errc::malformed);
  }
}

std::string encode(const PresenceAnswer& answer) {
  capnp::MallocMessageBuilder message;
  auto b = message.initRoot<schema::PresenceAnswer>();
  b.setUnavailable(answer.unavailable);
  auto rights = b.initRights(static_cast<unsigned>(answer.rights.size()));
  for (unsigned i = 0; i < answer.rights.size(); ++i) {
    rights[i].setBlocked(answer.rights[i].blocked);
    rights[i].setOnline(answer.rights[i].online);
    rights[i].setLastSeen(answer.rights[i].last_seen);
    rights[i].setLastSeenMs(answer.rights[i].last_seen_ms);
  }
  std::string out;
  write_flat(out, message);
  return out;
}

Result<PresenceAnswer, Errc> decode_presence_answer(std::string_view bytes) {
  try {
    capnp::FlatArrayMessageReader reader(codec::aligned(bytes), bus_options(bytes));
    auto r = reader.getRoot<schema::PresenceAnswer>();
    KJ_REQUIRE(r.getRights().size() <= limits::kPresencePairsMax, "too many rights");
    PresenceAnswer answer{r.getUnavailable(), {}};
    for (auto p : r.getRights())
      answer.rights.push_back({p.getBlocked(), p.getOnline(), p.getLastSeen(), p.getLastSeenMs()});
    return answer;
  } catch (const kj::Exception&) {
    return fail(Errc::malformed);
  }
}

}  // namespace barid::control
