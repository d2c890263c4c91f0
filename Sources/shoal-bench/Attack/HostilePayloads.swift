import CZlib
import ShoalProtocol

/// What attackers send.
struct HostilePayloads {
    /// Bodies of syncs, compressed: a bomb of 1 GiB, deep JSON, a stream with junk behind it, and one with junk in it.
    var bodies: [[UInt8]]
    /// A request of 100,000 header fields.
    var headers: [UInt8]

    init(key: String) throws {
        let deep = Array(String(repeating: "[", count: 100_000).utf8)
        let known = Array(#"{"protocol":2,"epoch":"0000000000000000","future":"#.utf8)
        let junk = try Deflate.compress(Array(#"{"protocol":2}"#.utf8)) + [UInt8](repeating: 0x7F, count: 500_000)
        let bomb = try Self.bomb()
        bodies = [bomb, bomb, try Deflate.compress(known + deep), junk, try Deflate.compress(known + junk)]
        let fields = (0..<100_000).map { "x\($0): y\r\n" }.joined()
        headers = Array("POST /v1/sync HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(key)\r\n\(fields)\r\n".utf8)
    }

    /// 1 GiB of blanks, as small as zlib makes them.
    private static func bomb() throws -> [UInt8] {
        let blanks = [UInt8](repeating: 0x20, count: 1 << 20)
        var output = [UInt8](repeating: 0, count: 2 << 20)
        let room = UInt32(output.count)
        let count: Int? = blanks.withUnsafeBufferPointer { input in
            output.withUnsafeMutableBufferPointer { output in
                withUnsafeTemporaryAllocation(of: z_stream.self, capacity: 1) { memory in
                    memory.initialize(repeating: z_stream())
                    guard let stream = memory.baseAddress,
                        deflateInit2_(
                            stream, 9, Z_DEFLATED, 15, 9, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
                            Int32(MemoryLayout<z_stream>.size)) == Z_OK
                    else { return nil }
                    defer { deflateEnd(stream) }
                    stream.pointee.next_out = output.baseAddress
                    stream.pointee.avail_out = room
                    for part in 1...1_024 {
                        stream.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
                        stream.pointee.avail_in = UInt32(input.count)
                        let code = deflate(stream, part == 1_024 ? Z_FINISH : Z_NO_FLUSH)
                        guard code == Z_OK || code == Z_STREAM_END else { return nil }
                    }
                    return Int(room - stream.pointee.avail_out)
                }
            }
        }
        guard let count, count <= Limits.body else {
            throw BenchError("the bomb does not fit a request: \(count ?? 0)")
        }
        return Array(output[..<count])
    }
}
