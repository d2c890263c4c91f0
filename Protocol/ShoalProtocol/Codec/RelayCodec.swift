import ShoalCRDT

extension RelayRequest {
    /// The compressed body of `POST /v1/relay`; SPEC.md §6.4.
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
        frame.json.key("vector")
        frame.json.beginArray()
        let positions = vector.positions.sorted { $0.key < $1.key }
        for (replica, number) in positions { frame.json.dot(Dot(replica, number)) }
        frame.json.endArray()
        let told = positions.map { checks[$0.key] ?? .unknown }
        if told.contains(where: { $0 != .unknown }) { LogCheck.write(told, to: &frame.json) }
        frame.json.key("page")
        PageCodec.write(page, to: &frame)
        frame.json.endObject()
        return frame
    }

    /// Reads a body; nothing of a body that is refused can be applied.
    public init(decoding body: [UInt8]) throws(FrameError) {
        self = try FrameError.mapping {
            guard body.count <= Limits.body else { throw FrameError.tooLarge(limit: Limits.body) }
            let json = try Deflate.expand(body, limit: Limits.inflated, dictionary: FrameDictionary.bytes)
            return try RelayRequest(json: json)
        }
    }

    /// Reads a body that is not compressed.
    public init(json: [UInt8]) throws(FrameError) {
        self = try FrameError.mapping {
            try JSONReader.read(json, depthLimit: Limits.depth) { try RelayRequest(from: &$0) }
        }
    }

    private init(from reader: inout JSONReader) throws {
        var version: Int64?
        var epoch: UInt64?
        var vector: VersionVector?
        var checks: [LogCheck] = []
        var page: RecordPage?
        try reader.readObject { reader, key in
            switch key {
            case "protocol": version = try reader.readProtocol()
            case "needs": try reader.readNeeds()
            case "epoch": epoch = try reader.readHexadecimal()
            case "vector": vector = try Self.readVector(from: &reader)
            case "checks": checks = try LogCheck.read(from: &reader)
            case "page": page = try PageCodec.read(from: &reader)
            default: try reader.skip()
            }
        }
        guard version != nil else { throw reader.error(.missingKey("protocol")) }
        guard let epoch else { throw reader.error(.missingKey("epoch")) }
        guard let vector else { throw reader.error(.missingKey("vector")) }
        guard let page else { throw reader.error(.missingKey("page")) }
        guard page.own.isEmpty else { throw reader.error(.invalid("a relay leaves no value out")) }
        let replicas = vector.positions.keys.sorted()
        guard checks.isEmpty || checks.count == replicas.count else {
            throw reader.error(.invalid("not a check for each position"))
        }
        let told = Dictionary(uniqueKeysWithValues: zip(replicas, checks)).filter { $0.value != .unknown }
        self.init(epoch: epoch, vector: vector, checks: told, page: page)
    }

    private static let mostPositions = 65_536

    /// Positions of different replicas, ascending.
    private static func readVector(from reader: inout JSONReader) throws -> VersionVector {
        var positions: [ReplicaID: UInt32] = [:]
        var last: ReplicaID?
        try reader.readArray { reader in
            guard positions.count < mostPositions else { throw reader.error(.tooMany(limit: mostPositions)) }
            let dot = try reader.readDot()
            guard last.map({ $0 < dot.replica }) ?? true, dot.number > 0 else {
                throw reader.error(.invalid("not positions of ascending replicas"))
            }
            last = dot.replica
            positions[dot.replica] = dot.number
        }
        return VersionVector(positions)
    }
}

extension RelayResponse {
    /// The body of the answer to `POST /v1/relay`: plain JSON.
    public func encoded() -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.key("taken")
        json.integer(Int64(taken))
        json.key("more")
        json.bool(more)
        json.endObject()
        return json.bytes
    }

    public init(decoding body: [UInt8]) throws(FrameError) {
        self = try FrameError.mapping {
            try JSONReader.read(body, depthLimit: Limits.depth) { reader in
                var taken: Int64?
                var more: Bool?
                try reader.readObject { reader, key in
                    switch key {
                    case "needs": try reader.readNeeds()
                    case "taken": taken = try reader.readInteger()
                    case "more": more = try reader.readBool()
                    default: try reader.skip()
                    }
                }
                guard let taken, taken >= 0 else { throw reader.error(.missingKey("taken")) }
                guard let more else { throw reader.error(.missingKey("more")) }
                return RelayResponse(taken: Int(clamping: taken), more: more)
            }
        }
    }
}

// MARK: - In the answer to a sync

extension SyncResponse {
    func writeRecovery(to json: inout JSONWriter) {
        if !page.open.isEmpty {
            // Their places among the page's records, which stand in the order of their identifiers.
            let places = page.heads.map(\.id).sorted().enumerated().filter { page.open.contains($1) }.map {
                Int64($0.offset)
            }
            json.key("open")
            json.integers(places)
        }
        if recovery {
            json.key("recovery")
            json.bool(true)
        }
    }
}

/// The members of an answer that are there only after a server has lost something.
struct RecoveryMembers {
    var isWanted = false
    private var open: [Int64] = []

    mutating func readOpen(_ reader: inout JSONReader) throws {
        try reader.readArray { reader in
            let place = try reader.readInteger()
            guard place > open.last ?? -1 else { throw reader.error(.invalid("places that do not ascend")) }
            open.append(place)
        }
    }

    /// The page, with its records that are open.
    func applied(to page: RecordPage, _ reader: JSONReader) throws -> RecordPage {
        guard let last = open.last else { return page }
        guard last < page.heads.count else { throw reader.error(.invalid("a place outside the page")) }
        var page = page
        page.open = Set(open.map { page.heads[Int($0)].id })
        return page
    }
}
