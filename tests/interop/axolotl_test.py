#!/usr/bin/python3
"""Our sealer and python3-axolotl, a second implementation of the protocol, read each other: axolotl_test.py PEER."""

import subprocess
import sys

try:
    from axolotl.ecc.djbec import DjbECPublicKey
    from axolotl.groups.groupcipher import GroupCipher
    from axolotl.groups.groupsessionbuilder import GroupSessionBuilder
    from axolotl.groups.senderkeyname import SenderKeyName
    from axolotl.axolotladdress import AxolotlAddress
    from axolotl.identitykey import IdentityKey
    from axolotl.protocol.prekeywhispermessage import PreKeyWhisperMessage
    from axolotl.protocol.senderkeydistributionmessage import SenderKeyDistributionMessage
    from axolotl.protocol.whispermessage import WhisperMessage
    from axolotl.sessionbuilder import SessionBuilder
    from axolotl.sessioncipher import SessionCipher
    from axolotl.state.prekeybundle import PreKeyBundle
    from axolotl.tests.groups.inmemorysenderkeystore import InMemorySenderKeyStore
    from axolotl.tests.inmemoryaxolotlstore import InMemoryAxolotlStore
    from axolotl.util.keyhelper import KeyHelper
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

THEM = ("peer", 1)
PREKEY, MESSAGE = 1, 2


class Peer:
    """A device of ours: barid_e2ee_peer."""

    def __init__(self):
        self.process = subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, *words):
        self.process.stdin.write(" ".join(str(w) for w in words) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def seal(self, text):
        kind, body = self.ask("seal", text.encode().hex()).split()
        return int(kind), bytes.fromhex(body)

    def open(self, kind, body):
        return bytes.fromhex(self.ask("open", kind, body.hex())).decode()


def pad(text):
    marked = text.encode() + b"\x80"
    return marked + bytes(-len(marked) % 64)


def unpad(padded):
    return bytes(padded).rstrip(b"\0")[:-1].decode()


class Axolotl:
    def __init__(self):
        self.store = InMemoryAxolotlStore()
        self.cipher = SessionCipher(self.store, self.store, self.store, self.store, *THEM)

    def bundle(self):
        identity = self.store.getIdentityKeyPair()
        prekey = KeyHelper.generatePreKeys(1, 1)[0]
        signed = KeyHelper.generateSignedPreKey(identity, 22)
        self.store.storePreKey(prekey.getId(), prekey)
        self.store.storeSignedPreKey(22, signed)
        return (
            self.store.getLocalRegistrationId(),
            identity.getPublicKey().getPublicKey().getPublicKey().hex(),
            22,
            signed.getKeyPair().getPublicKey().getPublicKey().hex(),
            bytes(signed.getSignature()).hex(),
            prekey.getId(),
            prekey.getKeyPair().getPublicKey().getPublicKey().hex(),
        )

    def start(self, fields):
        registration, identity, signed_id, signed, signature, prekey_id, prekey = fields.split()
        key = lambda text: DjbECPublicKey(bytes.fromhex(text))
        bundle = PreKeyBundle(int(registration), 1, int(prekey_id), key(prekey), int(signed_id), key(signed),
                              bytes.fromhex(signature), IdentityKey(key(identity)))
        SessionBuilder(self.store, self.store, self.store, self.store, *THEM).processPreKeyBundle(bundle)

    def seal(self, text):
        message = self.cipher.encrypt(pad(text))
        return (PREKEY if isinstance(message, PreKeyWhisperMessage) else MESSAGE), bytes(message.serialize())

    def open(self, kind, body):
        if kind == PREKEY:
            return unpad(self.cipher.decryptPkmsg(PreKeyWhisperMessage(serialized=body)))
        return unpad(self.cipher.decryptMsg(WhisperMessage(serialized=body)))


def converse(a, b, rounds=20):
    for i in range(rounds):
        for sender, reader in ((a, b), (b, a)):
            text = f"{i}: Grüße, 你好 " + "x" * (i * 17)
            assert reader.open(*sender.seal(text)) == text, i
    late = [a.seal(f"late {i}") for i in range(5)]
    for i in (3, 0, 4, 2, 1):
        assert b.open(*late[i]) == f"late {i}"


def main():
    ours, theirs = Peer(), Axolotl()
    theirs.start(ours.ask("bundle"))
    converse(theirs, ours)

    ours, theirs = Peer(), Axolotl()
    assert ours.ask("start", *theirs.bundle()) == "ok"
    converse(ours, theirs)

    ours, store = Peer(), InMemorySenderKeyStore()
    us = SenderKeyName("group", AxolotlAddress("ours", 1))
    key = bytes.fromhex(ours.ask("distribution"))
    GroupSessionBuilder(store).process(us, SenderKeyDistributionMessage(serialized=key))
    for i in range(10):
        body = bytes.fromhex(ours.ask("seal_for_group", f"to all {i}".encode().hex()))
        assert unpad(GroupCipher(store, us).decrypt(body)) == f"to all {i}"

    me = SenderKeyName("group", AxolotlAddress("me", 1))
    key = bytes(GroupSessionBuilder(store).create(me).serialize())
    assert ours.ask("take", key.hex()) == "ok"
    for i in range(10):
        body = bytes(GroupCipher(store, me).encrypt(pad(f"to all {i}")))
        assert bytes.fromhex(ours.ask("open_in_group", body.hex())).decode() == f"to all {i}"
    print("X3DH, ratchets and sender keys agree, both ways")


main()
