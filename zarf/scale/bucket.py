"""A bucket of numbered keys that can be listed and has no objects to read.

    python3 zarf/scale/bucket.py PORT KEYS [FIRST]

The keys are `images/000000000.jpg` and so on, from FIRST. It answers ListObjectsV2 of any bucket, whatever the signature is, and 403 to
everything else.
"""

import asyncio
import sys
from urllib.parse import parse_qs, urlsplit

PREFIX, DIGITS, SUFFIX = "images/", 9, ".jpg"
HEAD = '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>photos</Name><EncodingType>url</EncodingType>'
ENTRY = (
    "<Contents><Key>images/%09d.jpg</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    "<ETag>&quot;%032x&quot;</ETag><Size>250000</Size><StorageClass>STANDARD</StorageClass></Contents>"
)


def first_after(text, first, end):
    """Returns the number of the first key after a text."""
    low, high = first, end
    while low < high:
        middle = (low + high) // 2
        if f"{PREFIX}{middle:0{DIGITS}}{SUFFIX}" <= text:
            low = middle + 1
        else:
            high = middle
    return low


def page(query, first, end):
    after = (query.get("continuation-token") or query.get("start-after") or [""])[0]
    begin = first_after(after, first, end)
    stop = min(end, begin + min(1_000, int(query.get("max-keys", ["1000"])[0])))
    # The ETag of a number: spread over all values, so that an index of ETags is written at random places.
    entries = "".join(ENTRY % (n, n * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128) for n in range(begin, stop))
    token = f"<NextContinuationToken>{PREFIX}{stop - 1:0{DIGITS}}{SUFFIX}</NextContinuationToken>" if stop < end else ""
    return f"{HEAD}<IsTruncated>{'true' if stop < end else 'false'}</IsTruncated>{token}{entries}</ListBucketResult>"


async def answer(reader, writer, first, end):
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            query = parse_qs(urlsplit(head.split(" ", 2)[1]).query)
            is_list = head.startswith("GET ") and "list-type" in query
            body = page(query, first, end).encode() if is_list else b""
            status = "200 OK" if is_list else "403 Forbidden"
            writer.write(f"HTTP/1.1 {status}\r\ncontent-type: application/xml\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main():
    port, keys, first = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0
    server = await asyncio.start_server(lambda reader, writer: answer(reader, writer, first, first + keys), "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
