# What is inside Send.content: clients only; the server never reads it. What is sent is `sealed`, and
# everything else is inside its ciphertext.
@0xb8f4c7a09d5e2213;
using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("barid::content::schema");

struct Content {
  union {
    text @0 :Text;
    image @1 :Media;
    audio @2 :Media;
    video @3 :Media;
    document @4 :Media;
    location @5 :Location;
    contact @6 :Contact;
    sealed @7 :Sealed;
    # between clients, inside a ciphertext; people see none of it
    senderKey @8 :SenderKey;
    retry @9 :Retry;
    again @10 :Again;
  }
}
struct Media {
  url @0 :Text; mime @1 :Text; bytes @2 :UInt64; digest @3 :Data; name @4 :Text; caption @5 :Text;
  width @6 :UInt32; height @7 :UInt32; durationMs @8 :UInt32; thumbnail @9 :Data;
  # encoding 1: what is stored is a ciphertext under `key`, of sealedBytes bytes; digest is then that of the ciphertext
  encoding @10 :UInt8; key @11 :Data; sealedBytes @12 :UInt64;
}
struct Location { latitude @0 :Float64; longitude @1 :Float64; accuracyM @2 :Float32; name @3 :Text; }
struct Contact { name @0 :Text; phones @1 :List(Text); }

enum SealedType { none @0; prekeyMessage @1; message @2; senderKeyMessage @3; }
struct Sealed { version @0 :UInt8; type @1 :SealedType; body @2 :Data; }
struct SenderKey { group @0 :UInt64; key @1 :Data; }  # a SenderKeyDistributionMessage
struct Retry { seq @0 :UInt64; group @1 :UInt64; }    # could not be decrypted: send it again
struct Again { seq @0 :UInt64; content @1 :Data; }    # what seq said; empty: nothing that people see
