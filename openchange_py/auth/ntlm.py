"""NTLM version 2 as a security context, both sides: [MS-NLMP] 3.1.5 (client), 3.2.5 (server).

Required of the peer: NTLMv2 responses and extended session security, and for signing or sealing a 128-bit key
exchanged by KEY_EXCH. Refused: LM and NTLM version 1 responses, the connectionless variant, weaker keys.
Not done: checking the client's clock, and the SPN that the client names (MsvAvTargetName).
"""

from __future__ import annotations

import abc
import dataclasses
import enum
import hmac
import logging
import os
import time
from collections.abc import Callable
from typing import Final, Protocol

from openchange_py.auth import ntlm_crypto
from openchange_py.auth.ntlm_crypto import SIGNATURE_SIZE, Direction, Side
from openchange_py.rpc.security import ANONYMOUS, AuthLevel, AuthType, Identity, SecurityError
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ntlm import (
    AuthenticateMessage,
    AvId,
    AvPair,
    ChallengeMessage,
    MsvAvFlags,
    NegotiateFlags,
    NegotiateMessage,
    NtlmV2ClientChallenge,
    TargetInfo,
    Version,
    av_flags,
    av_value,
)
from openchange_py.wire.spnego import NTLMSSP_OID

logger = logging.getLogger(__name__)

#: The difference between FILETIME's and Unix' epoch, in units of 100 ns ([MS-DTYP] 2.3.3).
_FILETIME_EPOCH: Final = 116_444_736_000_000_000
#: The Version field is for debugging only (2.2.2.10); Windows 7's number is what every peer has seen.
_VERSION: Final = Version(6, 1, 7601)
_NO_BINDINGS: Final = bytes(16)

_PROTECTION: Final = NegotiateFlags.SIGN | NegotiateFlags.SEAL
#: Signing needs one of both.
_SIGNING: Final = int(_PROTECTION)
_SEALING: Final = int(NegotiateFlags.SEAL)
_STRENGTH: Final = NegotiateFlags.KEY_128 | NegotiateFlags.KEY_EXCH
#: What the acceptor grants where the client asks for it.
_GRANTED: Final = (
    NegotiateFlags.UNICODE
    | NegotiateFlags.SIGN
    | NegotiateFlags.SEAL
    | NegotiateFlags.ALWAYS_SIGN
    | NegotiateFlags.VERSION
    | NegotiateFlags.KEY_128
    | NegotiateFlags.KEY_EXCH
    | NegotiateFlags.KEY_56
)
_ACCEPTOR_FLAGS: Final = (
    NegotiateFlags.NTLM
    | NegotiateFlags.REQUEST_TARGET
    | NegotiateFlags.TARGET_TYPE_DOMAIN
    | NegotiateFlags.TARGET_INFO
    | NegotiateFlags.EXTENDED_SESSIONSECURITY
)
_INITIATOR_FLAGS: Final = (
    NegotiateFlags.UNICODE
    | NegotiateFlags.REQUEST_TARGET
    | NegotiateFlags.NTLM
    | NegotiateFlags.ALWAYS_SIGN
    | NegotiateFlags.EXTENDED_SESSIONSECURITY
    | NegotiateFlags.VERSION
    | NegotiateFlags.KEY_128
    | NegotiateFlags.KEY_EXCH
)


def filetime_now() -> int:
    """The time as FILETIME, in units of 100 ns."""
    return time.time_ns() // 100 + _FILETIME_EPOCH


@dataclasses.dataclass(frozen=True, slots=True)
class ServerNames:
    """How the server calls itself in its challenge: `EXCH1`, `exch1.example.test`, `EXAMPLE`."""

    netbios_name: str
    dns_name: str
    workgroup: str

    @property
    def dns_domain(self) -> str:
        """The DNS name without its first label."""
        return self.dns_name.partition(".")[2]

    def target_info(self, filetime: int) -> bytes:
        """The TargetInfo of a CHALLENGE_MESSAGE. Its timestamp makes clients send a MIC (3.1.5.1.2)."""
        names = [
            (AvId.NB_DOMAIN_NAME, self.workgroup),
            (AvId.NB_COMPUTER_NAME, self.netbios_name),
            (AvId.DNS_DOMAIN_NAME, self.dns_domain),
            (AvId.DNS_COMPUTER_NAME, self.dns_name),
        ]
        pairs = [AvPair(av_id, name.encode("utf-16-le")) for av_id, name in names]
        return TargetInfo([*pairs, AvPair(AvId.TIMESTAMP, filetime.to_bytes(8, "little"))]).pack()


