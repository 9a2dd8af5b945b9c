"""What S3 and its client refuse, in words: what passes by itself, and what to do about the rest."""

from infra.errors import StoreError

# Of the server: it is busy, or the body did not arrive as it was sent.
_PASSING = frozenset(
    {
        "BadDigest",
        "ConditionalRequestConflict",
        "IncompleteBody",
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "SlowDown",
        "ThrottlingException",
        "TooManyRequests",
        "XAmzContentSHA256Mismatch",
    }
)
_GOES_ON = "then start the same command again: what is finished stays."
_REMEDIES = {
    "NoSuchBucket": "there is no such bucket. Make it, or name another in MIXWRIGHT_STORE.",
    "ExpiredToken": f"the credentials have expired. Renew them, {_GOES_ON}",
    "RequestTimeTooSkewed": f"the clock of this machine differs too much from the server's. Set it, {_GOES_ON}",
    "NotImplemented": "this server does not know conditional writes, so that two runs could both commit the same work. Use "
    "another (AWS S3, MinIO, SeaweedFS, ...), or leave MIXWRIGHT_STORE out: the store is a folder then.",
    "AuthorizationHeaderMalformed": "the bucket lies in another region. Set AWS_DEFAULT_REGION to its own.",
    "InvalidBucketName": "this is no name of a bucket. Name another in MIXWRIGHT_STORE.",
    "QuotaExceeded": f"the bucket is full. Make room, {_GOES_ON}",
}
_SAME = {
    "ExpiredTokenException": "ExpiredToken",
    "TokenRefreshRequired": "ExpiredToken",
    "RequestExpired": "ExpiredToken",
    "PermanentRedirect": "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException": "AuthorizationHeaderMalformed",
    "XMinioStorageFull": "QuotaExceeded",
    "InsufficientStorage": "QuotaExceeded",
}
_KEYS = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "InvalidClientTokenId", "AuthFailure", "401"}
)
_RIGHTS = "s3:GetObject, PutObject, DeleteObject, ListBucket"


def code_of(error: BaseException) -> str:
    """Return the code of what a server answered; nothing where the error is none of a server's."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def passes(error: BaseException) -> bool:
    """Return whether the same call may come through a little later."""
    from botocore import exceptions
    from botocore.parsers import ResponseParserError
    from urllib3.exceptions import HTTPError

    if isinstance(error, exceptions.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return code_of(error) in _PASSING or status == 429 or (status >= 500 and status not in {501, 507})
    broken = (exceptions.HTTPClientError, exceptions.IncompleteReadError, ResponseParserError)
    return isinstance(error, (*broken, HTTPError, ConnectionError, TimeoutError))


def named(error: BaseException, place: str, doing: str) -> Exception:
    """Return the named error of a call that will not come through; what is no error of S3 stays what it is."""
    from botocore import exceptions

    code = code_of(error)
    known = _SAME.get(code, code)
    if known in _REMEDIES:
        return StoreError(f"{place}: {_REMEDIES[known]}")
    if code in _KEYS:
        return StoreError(
            f"{place}: the server refuses the credentials ({code}). Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, "
            f"AWS_PROFILE and AWS_ENDPOINT_URL of this machine, {_GOES_ON}"
        )
    if code in {"AccessDenied", "403", "Forbidden"}:
        return StoreError(f"{place}: these credentials may not {doing} it. Give {_RIGHTS}, {_GOES_ON}")
    if isinstance(
        error, exceptions.NoCredentialsError | exceptions.PartialCredentialsError | exceptions.ProfileNotFound
    ):
        return StoreError(
            f"{place}: there are no credentials for S3 on this machine ({error}). Give them as every S3 client takes them "
            "(AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role of the machine), wherever work is done."
        )
    if isinstance(error, exceptions.ClientError | exceptions.BotoCoreError):
        return StoreError(f"{place}: the server refuses to {doing} it: {error}. Mend that, {_GOES_ON}")
    return error if isinstance(error, Exception) else StoreError(f"{place}: {error!r}")
