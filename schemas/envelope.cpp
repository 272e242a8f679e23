#include "schemas/envelope.h"

#include <kj/exception.h>

#include <algorithm>

#include "schemas/codec.h"
#include "schemas/envelope.capnp.h"

namespace barid::envelope {
namespace {

void fill(schema::Envelope::Builder b, const Envelope& e) {
  b.setFromUser(e.from_user.value);
  b.setFromDevice(e.from_device.value);
  b.setSeq(e.seq);
  b.setToUser(e.to_user.value);
  b.setToDevice(e.to_device.value);
  b.setAcceptedAtMs(e.accepted_at.value);
  b.setExpiresAtMs(e.expires_at.value);
  b.setKind(static_cast<std::uint8_t>(e.kind));
  b.setAttempts(e.attempts);
  b.setFrame(codec::as_data(e.frame));
  b.setGroup(e.group.value);
  if (e.recipients.empty()) return;
  auto recipients = b.initRecipients(static_cast<unsigned>(e.recipients.size()));
  for (unsigned i = 0; i < recipients.size(); ++i) {
    recipients[i].setUser(e.recipients[i].user.value);
    recipients[i].setDevice(e.recipients[i].device.value);
  }
}

Kind kind_of(std::uint8_t raw) {
  const auto kind = static_cast<Kind>(raw);
  return kind == Kind::message || kind == Kind::event ? kind : Kind::receipt;
}

Envelope read(schema::Envelope::Reader r) {
  Envelope e{UserId(r.getFromUser()),    DeviceId(r.getFromDevice()), r.getSeq(),
             UserId(r.getToUser()),      DeviceId(r.getToDevice()),   WallMs{r.getAcceptedAtMs()},
             WallMs{r.getExpiresAtMs()}, kind_of(r.getKind()),        r.getAttempts(),
             codec::view(r.getFrame()),  GroupId(r.getGroup())};
  KJ_REQUIRE(e.frame.size() >= limits::kFrameHeaderBytes, "envelope without a frame");
  return e;
}

// One envelope for each recipient, over one frame.
void read_into(std::vector<Envelope>& out, schema::Envelope::Reader r) {
  const auto recipients = r.getRecipients();
  KJ_REQUIRE(recipients.size() <= limits::kEnvelopeRecipientsMax, "too many recipients");
  KJ_REQUIRE(out.size() + std::max(1U, recipients.size()) <= limits::kBatchLettersMax, "too many letters");
  out.push_back(read(r));
  for (unsigned i = 0; i < recipients.size(); ++i) {
    if (i != 0) out.push_back(out.back());
    out.back().to_user = UserId(recipients[i].getUser());
    out.back().to_device = DeviceId(recipients[i].getDevice());
  }
}

capnp::ReaderOptions batch_options() {
  capnp::ReaderOptions options;
  options.traversalLimitInWords = 4 * limits::kBatchBytesMax / sizeof(capnp::word);
  options.nestingLimit = limits::kNestingMax;
  return options;
}

}  // namespace

void encode_batch(std::string& out, std::uint64_t origin, std::uint64_t number,
                  const std::vector<Envelope>& envelopes) {
  // One segment of exactly the right size: list tag and elements, frames, recipients, root and a little air.
  std::size_t words = 16;
  for (const Envelope& e : envelopes) words += 16 + e.frame.size() / 8 + 2 * e.recipients.size();
  thread_local kj::Array<capnp::word> scratch;
  if (scratch.size() < words) {
    scratch = kj::heapArray<capnp::word>(words);
    std::memset(scratch.begin(), 0, words * sizeof(capnp::word));
  }
  capnp::MallocMessageBuilder message(scratch.asPtr());
  auto batch = message.initRoot<schema::Batch>();
  batch.setVersion(1);
  batch.setOrigin(origin);
  batch.setNumber(number);
  auto list = batch.initEnvelopes(static_cast<unsigned>(envelopes.size()));
  for (unsigned i = 0; i < envelopes.size(); ++i) fill(list[i], envelopes[i]);
  const auto segments = message.getSegmentsForOutput();
  BARID_ASSERT(segments.size() == 1);
  const auto body = segments[0].asChars();
  const std::uint32_t header[2] = {0, static_cast<std::uint32_t>(segments[0].size())};  // capnp stream framing
  out.clear();
  out.reserve(sizeof header + body.size());
  out.append(reinterpret_cast<const char*>(header), sizeof header);
  out.append(body.begin(), body.size());
}

Result<Batch, Batch::Errc> Batch::decode(std::string_view bytes) {
  Batch batch;
  try {
    const std::size_t words = bytes.size() / sizeof(capnp::word);
    KJ_REQUIRE(words * sizeof(capnp::word) == bytes.size(), "not whole words");
    batch.words_ = std::make_unique_for_overwrite<std::uint64_t[]>(words + 1);
    if (!bytes.empty()) std::memcpy(batch.words_.get(), bytes.data(), bytes.size());
    capnp::FlatArrayMessageReader reader(kj::arrayPtr(reinterpret_cast<const capnp::word*>(batch.words_.get()), words),
                                         batch_options());
    auto root = reader.getRoot<schema::Batch>();
    KJ_REQUIRE(root.getVersion() == 1, "unknown batch version");
    batch.origin_ = root.getOrigin();
    batch.number_ = root.getNumber();
    auto list = root.getEnvelopes();
    KJ_REQUIRE(list.size() <= limits::kBatchEnvelopesMax, "too many envelopes");
    batch.envelopes_.reserve(list.size());
    for (auto envelope : list) read_into(batch.envelopes_, envelope);
  } catch (const kj::Exception&) {
    return fail(Errc::malformed);
  }
  return batch;
}

}  // namespace barid::envelope