@dataclasses.dataclass(frozen=True, slots=True)
class NtlmLogin:
    """What a client proved, and with it whoever knows the account can tell whether it is true.

    Names as the client sent them. `client_challenge` is the raw NTLMv2 client challenge behind the proof.
    """

    user_name: str
    domain_name: str
    workstation: str
    server_challenge: bytes
    nt_proof_str: bytes
    client_challenge: bytes
    peer: str


class NtlmVerifier(Protocol):
    """Who checks a proof: against a stored NT hash, or by asking a domain controller."""

    def verify(self, login: NtlmLogin) -> tuple[Identity, bytes]:
        """The account and its SessionBaseKey; raises `SecurityError`, the same for whatever reason."""
        ...


class NtlmContext(abc.ABC):
    """What acceptor and initiator share: session security once the exchange is complete."""

    auth_type = AuthType.NTLMSSP
    #: NTLM signs every buffer that it is given, read-only ones included: Windows, Samba and impacket do it so.
    always_signs_headers = True
    #: What it is called inside SPNEGO.
    mech_types: tuple[str, ...] = (NTLMSSP_OID,)

    def __init__(self) -> None:
        self.complete = False
        self.identity: Identity | None = None
        #: What both sides agreed on, once complete.
        self.flags = NegotiateFlags(0)
        self._exported_key = b""
        self._sending: Direction | None = None
        self._receiving: Direction | None = None
        #: SIGN and SEAL among the flags, as a plain number: it is looked at for every PDU.
        self._protection = 0

    @abc.abstractmethod
    def step(self, token: bytes) -> bytes:
        """See `SecurityContext.step`."""

    def signature_size(self, level: AuthLevel) -> int:
        """16 bytes where PDUs are signed at all; CALL is carried as PACKET, and both as INTEGRITY."""
        if level == AuthLevel.PRIVACY and self.complete and not self._protection & _SEALING:
            raise SecurityError("sealing was not negotiated")
        return SIGNATURE_SIZE if level >= AuthLevel.CALL else 0

    def sign(self, message: bytes) -> bytes:
        """See `SecurityContext.sign`."""
        return self._direction(self._sending, _SIGNING).sign(message)

    def verify(self, message: bytes, signature: bytes) -> None:
        """See `SecurityContext.verify`."""
        self._direction(self._receiving, _SIGNING).verify(message, signature)

    def seal(self, before: bytes, body: bytes, after: bytes) -> tuple[bytes, bytes]:
        """See `SecurityContext.seal`."""
        return self._direction(self._sending, _SEALING).seal(before, body, after)

    def unseal(self, before: bytes, sealed: bytes, after: bytes, signature: bytes) -> bytes:
        """See `SecurityContext.unseal`."""
        return self._direction(self._receiving, _SEALING).unseal(before, sealed, after, signature)

    def sign_mech_list(self, mech_types: bytes) -> bytes:
        """The mechListMIC of SPNEGO, behind which RC4 begins anew ([MS-SPNG] 3.3.5.1); the numbers go on."""
        direction = self._direction(self._sending)
        signature = direction.sign(mech_types)
        direction.restart_cipher()
        return signature

    def verify_mech_list(self, mech_types: bytes, signature: bytes) -> None:
        """Check the peer's mechListMIC; raises `SecurityError`."""
        direction = self._direction(self._receiving)
        direction.verify(mech_types, signature)
        direction.restart_cipher()

    @property
    def can_sign_mech_list(self) -> bool:
        """Whether there are keys for a mechListMIC."""
        return self._sending is not None

    @property
    def session_key(self) -> bytes:
        """See `KeyedContext.session_key`: 3.1.5.1.2, ExportedSessionKey."""
        if not self._exported_key:
            raise SecurityError("no session key: the NTLM exchange is not complete")
        return self._exported_key

    def _direction(self, direction: Direction | None, any_of: int = 0) -> Direction:
        if not self.complete or direction is None:
            raise SecurityError("no session keys: the NTLM exchange is not complete or has none")
        if any_of and not self._protection & any_of:
            raise SecurityError(f"{NegotiateFlags(any_of)!r} was not negotiated")
        return direction

    def _finish(self, flags: NegotiateFlags, exported_key: bytes, own: Side, peer: Side) -> None:
        """Keys for both directions. A context without a 128-bit key, or extended session security, gets none."""
        if flags & NegotiateFlags.KEY_128 and flags & NegotiateFlags.EXTENDED_SESSIONSECURITY:
            exchanged = bool(flags & NegotiateFlags.KEY_EXCH)
            self._sending = Direction(exported_key, own, key_exchange=exchanged)
            self._receiving = Direction(exported_key, peer, key_exchange=exchanged)
        self._exported_key = exported_key
        self.flags = flags
        self._protection = int(flags & _PROTECTION)
        self.complete = True


