import ShoalCRDT

extension DigestRequest {
    /// The compressed body of `POST /v1/digest`; SPEC.md §6.4.
    public func encoded() throws(FrameError) -> [UInt8] { try FrameError.mapping { try frame().compressed() } }

    /// The body before compression.
    public func json() -> [UInt8] { frame().json.bytes }

    private func frame() -> FrameWriter {
        var frame = FrameWriter()
        frame.json.beginObject()
        frame.json.key("protocol")
        frame.json.integer(Int64(ProtocolVersion.current))
        frame.json.key("epoch")
        frame.json.string(epoch.hexadecimal)
        frame.json.key("cursor")
        frame.json.string(cursor)
        frame.json.key("seen")
        frame.json.integer(seen)
        if !ranges.isEmpty {
            frame.json.key("ranges")
            DigestCodec.write(ranges, to: &frame.json)
        }
        DigestCodec.writeIdentifiers("wanted", wanted, to: &frame.json)
        frame.json.endObject()
        return frame
    }

    /// Reads a body; nothing of a body that is refused is answered.
    public init(decoding body: [UInt8]) throws(FrameError) {
        self = try FrameError.mapping {
            guard body.count <= Limits.body else { throw FrameError.tooLarge(limit: Limits.body) }
            let json = try Deflate.expand(body, limit: Limits.inflated, dictionary: FrameDictionary.bytes)
            return try DigestRequest(json: json)
        }
    }

    /// Reads a body that is not compressed.
    public init(json: [UInt8]) throws(FrameError) {
        self = try FrameError.mapping {
            try JSONReader.read(json, depthLimit: Limits.depth) { try DigestRequest(from: &$0) }
        }
    }

    private init(from reader: inout JSONReader) throws {
        var version: Int64?
        var epoch: UInt64?
        var cursor: String?
        var seen: Int64?
        var ranges: [DigestRange] = []
        var wanted: [RecordID] = []
        try reader.readObject { reader, key in
            switch key {
            case "protocol": version = try reader.readProtocol()
            case "needs": try reader.readNeeds()
            case "epoch": epoch = try reader.readHexadecimal()
            case "cursor": cursor = try reader.readString()
            case "seen": seen = try reader.readInteger(in: 0...Int64.max)
            case "ranges": ranges = try DigestCodec.read(limit: Limits.digestRanges, from: &reader)
            case "wanted": wanted = try DigestCodec.readIdentifiers(limit: Limits.digestWanted, from: &reader)
            default: try reader.skip()
            }
        }
        guard version != nil else { throw reader.error(.missingKey("protocol")) }
        guard let epoch else { throw reader.error(.missingKey("epoch")) }
        guard let cursor else { throw reader.error(.missingKey("cursor")) }
        guard let seen else { throw reader.error(.missingKey("seen")) }
        self.init(epoch: epoch, cursor: cursor, seen: seen, ranges: ranges, wanted: wanted)
    }
}

extension DigestResponse {
    /// The compressed body of the answer to `POST /v1/digest`; SPEC.md §6.4.
    public func encoded() throws(FrameError) -> [UInt8] { try FrameError.mapping { try frame().compressed() } }

    /// The body before compression.
    public func json() -> [UInt8] { frame().json.bytes }

    private func frame() -> FrameWriter {
        var frame = FrameWriter()
        frame.json.beginObject()
        frame.json.key("behind")
        frame.json.bool(isBehind)
        frame.json.key("seen")
        frame.json.integer(seen)
        DigestCodec.writeIdentifiers("omitted", omitted, to: &frame.json)
        if !ranges.isEmpty {
            frame.json.key("ranges")
            DigestCodec.write(ranges, to: &frame.json)
        }
        DigestCodec.writeIdentifiers("gone", gone, to: &frame.json)
        if !page.isEmpty {
            frame.json.key("page")
            PageCodec.write(page, to: &frame)
        }
        frame.json.endObject()
        return frame
    }

    public init(decoding body: [UInt8]) throws(FrameError) {
        self = try FrameError.mapping {
            let json = try Deflate.expand(body, limit: Limits.inflated, dictionary: FrameDictionary.bytes)
            return try DigestResponse(json: json)
        }
    }

    /// Reads a body that is not compressed.
    public init(json: [UInt8]) throws(FrameError) {
        self = try FrameError.mapping {
            try JSONReader.read(json, depthLimit: Limits.depth) { try DigestResponse(from: &$0) }
        }
    }

    private init(from reader: inout JSONReader) throws {
        var isBehind: Bool?
        var seen: Int64?
        var omitted: [RecordID] = []
        var ranges: [DigestRange] = []
        var page = RecordPage()
        var gone: [RecordID] = []
        try reader.readObject { reader, key in
            switch key {
            case "needs": try reader.readNeeds()
            case "behind": isBehind = try reader.readBool()
            case "seen": seen = try reader.readInteger(in: 0...Int64.max)
            case "omitted": omitted = try DigestCodec.readIdentifiers(limit: Limits.digestRecords, from: &reader)
            case "ranges": ranges = try DigestCodec.read(limit: Limits.digestParts, from: &reader)
            case "gone": gone = try DigestCodec.readIdentifiers(limit: Limits.digestRecords, from: &reader)
            case "page":
                page = try PageCodec.read(from: &reader)
                guard page.own.isEmpty else { throw reader.error(.invalid("a whole record without a value")) }
            default: try reader.skip()
            }
        }
        guard let isBehind else { throw reader.error(.missingKey("behind")) }
        guard let seen else { throw reader.error(.missingKey("seen")) }
        self.init(isBehind: isBehind, seen: seen, omitted: omitted, ranges: ranges, page: page, gone: gone)
    }
}
