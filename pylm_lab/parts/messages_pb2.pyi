from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PalmMessage(_message.Message):
    __slots__ = ("pipeline", "client", "stage", "function", "cache", "payload", "error")
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    CACHE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    pipeline: str
    client: str
    stage: int
    function: str
    cache: str
    payload: bytes
    error: PalmError
    def __init__(self, pipeline: _Optional[str] = ..., client: _Optional[str] = ..., stage: _Optional[int] = ..., function: _Optional[str] = ..., cache: _Optional[str] = ..., payload: _Optional[bytes] = ..., error: _Optional[_Union[PalmError, _Mapping]] = ...) -> None: ...

class PalmError(_message.Message):
    __slots__ = ("server", "function", "kind", "text", "line")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    server: str
    function: str
    kind: str
    text: str
    line: int
    def __init__(self, server: _Optional[str] = ..., function: _Optional[str] = ..., kind: _Optional[str] = ..., text: _Optional[str] = ..., line: _Optional[int] = ...) -> None: ...

class PalmTrace(_message.Message):
    __slots__ = ("stamp",)
    STAMP_FIELD_NUMBER: _ClassVar[int]
    stamp: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, stamp: _Optional[_Iterable[int]] = ...) -> None: ...