class _Step(enum.Enum):
    START = enum.auto()
    CHALLENGED = enum.auto()
    OVER = enum.auto()


class NtlmAcceptor(NtlmContext):
    """The server's side. Its steps take a NEGOTIATE_MESSAGE and then an AUTHENTICATE_MESSAGE.

    `channel_bindings` is the MD5 hash of the outer TLS channel's bindings where there is one (2.2.2.1): a client
    that names another channel is refused, and with `bindings_required` one that names none. `random` and `clock`
    (FILETIME) are for tests.
    """

    def __init__(
        self,
        verifier: NtlmVerifier,
        names: ServerNames,
        peer: str,
        *,
        allow_anonymous: bool = False,
        channel_bindings: bytes | None = None,
        bindings_required: bool = False,
        random: Callable[[int], bytes] = os.urandom,
        clock: Callable[[], int] = filetime_now,
    ) -> None:
        super().__init__()
        self._bindings_required = bindings_required
        self._verifier = verifier
        self._names = names
        self._peer = peer
        self._allow_anonymous = allow_anonymous
        self._channel_bindings = channel_bindings
        self._random = random
        self._clock = clock
        self._step = _Step.START
        self._negotiate = b""
        self._challenge = b""
        self._server_challenge = b""

    def step(self, token: bytes) -> bytes:
        """See `SecurityContext.step`. After an error the context is of no more use."""
        step, self._step = self._step, _Step.OVER
        try:
            if step is _Step.START:
                return self._answer_negotiate(token)
            if step is _Step.CHALLENGED:
                return self._accept(token)
        except DecodeError as error:
            raise SecurityError(f"malformed NTLM message: {error}") from error
        raise SecurityError("the NTLM exchange is over")

    def _answer_negotiate(self, token: bytes) -> bytes:
        """3.2.5.1.1."""
        asked = NegotiateMessage.unpack(token).negotiate_flags
        self._require(asked)
        self.flags = asked & _GRANTED | _ACCEPTOR_FLAGS
        if not asked & NegotiateFlags.UNICODE:
            self.flags |= NegotiateFlags.OEM
        self._server_challenge = self._random(8)
        self._negotiate = token
        self._challenge = ChallengeMessage(
            self.flags,
            self._server_challenge,
            self._names.workgroup if asked & NegotiateFlags.UNICODE else _ascii(self._names.workgroup),
            self._names.target_info(self._clock()),
            _VERSION if asked & NegotiateFlags.VERSION else None,
        ).pack()
        self._step = _Step.CHALLENGED
        return self._challenge

    def _require(self, asked: NegotiateFlags) -> None:
        if asked & NegotiateFlags.DATAGRAM:
            raise SecurityError("connectionless NTLM is not supported")
        if not asked & NegotiateFlags.EXTENDED_SESSIONSECURITY:
            raise SecurityError("the client does not offer extended session security")
        if asked & _PROTECTION and asked & _STRENGTH != _STRENGTH:
            raise SecurityError("the client offers no 128-bit key exchange to sign or seal with")

    def _accept(self, token: bytes) -> bytes:
        """3.2.5.1.2."""
        message = AuthenticateMessage.unpack(token)
        flags = message.negotiate_flags & self.flags
        if _is_anonymous(message):
            return self._accept_anonymous(message, flags)
        self._require(flags)
        if not message.client_challenge:
            raise SecurityError(f"{self._peer}: LM and NTLM version 1 responses are refused")
        client_challenge = NtlmV2ClientChallenge.unpack(message.client_challenge)
        if (client_challenge.resp_type, client_challenge.hi_resp_type) != (1, 1):
            raise SecurityError(f"{self._peer}: the response is not NTLM version 2")
        identity, base_key = self._verifier.verify(self._login(message))
        exported_key = _exported_key(message, flags, base_key)
        if av_flags(client_challenge.av_pairs) & MsvAvFlags.MIC_PROVIDED:
            self._check_mic(message, token, exported_key)
        self._check_channel(client_challenge.av_pairs)
        self._finish(flags, exported_key, Side.SERVER, Side.CLIENT)
        self.identity = dataclasses.replace(identity, level=AuthLevel.CONNECT)
        return b""

    def _login(self, message: AuthenticateMessage) -> NtlmLogin:
        return NtlmLogin(
            message.user_name,
            message.domain_name,
            message.workstation,
            self._server_challenge,
            message.nt_challenge_response[:16],
            message.client_challenge,
            self._peer,
        )

    def _accept_anonymous(self, message: AuthenticateMessage, flags: NegotiateFlags) -> bytes:
        if not self._allow_anonymous:
            logger.warning("%s: anonymous NTLM logon refused", self._peer)
            raise SecurityError("anonymous logon refused")
        # 3.2.5.1.2: without a response the session base key is zero.
        self._finish(flags, _exported_key(message, flags, bytes(16)), Side.SERVER, Side.CLIENT)
        self.identity = ANONYMOUS
        return b""

    def _check_mic(self, message: AuthenticateMessage, token: bytes, exported_key: bytes) -> None:
        expected = ntlm_crypto.message_integrity_code(exported_key, self._negotiate, self._challenge, token)
        if message.mic is None or not hmac.compare_digest(message.mic, expected):
            logger.warning("%s: NTLM messages of %.80r were changed on their way", self._peer, message.user_name)
            raise SecurityError("wrong MIC: the NTLM messages were changed on their way")

    def _check_channel(self, pairs: list[AvPair]) -> None:
        sent = av_value(pairs, AvId.CHANNEL_BINDINGS)
        if self._channel_bindings is None:
            return
        if sent is None or sent == _NO_BINDINGS:
            if self._bindings_required:
                logger.warning("%s: NTLM logon does not name the TLS channel that it is for", self._peer)
                raise SecurityError("the logon does not name its TLS channel")
            return
        if not hmac.compare_digest(sent, self._channel_bindings):
            logger.warning("%s: NTLM logon was made for another TLS channel", self._peer)
            raise SecurityError("the logon was made for another TLS channel")


