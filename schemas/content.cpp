#include "schemas/content.h"

#include <kj/exception.h>

#include <cmath>

#include "base/utf8.h"
#include "schemas/codec.h"
#include "schemas/content.capnp.h"

namespace barid::content {
namespace {

using codec::text;
using codec::view;

bool on_earth(const Location& l) {
  return std::isfinite(l.latitude) && std::isfinite(l.longitude) && std::abs(l.latitude) <= 90 &&
         std::abs(l.longitude) <= 180;
}

bool all_utf8(const Content& content) {
  if (const auto* t = std::get_if<Text>(&content)) return is_valid_utf8(t->text);
  if (const auto* m = std::get_if<Media>(&content))
    return is_valid_utf8(m->url) && is_valid_utf8(m->mime) && is_valid_utf8(m->name) && is_valid_utf8(m->caption);
  if (const auto* l = std::get_if<Location>(&content)) return is_valid_utf8(l->name);
  const auto* c = std::get_if<Contact>(&content);
  if (c == nullptr) return true;
  for (const auto& phone : c->phones)
    if (!is_valid_utf8(phone)) return false;
  return is_valid_utf8(c->name);
}

void fill(schema::Media::Builder b, const Media& m) {
  b.setUrl(text(m.url));
  b.setMime(text(m.mime));
  b.setBytes(m.bytes);
  b.setDigest(codec::as_data(m.digest));
  b.setName(text(m.name));
  b.setCaption(text(m.caption));
  b.setWidth(m.width);
  b.setHeight(m.height);
  b.setDurationMs(m.duration_ms);
  b.setThumbnail(codec::as_data(m.thumbnail));
  b.setEncoding(m.encoding);
  b.setKey(codec::as_data(m.key));
  b.setSealedBytes(m.sealed_bytes);
}

Media read(schema::Media::Reader r, MediaKind kind) {
  return {kind,
          std::string(view(r.getUrl())),
          std::string(view(r.getMime())),
          r.getBytes(),
          std::string(view(r.getDigest())),
          std::string(view(r.getName())),
          std::string(view(r.getCaption())),
          r.getWidth(),
          r.getHeight(),
          r.getDurationMs(),
          std::string(view(r.getThumbnail())),
          r.getEncoding(),
          std::string(view(r.getKey())),
          r.getSealedBytes()};
}

Content read(schema::Content::Reader r) {
  switch (r.which()) {
    case schema::Content::TEXT:
      return Text{std::string(view(r.getText()))};
    case schema::Content::IMAGE:
      return read(r.getImage(), MediaKind::image);
    case schema::Content::AUDIO:
      return read(r.getAudio(), MediaKind::audio);
    case schema::Content::VIDEO:
      return read(r.getVideo(), MediaKind::video);
    case schema::Content::DOCUMENT:
      return read(r.getDocument(), MediaKind::document);
    case schema::Content::LOCATION: {
      auto l = r.getLocation();
      return Location{l.getLatitude(), l.getLongitude(), l.getAccuracyM(), std::string(view(l.getName()))};
    }
    case schema::Content::CONTACT: {
      Contact contact{std::string(view(r.getContact().getName())), {}};
      for (auto phone : r.getContact().getPhones()) contact.phones.emplace_back(view(phone));
      return contact;
    }
    case schema::Content::SEALED: {
      auto s = r.getSealed();
      KJ_REQUIRE(s.getType() <= schema::SealedType::SENDER_KEY_MESSAGE, "unknown type of ciphertext");
      return Sealed{s.getVersion(), static_cast<SealedType>(s.getType()), std::string(view(s.getBody()))};
    }
    case schema::Content::SENDER_KEY:
      return SenderKey{GroupId(r.getSenderKey().getGroup()), std::string(view(r.getSenderKey().getKey()))};
    case schema::Content::RETRY:
      return Retry{r.getRetry().getSeq(), GroupId(r.getRetry().getGroup())};
    case schema::Content::AGAIN:
      return Again{r.getAgain().getSeq(), std::string(view(r.getAgain().getContent()))};
  }
  KJ_FAIL_REQUIRE("unknown content type");
}

void fill_between_clients(schema::Content::Builder b, const Content& content) {
  if (const auto* s = std::get_if<Sealed>(&content)) {
    auto sealed = b.initSealed();
    sealed.setVersion(s->version);
    sealed.setType(static_cast<schema::SealedType>(s->type));
    sealed.setBody(codec::as_data(s->body));
  } else if (const auto* k = std::get_if<SenderKey>(&content)) {
    auto key = b.initSenderKey();
    key.setGroup(k->group.value);
    key.setKey(codec::as_data(k->key));
  } else if (const auto* r = std::get_if<Retry>(&content)) {
    auto retry = b.initRetry();
    retry.setSeq(r->seq);
    retry.setGroup(r->group.value);
  } else {
    const auto& a = std::get<Again>(content);
    auto again = b.initAgain();
    again.setSeq(a.seq);
    again.setContent(codec::as_data(a.content));
  }
}

}  // namespace

Result<std::string, Errc> encode(const Content& content) {
  if (!all_utf8(content)) return fail(Errc::invalid_text);
  if (const auto* l = std::get_if<Location>(&content); l != nullptr && !on_earth(*l))
    return fail(Errc::invalid_coordinates);
  capnp::MallocMessageBuilder message(codec::build_scratch());  // one segment: without far pointers
  auto b = message.initRoot<schema::Content>();
  if (const auto* t = std::get_if<Text>(&content)) {
    b.setText(text(t->text));
  } else if (const auto* m = std::get_if<Media>(&content)) {
    switch (m->kind) {
      case MediaKind::image:
        fill(b.initImage(), *m);
        break;
      case MediaKind::audio:
        fill(b.initAudio(), *m);
        break;
      case MediaKind::video:
        fill(b.initVideo(), *m);
        break;
      case MediaKind::document:
        fill(b.initDocument(), *m);
        break;
    }
  } else if (const auto* l = std::get_if<Location>(&content)) {
    auto location = b.initLocation();
    location.setLatitude(l->latitude);
    location.setLongitude(l->longitude);
    location.setAccuracyM(l->accuracy_m);
    location.setName(text(l->name));
  } else if (const auto* c = std::get_if<Contact>(&content)) {
    auto contact = b.initContact();
    contact.setName(text(c->name));
    auto phones = contact.initPhones(static_cast<unsigned>(c->phones.size()));
    for (unsigned i = 0; i < c->phones.size(); ++i) phones.set(i, text(c->phones[i]));
  } else {
    fill_between_clients(b, content);
  }
  // What packs well (a thumbnail of zeros) must be readable too: within what a reader unpacks, and reads twice.
  constexpr std::size_t kReadTwiceWords = 16;
  if (message.sizeInWords() + kReadTwiceWords > codec::kScratchWords) return fail(Errc::too_large);
  std::string out;
  codec::StringOutput output(out);
  capnp::writePackedMessage(output, message);
  if (out.size() > limits::kContentBytesMax) return fail(Errc::too_large);
  return out;
}

Result<Content, Errc> decode(std::string_view bytes) {
  Content content;
  try {
    codec::read_packed<schema::Content>(bytes, [&](schema::Content::Reader r) { content = read(r); });
  } catch (const kj::Exception&) {
    return fail(Errc::malformed);
  }
  if (!all_utf8(content)) return fail(Errc::invalid_text);
  if (const auto* l = std::get_if<Location>(&content); l != nullptr && !on_earth(*l))
    return fail(Errc::invalid_coordinates);
  return content;
}

std::string_view type_name(const Content& content) {
  static constexpr std::string_view kMedia[] = {"image", "audio", "video", "document"};
  if (std::holds_alternative<Text>(content)) return "text";
  if (const auto* m = std::get_if<Media>(&content)) return kMedia[static_cast<std::size_t>(m->kind)];
  static constexpr std::string_view kRest[] = {"location", "contact", "sealed", "senderKey", "retry", "again"};
  constexpr std::size_t kFirst = 2;  // after text and media
  static_assert(std::size(kRest) + kFirst == std::variant_size_v<Content>);
  return kRest[content.index() - kFirst];
}

}  // namespace barid::content
