"""Error codes: [MS-OXCDATA] 2.4. The names are the document's."""

from __future__ import annotations

import enum


class ErrorCode(enum.IntEnum):
    """[MS-OXCDATA] 2.4; a code without a name stays a plain int."""

    Success = 0x00000000
    Rejected = 0x000007EE
    GeneralFailure = 0x80004005
    OutOfMemory = 0x8007000E
    InvalidParameter = 0x80070057
    NoInterface = 0x80004002
    AccessDenied = 0x80070005
    StorageInvalidFunction = 0x80030001
    StorageAccessDenied = 0x80030005
    StorageInsufficientMemory = 0x80030008
    StorageInvalidPointer = 0x80030009
    StorageReadFault = 0x8003001E
    StreamSeekError = 0x80030019
    StorageLockViolation = 0x80030021
    StorageInvalidParameter = 0x80030057
    StreamSizeError = 0x80030070
    StorageInvalidFlag = 0x800300FF
    StorageCannotSave = 0x80030103
    NotSupported = 0x80040102
    InvalidCharacterWidth = 0x80040103
    StringTooLong = 0x80040105
    InvalidFlag = 0x80040106
    InvalidEntryId = 0x80040107
    InvalidObject = 0x80040108
    ObjectChanged = 0x80040109
    ObjectDeleted = 0x8004010A
    ServerBusy = 0x8004010B
    OutOfDisk = 0x8004010D
    OutOfResources = 0x8004010E
    NotFound = 0x8004010F
    VersionMismatch = 0x80040110
    LogonFailed = 0x80040111
    TooManySessions = 0x80040112
    UserCanceled = 0x80040113
    AbortFailed = 0x80040114
    NetworkError = 0x80040115
    DiskError = 0x80040116
    TooComplex = 0x80040117
    InvalidColumn = 0x80040118
    ComputedValue = 0x8004011A
    CorruptData = 0x8004011B
    InvalidCodepage = 0x8004011E
    InvalidLocale = 0x8004011F
    TimeSkew = 0x80040123
    EndOfSession = 0x80040200
    UnknownEntryId = 0x80040201
    InvalidType = 0x80040302
    TooBig = 0x80040305
    NotCompleted = 0x80040400
    Timeout = 0x80040401
    EmptyTable = 0x80040402
    TableTooBig = 0x80040403
    InvalidBookmark = 0x80040405
    ErrorWait = 0x80040500
    ErrorCancel = 0x80040501
    NoSuppress = 0x80040602
    CollidingNames = 0x80040604
    NotInitialized = 0x80040605
    NoRecipients = 0x80040607
    AlreadySent = 0x80040608
    HasFolders = 0x80040609
    HasMessages = 0x8004060A
    FolderCycle = 0x8004060B
    TooManyLocks = 0x8004060D
    LockIdLimit = 0x0000060D
    AmbiguousRecipient = 0x80040700
    SyncObjectDeleted = 0x80040800
    IgnoreFailure = 0x80040801
    SyncConflict = 0x80040802
    NoParentFolder = 0x80040803
    CycleDetected = 0x80040804
    NotSynchronized = 0x80040805
    NamedPropertyQuota = 0x80040900
    NotImplemented = 0x80040FFF
    UnknownUser = 0x000003EB
    UnknownCodePage = 0x000003EF
    LoginPermission = 0x000003F2
    AccessDeniedRpc = 0x00000005
    RpcFormat = 0x000004B6
    NullObject = 0x000004B9
    ParameterOverflow = 0x00000450
    WrongServer = 0x00000478
    BufferTooSmall = 0x0000047D
    ServerPaused = 0x0000047F
    RpcAuthentication = 0x000004B0
    NotFolder = 0x000004B7
    QuotaExceeded = 0x000004D9
    MaxAttachmentExceeded = 0x000004DB
    NotExpanded = 0x000004F7
    NotCollapsed = 0x000004F8
    DestinationNullObject = 0x00000503
    ErrorsReturned = 0x00040380
    PositionChanged = 0x00040481
    ApproximateCount = 0x00040482
    PartialCompletion = 0x00040680
    SyncProgress = 0x00040820


class MapiError(Exception):
    """A handler's failure: becomes that ROP's ReturnValue, or that call's return value."""

    def __init__(self, code: ErrorCode | int, reason: str = "") -> None:
        name = code.name if isinstance(code, ErrorCode) else f"0x{code:08X}"
        super().__init__(f"{name}: {reason}" if reason else name)
        self.code = code
        self.reason = reason
