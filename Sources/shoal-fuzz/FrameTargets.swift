import ShoalCRDT
import ShoalProtocol

/// Compression and the frames of the protocol: what is read is written as it was read.
enum FrameTargets {
    static func inflate(_ bytes: [UInt8]) throws {
        let limit = 1 << 16
        let output: [UInt8]
        do {
            output = try Deflate.expand(bytes, limit: limit, dictionary: FrameDictionary.bytes)
        } catch {
            Finding.planted(error as? DeflateError == .trailingBytes)
            throw error
        }
        Finding.require(output.count <= limit, "\(output.count) bytes where \(limit) are the limit")
        let again = try Deflate.expand(try Deflate.compress(output), limit: limit)
        Finding.require(again == output, "what was expanded is not what was compressed of it")
    }

    static func request(_ json: [UInt8]) throws {
        let request = try SyncRequest(json: json)
        let body = try request.encoded()
        let again = try? SyncRequest(decoding: body)
        Finding.require((try again?.encoded()) == body, "a request is not read as it was written")
        Finding.planted(request.acknowledgement.utf8.count == 8)
    }

    /// Everything that a server answers, and what other routes take.
    static func response(_ json: [UInt8]) throws {
        if let request = try? DigestRequest(json: json) {
            Finding.require(
                (try? DigestRequest(decoding: request.encoded())) != nil, "a digest request is not read again")
        }
        if let request = try? RelayRequest(json: json) {
            Finding.require((try? RelayRequest(decoding: request.encoded())) != nil, "a relay is not read again")
        }
        let response = try SyncResponse(json: json)
        let body = try response.encoded()
        let again = try? SyncResponse(decoding: body)
        Finding.require((try again?.encoded()) == body, "a response is not read as it was written")
        Finding.planted(response.cursor.utf8.count == 8)
    }
}
