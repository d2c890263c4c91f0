/// Requests that are no HTTP, or are and must be refused all the same: their body is no sync.
enum RefusedHTTP {
    private static let form = [
        "Host: localhost", "Authorization: Bearer {KEY}", "Content-Type: application/vnd.shoal.v1+json",
        "Content-Encoding: deflate",
    ]

    static func all() -> [[UInt8]] {
        lines() + fields() + lengths() + chunks() + truncations() + followers()
    }

    private static func request(
        _ line: String = "POST /v1/sync HTTP/1.1", _ fields: [String] = form, length: String? = "Content-Length: 5",
        body: String = "hello"
    ) -> [UInt8] {
        Array((([line] + fields + (length.map { [$0] } ?? [])).joined(separator: "\r\n") + "\r\n\r\n" + body).utf8)
    }

    /// Methods, addresses, versions.
    private static func lines() -> [[UInt8]] {
        let methods = [
            "GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "post", "P\u{0}ST",
            "POST ",
            "", "PRI", "\u{7F}", "💣", String(repeating: "A", count: 300),
        ]
        let targets = [
            "/", "*", "//v1/sync", "/v1/sync/", "/v1/sync/..", "/v1//sync", "/V1/SYNC", "/v1/sync%00", "/%76%31/sync",
            "/v1/sync;x",
            "/v1/sync?x=1", "/v1/sync#f", "/../../etc/passwd", "/..%2f..%2fetc%2fpasswd", "\\v1\\sync",
            "http://other/v1/sync",
            "https://[::1/v1/sync", "/v1/accounts", "/v1/accounts/code", "/v1/recover", "/v1/backup", "/v1/check",
            "/v1/dump",
            "/v1", "/v2/sync", "/admin", "/.git/config", "/metrics/x", "/healthz/..", "/\u{1}", "/\u{7F}", "/宠物",
            "/%zz", "/%",
            "/v1/sync\u{B}", "/" + String(repeating: "a", count: 900), "localhost:80", "?", "#", "/v1/live",
        ]
        let versions = [
            "HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/3", "HTTP/9.9", "http/1.1", "HTTP/1", "HTTP/11.1", "HTTP/1.1 x",
            "",
            "HTTPS/1.1", "HTTP/-1.1", "HTTP 1.1", "HTTP/1,1", "HTTP/1.10", "\u{0}",
        ]
        return methods.flatMap { method in
            ["/v1/sync", "/v1/enroll", "/v1/nothing"].map { request("\(method) \($0) HTTP/1.1") }
        } + targets.flatMap { target in ["POST", "DELETE"].map { request("\($0) \(target) HTTP/1.1") } }
            + versions.map { request("POST /v1/sync \($0)") }
            + [
                "\r\n", "\n\n\n", "\u{0}", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}", "hello",
                "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "{}",
            ]
            .map { Array($0.utf8) }
    }

    /// Header fields: out of form, twice, or of something else.
    private static func fields() -> [[UInt8]] {
        let strange = [
            "X", ": y", "X y: z", " X: folded", "\tX: folded", "X\t: y", "X : y", "X: \u{0}", "X: \u{1}", "X: a\rb",
            "X: a\nb", "X:\u{7F}",
            "\u{0}: y", "(X): y", "X[]: y", "宠: y", "X: 宠物", "X: " + String(repeating: "a", count: 900), "Host: other",
            "Host: a b", "Host:", "Connection: close, upgrade", "Upgrade: h2c", "Upgrade: websocket",
            "HTTP2-Settings: AAMAAABk",
            "Expect: 100-continue", "Expect: 200-ok", "TE: trailers", "Trailer: Host", "X-Forwarded-For: 127.0.0.1",
            "X-HTTP-Method-Override: GET", "Range: bytes=0-1", "Cookie: a=b", ":path: /", ":method: GET",
        ]
        let authorizations = [
            "", "Basic YTpi", "Bearer", "Bearer ", "Bearer  {KEY}x", "Bearer {KEY}=", "Bearer {KEY}{KEY}",
            "Bearer \u{0}", "Bearer 宠物",
            "{KEY}", "bearer x", "Digest x", "Bearer ' OR 1=1 --", "Bearer ../../x",
            "Bearer AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "Bearer " + String(repeating: "A", count: 500),
        ]
        let types = [
            "", "text/plain", "application/json", "application/vnd.shoal.v0+json", "application/vnd.shoal.v2+json",
            "application/vnd.shoal.v99999999999999999999+json", "application/vnd.shoal.v1+xml",
            "application/vnd.shoal.v1",
            "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "*/*", ";", "application/", "宠物/宠物",
            "application/vnd.shoal.v1+json, text/html",
        ]
        let encodings = [
            "", "gzip", "br", "identity", "deflate, deflate", "gzip, deflate", "x-deflate", "zlib", "\u{0}", "宠物",
        ]
        func replacing(_ place: Int, _ value: String) -> [String] {
            var fields = form
            fields[place] = (fields[place].split(separator: ":").first.map(String.init) ?? "") + ": " + value
            return fields
        }
        return strange.flatMap {
            [request("POST /v1/sync HTTP/1.1", [$0] + form), request("POST /v1/enroll HTTP/1.1", form + [$0])]
        }
            + authorizations.flatMap { value in
                ["sync", "relay", "digest"].map { request("POST /v1/\($0) HTTP/1.1", replacing(1, value)) }
            } + types.map { request("POST /v1/sync HTTP/1.1", replacing(2, $0)) }
            + encodings.map { request("POST /v1/relay HTTP/1.1", replacing(3, $0)) }
            + form.indices.map { index in
                request("POST /v1/sync HTTP/1.1", form.enumerated().filter { $0.0 != index }.map(\.1))
            }
            + [request("POST /v1/sync HTTP/1.1", form + [form[1]]), request("POST /v1/sync HTTP/1.1", form + form)]
            + [101, 150, 300].map { count in request("POST /v1/sync HTTP/1.1", form + (0..<count).map { "x\($0): y" }) }
    }

    /// Lengths that are none, lie, or contradict each other.
    private static func lengths() -> [[UInt8]] {
        let values = [
            "-1", "+5", "0x5", "5,5", "5, 6", "5 5", "1e1", "", "five", "99999999999999999999", "9223372036854775807",
            "18446744073709551615", "1048577", "2147483648", "0", "4", "6", "05", " 5 ", "\u{0}", "５",
        ]
        return values.flatMap { value in
            ["sync", "enroll", "nothing"].map { request("POST /v1/\($0) HTTP/1.1", length: "Content-Length: \(value)") }
        }
            + [
                "Content-Length: 5\r\nContent-Length: 6", "Content-Length: 5\r\nTransfer-Encoding: chunked",
                "Transfer-Encoding: chunked\r\nContent-Length: 5", "Content-Length : 5", "Content_Length: 5",
            ].map { request(length: $0) } + [request(length: nil), request(length: nil, body: "")]
    }

    private static func chunks() -> [[UInt8]] {
        let codings = [
            "chunked", "xchunked", "chunked, identity", "identity, chunked", "gzip, chunked", "chunked, chunked",
            "\u{B}chunked", "chunked\u{0}",
            "Chunked", "identity", "",
        ]
        let bodies = [
            "g\r\n", "-1\r\nhello\r\n0\r\n\r\n", "5\r\nhel", "5\r\nhello\r\n0\r\n\r\n", "5;x=\"\r\nhello\r\n0\r\n\r\n",
            "ffffffffffffffff1\r\nx",
            "7fffffffffffffff\r\nx", "5\nhello\n0\n\n", "5\r\nhelloX\r\n0\r\n\r\n", "0\r\nHost: x\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            " 5\r\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n", "00000000000000000005\r\nhello\r\n0\r\n\r\n",
            "0\r\n\r\n", "\r\n\r\n", "",
            "5\r\nhello\r\n-0\r\n\r\n", "5;" + String(repeating: "x", count: 900) + "\r\nhello\r\n0\r\n\r\n",
        ]
        return codings.flatMap { coding in
            bodies.map { request(length: "Transfer-Encoding: \(coding)", body: $0) }
        }
    }

    /// A request that ends too early, at every other byte.
    private static func truncations() -> [[UInt8]] {
        let whole = request()
        return stride(from: 1, to: whole.count, by: 2).map { Array(whole[..<$0]) }
    }

    /// What must not pass as part of the request before it.
    private static func followers() -> [[UInt8]] {
        let first = request("GET /v1/nothing HTTP/1.1", ["Host: localhost"], length: nil, body: "")
        return [
            "garbage", "\u{0}\u{1}\u{2}", "GET", "GET / HTTP/1.1\r\nHost", "HTTP/1.1 200 OK\r\n\r\n", "\r\n\r\nx", "{}",
        ].flatMap {
            [first + Array($0.utf8), first + first + Array($0.utf8), request() + Array($0.utf8)]
        }
    }
}