def _ascii(name: str) -> str:
    return name.encode("ascii", "replace").decode("ascii")


def _is_anonymous(message: AuthenticateMessage) -> bool:
    """3.2.5.1.2: no user, no NT response, and an LM response that is empty or one zero byte."""
    return not message.user_name and not message.nt_challenge_response and message.lm_challenge_response in (b"", b"\0")


def _computer_names(offered: list[AvPair]) -> tuple[str, ...]:
    """The names of a challenge that are a computer's; what is no UTF-16 is no name."""
    values = (av_value(offered, av_id) for av_id in (AvId.NB_COMPUTER_NAME, AvId.DNS_COMPUTER_NAME))
    return tuple(value.decode("utf-16-le", "replace") for value in values if value)


def _exported_key(message: AuthenticateMessage, flags: NegotiateFlags, base_key: bytes) -> bytes:
    if not flags & NegotiateFlags.KEY_EXCH:
        return base_key
    if len(message.encrypted_random_session_key) != 16:
        raise SecurityError("the exchanged session key has not 16 bytes")
    return ntlm_crypto.rc4(base_key, message.encrypted_random_session_key)


@dataclasses.dataclass(frozen=True, slots=True)
class NtlmCredential:
    """Whose logon an initiator makes. The NT hash is as good as the password: keep it as safe."""

    user_name: str
    domain_name: str
    nt_hash: bytes = dataclasses.field(repr=False)

    @classmethod
    def from_password(cls, user_name: str, domain_name: str, password: str) -> NtlmCredential:
        """The credential of someone whose password is known."""
        return cls(user_name, domain_name, ntlm_crypto.nt_hash(password))


