# What the durable streams hold: batches of envelopes, unpacked, so that an owner reads them in place.
@0xe2a90b5d47c1f836;
using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("barid::envelope::schema");

struct Batch { version @0 :UInt16; origin @1 :UInt64; number @2 :UInt64; envelopes @3 :List(Envelope); }

# One envelope is for one device, or for those in `recipients`. `frame` is the whole client frame that the device will
# get: encoded once, where the message enters, and copied from there on.
struct Envelope {
  fromUser @0 :UInt64; fromDevice @1 :UInt64; seq @2 :UInt64;
  toUser @3 :UInt64; toDevice @4 :UInt64;
  acceptedAtMs @5 :Int64; expiresAtMs @6 :Int64;
  kind @7 :UInt8;  # 0 message, 1 receipt, 2 event
  attempts @8 :UInt8;
  frame @9 :Data;
  group @10 :UInt64;  # 0: one to one
  recipients @11 :List(Recipient);  # not empty: one letter for each of them, and toUser and toDevice mean nothing
}
struct Recipient { user @0 :UInt64; device @1 :UInt64; }
