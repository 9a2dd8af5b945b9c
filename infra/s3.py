"""Objects of a bucket on S3: every call ends in bounded time, no read is short, and a write that must be the first one is.

Clients repeat calls by themselves, each layer in its own way; here they do not, and one loop with one deadline does. A write
that was done and whose answer was lost is recognised when it is repeated. Credentials and the endpoint are where every S3
client looks for them (environment, profiles, roles of a machine), and nowhere else.
"""

import os
import random
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from io import BufferedReader
from typing import Any, TypeVar

from infra.errors import StoreError
from infra.s3_bodies import Body, Deadline, ShortError, blocks
from infra.s3_errors import code_of, named, passes

T = TypeVar("T")
# Given to `put`: there must be no object of this name yet.
ABSENT = "*"
_CONNECT_S = 5.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 5.0
# A transfer that is slower than this is as good as none.
_SLOWEST_BYTES_PER_S = 500_000
# A single request takes 5 GB at most; parts can be repeated one by one.
_PART_BYTES = 64 << 20


@dataclass(frozen=True)
class Bucket:
    """A bucket, and the part of it under a prefix: names of objects are relative to that.

    An answer may keep us waiting for `timeout_s`; a call with all its repetitions ends after `deadline_s`, and one that
    moves a file after as much more as its bytes take at the slowest.
    """

    name: str
    prefix: str = ""
    timeout_s: float = 30.0
    deadline_s: float = 120.0

    @property
    def url(self) -> str:
        """The address: `s3://bucket/prefix`."""
        return f"s3://{self.name}/{self.prefix}".rstrip("/")

    def get(self, name: str) -> tuple[bytes, str] | None:
        """Return a small object, and its ETag, which tells it from what comes in its place; None where there is none."""
        deadline = Deadline.after(self.deadline_s)

        def once() -> tuple[bytes, str] | None:
            try:
                answer = self._client.get_object(**self._named(name))
            except Exception as error:
                if code_of(error) == "NoSuchKey":
                    return None
                raise
            data = b"".join(blocks(answer, deadline))
            return data, str(answer["ETag"])

        return self._repeated(name, "read", deadline, once)

    def put(self, name: str, data: bytes, only: str | None = None) -> bool:
        """Write a small object; return whether it is there now.

        With `only` it is written only where there is none yet (`ABSENT`), or only in the place of the one with that ETag.
        Where an attempt was done and nobody heard of it, the next finds its own bytes: who must know them makes them unique.
        """
        condition = {} if only is None else {"IfNoneMatch": "*"} if only == ABSENT else {"IfMatch": only}
        deadline = Deadline.after(self.deadline_s)

        def once() -> bool:
            try:
                self._client.put_object(**self._named(name), Body=data, **condition)
            except Exception as error:
                if not condition or code_of(error) not in {"PreconditionFailed", "412", "NoSuchKey"}:
                    raise
                found = self.get(name)
                return found is not None and found[0] == data
            return True

        return self._repeated(name, "write", deadline, once)

    def delete(self, name: str) -> None:
        """Remove an object, if it is there."""
        deadline = Deadline.after(self.deadline_s)
        self._repeated(name, "remove", deadline, lambda: self._client.delete_object(**self._named(name)))

    def size(self, name: str) -> int | None:
        """Return how many bytes an object has; None where there is none."""
        deadline = Deadline.after(self.deadline_s)

        def once() -> int | None:
            try:
                return int(self._client.head_object(**self._named(name))["ContentLength"])
            except Exception as error:
                if code_of(error) in {"404", "NoSuchKey", "NotFound"}:
                    return None
                raise

        return self._repeated(name, "read", deadline, once)

    def names(self, under: str) -> Iterator[tuple[str, float]]:
        """Yield (name, time of the last change) of what is listed under a name; a listing is no proof of what is there."""
        token: dict[str, str] = {}
        while True:
            request = {"Bucket": self.name, "Prefix": self._key(under), **token}
            deadline = Deadline.after(self.deadline_s)
            page = self._repeated(under, "list", deadline, partial(self._client.list_objects_v2, **request))
            cut = len(self._key(""))
            yield from ((one["Key"][cut:], one["LastModified"].timestamp()) for one in page.get("Contents", ()))
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def fetch(self, name: str, num_bytes: int, target: Callable[[bytes], object]) -> bool:
        """Give an object of `num_bytes` bytes, block by block, to `target`; return False where there is none of this size.

        What was cut off goes on where it ended, as long as it is the same object.
        """
        deadline, got, tag = self._deadline_of(num_bytes), 0, ""

        def once() -> bool:
            nonlocal got, tag
            rest = {"Range": f"bytes={got}-", "IfMatch": tag} if got else {}
            try:
                answer = self._client.get_object(**self._named(name), **rest)
            except Exception as error:
                if code_of(error) in {"NoSuchKey", "PreconditionFailed", "412"}:
                    return False
                raise
            tag = str(answer["ETag"])
            if got + int(answer["ContentLength"]) != num_bytes:
                return False
            for block in blocks(answer, deadline):
                target(block)
                got += len(block)
            return True

        while True:
            before = got
            try:
                return self._repeated(name, "read", deadline, once, partial(lambda then: got > then, before))
            except _MovedError:
                continue

    def upload(self, name: str, stream: BufferedReader, num_bytes: int) -> None:
        """Write a file of `num_bytes` bytes as an object; it is there whole or not at all."""
        if num_bytes > _PART_BYTES:
            self._upload_parts(name, stream, num_bytes)
            return
        deadline = self._deadline_of(num_bytes)

        def once() -> object:
            body = Body(stream, 0, num_bytes, deadline)
            return self._client.put_object(**self._named(name), Body=body, ContentLength=num_bytes)

        self._repeated(name, "write", deadline, once)

    def _upload_parts(self, name: str, stream: BufferedReader, num_bytes: int) -> None:
        deadline, place = self._deadline_of(num_bytes), self._named(name)
        begun = self._repeated(name, "write", deadline, lambda: self._client.create_multipart_upload(**place))
        whole, parts = {**place, "UploadId": begun["UploadId"]}, []
        for number, start in enumerate(range(0, num_bytes, _PART_BYTES), 1):
            length = min(_PART_BYTES, num_bytes - start)

            def once(number: int = number, start: int = start, length: int = length) -> Any:
                body = Body(stream, start, length, deadline)
                return self._client.upload_part(**whole, PartNumber=number, Body=body, ContentLength=length)

            parts.append({"PartNumber": number, "ETag": self._repeated(name, "write", deadline, once)["ETag"]})

        def complete() -> None:
            try:
                self._client.complete_multipart_upload(**whole, MultipartUpload={"Parts": parts})
            except Exception as error:
                # Done before, and nobody heard of it.
                if code_of(error) != "NoSuchUpload" or self.size(name) != num_bytes:
                    raise

        self._repeated(name, "write", deadline, complete)

    def require_conditions(self) -> None:
        """Make sure that this bucket can be written, and keeps what is asked of conditional writes.

        Raises:
            StoreError: it cannot, or does not; says why, and what to do.
        """
        self.get("format.json")  # a bucket that is not there says so to a reader; some make it for a writer
        name = f"probe/{uuid.uuid4().hex}"
        try:
            kept = self.put(name, b"first", ABSENT) and not self.put(name, b"second", ABSENT)
            found = self.get(name)
            kept = kept and found is not None and not self.put(name, b"third", '"00000000000000000000000000000000"')
            kept = kept and found is not None and found[0] == b"first" and self.put(name, b"fourth", found[1])
        finally:
            with suppress(StoreError):
                self.delete(name)
        if not kept:
            raise StoreError(
                f"{self.url}: this server ignores `If-None-Match` or `If-Match` when it writes, so that two runs could both "
                "commit the same work. Use a server that honours them (AWS S3, MinIO, SeaweedFS, ...), or leave "
                "MIXWRIGHT_STORE out: the store is a folder then."
            )

    def _deadline_of(self, num_bytes: int) -> Deadline:
        return Deadline.after(self.deadline_s + num_bytes / _SLOWEST_BYTES_PER_S)

    @property
    def _client(self) -> Any:
        return _client(os.getpid(), self.timeout_s)

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name

    def _named(self, name: str) -> dict[str, str]:
        return {"Bucket": self.name, "Key": self._key(name)}

    def _repeated(
        self,
        name: str,
        doing: str,
        deadline: Deadline,
        once: Callable[[], T],
        moved: Callable[[], bool] = lambda: False,
    ) -> T:
        """Call a function until it comes through; what will not pass, and what has not in time, has a name.

        Raises:
            StoreError: the call is refused, or has not come through by its deadline.
            _MovedError: it broke off, but has got further (`moved`).
        """
        pause = _FIRST_PAUSE_S
        while True:
            try:
                return once()
            except StoreError:
                raise
            except Exception as error:
                if not (isinstance(error, ShortError) or passes(error)):
                    raise named(error, f"{self.url}/{name}", doing) from error
                wait = pause * random.uniform(0.5, 1.0)  # noqa: S311 (many workers should not come back at once)
                if time.monotonic() + wait >= deadline.at:
                    raise StoreError(
                        f"{self.url}/{name}: could not be {_DONE[doing]} within {deadline.seconds:g} s; last: "
                        f"{error!r:.300}. Look whether the server is up and reachable from here; the same command then goes "
                        "on from what is finished."
                    ) from error
                time.sleep(wait)
                if moved():
                    raise _MovedError from error
            pause = min(2 * pause, _LONGEST_PAUSE_S)


_DONE = {"read": "read", "write": "written", "remove": "removed", "list": "listed"}


class _MovedError(Exception):
    """A transfer broke off further on than it began: its patience begins anew, its deadline does not."""


@cache
def _client(process: int, timeout_s: float) -> Any:
    """Return this process's client; one that was made before a fork is not used after it."""
    from botocore.config import Config
    from botocore.session import Session

    session = Session()
    own = session.get_scoped_config().get("s3", {})
    config = Config(
        connect_timeout=min(_CONNECT_S, timeout_s),
        read_timeout=timeout_s,
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=32,
        # The server compares what came with what was signed: a body that changed on its way is refused.
        s3={"payload_signing_enabled": True, "addressing_style": own.get("addressing_style", "auto")},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return session.create_client("s3", config=config)