class NtlmInitiator(NtlmContext):
    """The client's side. Steps: b"" gives the NEGOTIATE_MESSAGE, the server's challenge the AUTHENTICATE_MESSAGE.

    `level` is the protection that the caller will want, `target_name` an SPN such as `exchangeMDB/exch1`,
    `channel_bindings` the MD5 hash for a TLS channel. `random` and `clock` (FILETIME) are for tests.
    """

    def __init__(
        self,
        credential: NtlmCredential,
        *,
        level: AuthLevel = AuthLevel.PRIVACY,
        target_name: str = "",
        workstation: str = "",
        channel_bindings: bytes = _NO_BINDINGS,
        random: Callable[[int], bytes] = os.urandom,
        clock: Callable[[], int] = filetime_now,
    ) -> None:
        super().__init__()
        self._credential = credential
        self._target_name = target_name
        self._workstation = workstation
        self._channel_bindings = channel_bindings
        self._random = random
        self._clock = clock
        self._step = _Step.START
        self._required = NegotiateFlags.EXTENDED_SESSIONSECURITY | NegotiateFlags.UNICODE
        if level >= AuthLevel.CALL:
            self._required |= NegotiateFlags.SIGN | _STRENGTH
        if level >= AuthLevel.PRIVACY:
            self._required |= NegotiateFlags.SEAL
        self.flags = _INITIATOR_FLAGS | self._required
        self._negotiate = b""
        #: What the server calls itself in its challenge: NetBIOS and DNS name, where it tells them.
        self.server_names: tuple[str, ...] = ()

    def bind_channel(self, channel_bindings: bytes) -> None:
        """The hash that the AUTHENTICATE_MESSAGE is to have, where the TLS channel is known only now."""
        self._channel_bindings = channel_bindings

    def step(self, token: bytes) -> bytes:
        """See `SecurityContext.step`. After an error the context is of no more use."""
        step, self._step = self._step, _Step.OVER
        try:
            if step is _Step.START and not token:
                self._step = _Step.CHALLENGED
                self._negotiate = NegotiateMessage(self.flags, version=_VERSION).pack()
                return self._negotiate
            if step is _Step.CHALLENGED:
                return self._authenticate(token)
        except DecodeError as error:
            raise SecurityError(f"malformed NTLM message: {error}") from error
        raise SecurityError("no NTLM message is due from the server")

    def _authenticate(self, token: bytes) -> bytes:
        """3.1.5.1.2."""
        challenge = ChallengeMessage.unpack(token)
        flags = challenge.negotiate_flags & (self.flags | NegotiateFlags.TARGET_INFO)
        missing = self._required & ~flags
        if missing:
            raise SecurityError(f"the server does not grant {missing!r}")
        self.server_names = _computer_names(challenge.av_pairs)
        credential = self._credential
        response_key = ntlm_crypto.ntowf_v2(credential.nt_hash, credential.user_name, credential.domain_name)
        message = AuthenticateMessage(
            # A MIC stands behind a Version, whether the server has one or not.
            flags | NegotiateFlags.VERSION,
            credential.domain_name,
            credential.user_name,
            self._workstation,
            version=_VERSION,
            mic=bytes(16),
        )
        base_key = self._respond(message, challenge, response_key)
        exported_key = base_key
        if flags & NegotiateFlags.KEY_EXCH:
            exported_key = self._random(16)
            message.encrypted_random_session_key = ntlm_crypto.rc4(base_key, exported_key)
        message.mic = ntlm_crypto.message_integrity_code(exported_key, self._negotiate, token, message.pack())
        self._finish(flags, exported_key, Side.CLIENT, Side.SERVER)
        return message.pack()

    def _respond(self, message: AuthenticateMessage, challenge: ChallengeMessage, response_key: bytes) -> bytes:
        """Fill in the responses (3.3.2); returns the session base key."""
        offered = challenge.av_pairs
        stamp = av_value(offered, AvId.TIMESTAMP)
        filetime = int.from_bytes(stamp, "little") if stamp is not None and len(stamp) == 8 else self._clock()
        from_client = self._random(8)
        blob = NtlmV2ClientChallenge.new(filetime, from_client, self._client_pairs(offered)).pack()
        proof = ntlm_crypto.nt_proof_str(response_key, challenge.server_challenge, blob)
        message.nt_challenge_response = proof + blob
        # 3.1.5.1.2: with a timestamp from the server, the LM response is Z(24).
        message.lm_challenge_response = (
            bytes(24)
            if stamp is not None
            else ntlm_crypto.lm_v2_response(response_key, challenge.server_challenge, from_client)
        )
        return ntlm_crypto.session_base_key(response_key, proof)

    def _client_pairs(self, offered: list[AvPair]) -> list[AvPair]:
        """The server's attributes, with the MIC announced, and target and channel named."""
        own = {AvId.FLAGS, AvId.TARGET_NAME, AvId.CHANNEL_BINDINGS}
        flags = av_flags(offered) | MsvAvFlags.MIC_PROVIDED
        return [
            *(pair for pair in offered if pair.av_id not in own),
            AvPair(AvId.FLAGS, flags.to_bytes(4, "little")),
            AvPair(AvId.CHANNEL_BINDINGS, self._channel_bindings),
            AvPair(AvId.TARGET_NAME, self._target_name.encode("utf-16-le")),
        ]
